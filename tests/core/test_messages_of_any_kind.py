"""Messages that name tasks of any kind and target: which kind is meant, and where its task is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.example_tasks import example_arn, example_ids
from watcher.core.intake.references import parse_ref
from watcher.core.intake.scopes import Targets
from watcher.core.intake.submissions import read
from watcher.errors import InvalidInput
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Ignored, Scope, Submission, TaskRef

CATALOG = builtin_catalog()
NOW = 1_790_000_000.0
HOME, OTHER = "111122223333", "444455556666"
SCOPES = {"default": Scope("us-east-1"), "eu": Scope("eu-central-1"), "prod": Scope("us-east-1", OTHER)}
JOB = "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"
BATCH = f"arn:aws:batch:us-east-1:{HOME}:job/{JOB}"
EXECUTION = f"arn:aws:states:us-east-1:{HOME}:execution:machine:run-1"
TASK = f"arn:aws:ecs:us-east-1:{HOME}:task/web/0123456789abcdef0"
STACK = f"arn:aws:cloudformation:us-east-1:{HOME}:stack/web/{JOB}"
BUILD = f"arn:aws:codebuild:us-east-1:{HOME}:build/site:{JOB}"


def found(message: Any, **options: Any) -> list[Submission | InvalidInput | Ignored]:
    body = message.encode() if isinstance(message, str) else json.dumps(message).encode()
    return list(read(body, CATALOG, **{"now": NOW, "scopes": SCOPES, **options}))


def refs(message: Any, **options: Any) -> list[TaskRef | str]:
    """The tasks that a message names, or the reasons why it names none."""
    return [each.ref if isinstance(each, Submission) else getattr(each, "reason", "ignored") for each in found(message, **options)]


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind.arn is not None], ids=lambda kind: kind.name)
def test_an_arn_alone_names_a_task(kind: Any) -> None:
    """As a text, a JSON string, an element of a list, and a member under any name."""
    arn = example_arn(kind)
    ref = TaskRef(kind.name, example_ids(kind))
    for message in (
        arn,
        json.dumps(arn),
        {"arn": arn},
        {"anything": arn, "context": 1},
        {"kind": kind.name, "resource": arn},
        f"{kind.name}/{arn}",
    ):
        assert refs(message) == [ref]
    assert refs([arn, {"arn": arn}]) == [ref, ref]
    assert parse_ref(ref.key, CATALOG, Targets(SCOPES)) == ref


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"jobArn": BATCH, "jobName": "nightly", "jobId": JOB}, TaskRef("batch-job", (JOB,))),
        ({"QueryExecutionId": JOB}, TaskRef("athena-query", (JOB,))),
        (
            {"JobId": "0123", "JobArn": f"arn:aws:comprehend:us-east-1:{HOME}:entities-detection-job/0123", "JobStatus": "SUBMITTED"},
            TaskRef("comprehend-entities", ("0123",)),
        ),
        (
            {"jobArn": f"arn:aws:bedrock:us-east-1:{HOME}:model-invocation-job/0123456789ab"},
            TaskRef("bedrock-batch-inference", (f"arn:aws:bedrock:us-east-1:{HOME}:model-invocation-job/0123456789ab",)),
        ),
        (
            {"DBSnapshot": {"DBSnapshotIdentifier": "s-1", "DBInstanceIdentifier": "db-1", "Status": "creating"}},
            TaskRef("rds-snapshot", ("s-1",)),
        ),
        ({"ImageId": "ami-0123456789abcdef0"}, TaskRef("ec2-image", ("ami-0123456789abcdef0",))),
        ({"SynthesisTask": {"TaskId": JOB, "TaskStatus": "scheduled"}}, TaskRef("polly-synthesis", (JOB,))),
        (
            {"BackupJobId": "b-1", "RecoveryPointArn": f"arn:aws:rds:us-east-1:{HOME}:snapshot:awsbackup:job-1"},
            TaskRef("backup-job", ("b-1",)),
        ),
        ({"TaskId": JOB, "taskArn": TASK}, TaskRef("ecs-task", ("web", TASK))),
        ({"executionArn": EXECUTION, "startDate": 1_790_000_000.5}, TaskRef("stepfunctions-execution", (EXECUTION,))),
        ({"build": {"id": f"site:{JOB}", "arn": BUILD, "buildStatus": "IN_PROGRESS"}}, TaskRef("codebuild-build", (f"site:{JOB}",))),
        ({"StackId": STACK}, TaskRef("cloudformation-stack", (STACK,))),
        ({"kind": "glue-job-run", "JobName": "load", "JobRunId": "jr_1"}, TaskRef("glue-job-run", ("load", "jr_1"))),
        ({"kind": "glue-job-run", "jobName": "load", "JobRun": {"Id": "jr_1"}}, TaskRef("glue-job-run", ("load", "jr_1"))),
        ({"TranscriptionJob": {"TranscriptionJobName": "call-7"}}, TaskRef("transcription", ("call-7",))),
        ({"kind": "transcription", "TranscriptionJobName": "call-7"}, TaskRef("transcription", ("call-7",))),
        ({"transcription_job_name": "call-7"}, TaskRef("transcription", ("call-7",))),
        ({"kind": "textract-text", "JobId": "0123"}, TaskRef("textract-text", ("0123",))),
        ({"TrainingJobArn": f"arn:aws:sagemaker:us-east-1:{HOME}:training-job/t-1"}, TaskRef("sagemaker-training", ("t-1",))),
        ({"applicationId": "a1", "jobRunId": "r1"}, TaskRef("emr-serverless-job-run", ("a1", "r1"))),
        ({"Job": {"Id": "1234567890123-abcdef", "Status": "SUBMITTED"}}, TaskRef("mediaconvert-job", ("1234567890123-abcdef",))),
        ({"kind": "ecs-task", "cluster": "web", "tasks": [TASK]}, TaskRef("ecs-task", ("web", TASK))),
    ],
)
def test_the_reply_of_a_start_call_names_its_task(message: Any, named: TaskRef) -> None:
    """As the SDKs and the AWS CLI print it, with the kind where the reply alone could be of several."""
    assert refs(message) == refs({**message, "context": "c", "task_token": None}) == [named]


def test_a_list_of_tasks_in_a_reply_is_a_batch() -> None:
    """Each task has its own outcome; the error says which one is invalid, and a list without tasks is invalid."""
    other = "7d0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"
    jobs = [{"jobId": JOB, "status": "RUNNABLE"}, {"jobId": "a b"}, {"jobArn": BATCH.replace(JOB, other)}]
    assert refs({"jobs": jobs}) == [TaskRef("batch-job", (JOB,)), "id", TaskRef("batch-job", (other,))]
    assert "task 2 of jobs: " in str(found({"jobs": jobs})[1])
    assert refs({"tasks": [{"taskArn": TASK, "clusterArn": f"arn:aws:ecs:us-east-1:{HOME}:cluster/web"}], "failures": []}) == [
        TaskRef("ecs-task", ("web", TASK))
    ]
    assert refs({"kind": "batch-job", "jobs": [JOB, other]}) == [TaskRef("batch-job", (each,)) for each in (JOB, other)]
    assert refs({"kind": "batch-job", "jobs": []}) == ["shape"]


def test_several_kinds_that_fit_equally_are_named() -> None:
    """The sender adds the kind; nothing is guessed, and nothing of the message is repeated."""
    (outcome,) = found({"JobId": "canary"})
    assert isinstance(outcome, InvalidInput)
    assert outcome.reason == "kind"
    assert {"textract-text", "textract-analysis", "rekognition-labels"} <= set(str(outcome).replace(",", " ").replace(";", " ").split())
    assert "canary" not in str(outcome)
    assert refs({"kind": "rekognition-labels", "JobId": "canary"}) == [TaskRef("rekognition-labels", ("canary",))]


def test_twins_with_the_same_reply_are_told_apart_by_their_identifiers() -> None:
    """A search of a voice connector has it in the reply; one of a media pipeline needs the pipeline beside the reply."""
    of_voice = {"SpeakerSearchTask": {"SpeakerSearchTaskId": JOB, "CallDetails": {"VoiceConnectorId": "vc-1"}}}
    of_media = {"SpeakerSearchTask": {"SpeakerSearchTaskId": JOB, "SpeakerSearchTaskStatus": "InProgress"}}
    assert refs(of_voice) == [TaskRef("speaker-search", ("vc-1", JOB))]
    assert refs({**of_media, "media_insights_pipeline_id": "p-1"}) == [TaskRef("media-speaker-search", ("p-1", JOB))]
    assert refs({"kind": "media-speaker-search", **of_media, "Identifier": "p-1"}) == [TaskRef("media-speaker-search", ("p-1", JOB))]
    assert refs(of_media) == ["field"]
    assert refs({"kind": "media-voice-tone", **of_media, "Identifier": "p-1"}) == ["kind"]


def test_a_message_of_the_voice_service_may_have_members_of_any_other_kind() -> None:
    """Such a message is read as if there were no other kinds: its other members are ignored."""
    own = {"voice_connector_id": "vc-1", "speaker_search_task_id": "t-1"}
    tone = {"VoiceConnectorId": "vc-1", "VoiceToneAnalysisTaskId": "t-1"}
    others = {"executionArn": EXECUTION, "jobId": "j", "TranscriptionJob": {"TranscriptionJobName": "x"}, "jobs": [{"jobId": "j"}]}
    assert refs({**own, **others}) == refs({"input": own, **others}) == [TaskRef("speaker-search", ("vc-1", "t-1"))]
    assert refs({**tone, **others}) == [TaskRef("voice-tone", ("vc-1", "t-1"))]
    assert refs({"speaker_search_task_id": "t-1", **others}) == ["field"], "an incomplete search is not another task"


def test_a_reply_about_an_execution_is_the_execution_unless_its_input_names_a_task() -> None:
    """`input` is a part of that reply, and also how Step Functions passes a task on."""
    reply = {"executionArn": EXECUTION, "status": "RUNNING", "input": '{"order": 7}'}
    assert refs(reply) == [TaskRef("stepfunctions-execution", (EXECUTION,))]
    assert refs({**reply, "input": '{"QueryExecutionId": "q-1"}'}) == [TaskRef("athena-query", ("q-1",))]


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (BATCH, "default"),
        (BATCH.replace("us-east-1", "eu-central-1"), "eu"),
        (BATCH.replace(HOME, OTHER), "prod"),
        (BATCH.replace("us-east-1", "ap-south-1"), "scope"),
        (f"arn:aws:ec2:eu-central-1::image/ami-{'0' * 17}", "eu"),
        (f"arn:aws:ec2:us-east-1::image/ami-{'0' * 17}", "scope"),
    ],
)
def test_the_target_is_that_of_the_arn(arn: str, expected: str) -> None:
    """By account and Region; by the Region alone where an account is not known. None or several: the reason says so, without the ARN."""
    for message in (arn, {"arn": arn}):
        (outcome,) = found(message)
        assert (outcome.ref.target if isinstance(outcome, Submission) else getattr(outcome, "reason", "")) == expected
        assert arn not in str(outcome) or isinstance(outcome, Submission)
    kind = "ec2-image" if ":ec2:" in arn else "batch-job"
    for target, scope in SCOPES.items():
        agrees = scope.region == arn.split(":")[3] and scope.account in (None, arn.split(":")[4] or scope.account)
        named = refs({"arn": arn, "target": target})
        assert [each.target if isinstance(each, TaskRef) else each for each in named] == [target if agrees else "scope"]
        assert refs(f"{target}/{kind}/{arn}") == named


@pytest.mark.parametrize(
    ("arn", "detail"),
    [
        (
            BATCH.replace("us-east-1", "ap-south-1"),
            "no target is in the Region of the task, ap-south-1; configured: default is in us-east-1; add a target",
        ),
        (BATCH.replace(HOME, "9" * 12), "no target is in the account of the task; configured: default is in us-east-1; add a target"),
        (
            BATCH.replace("us-east-1", "us-secretsecret-1"),
            "no target is in the account and Region of the task; configured: default is in us-east-1; add a target",
        ),
    ],
)
def test_the_error_about_a_missing_target_names_the_regions(arn: str, detail: str) -> None:
    """The Region of an ARN is repeated only if it has the form of one, and the account never."""
    with pytest.raises(InvalidInput) as raised:
        parse_ref(arn, CATALOG, Targets({"default": Scope("us-east-1", HOME)}))
    assert (raised.value.reason, raised.value.detail) == ("scope", detail)


@pytest.mark.parametrize(
    ("message", "reason", "expected"),
    [
        ({"kind": "batch-job", "job_id": "a/b"}, "id", "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"),
        ({"kind": "transcription", "TranscriptionJobName": 5}, "field", "call-2026-11-26"),
        ("transcription/a b", "id", "call-2026-11-26"),
    ],
)
def test_the_error_about_an_identifier_shows_a_good_one(message: Any, reason: str, expected: str) -> None:
    """The detail has a value that is valid, and not what was read."""
    (outcome,) = found(message, plain=True)
    assert isinstance(outcome, InvalidInput)
    shown = outcome.detail.partition("; a good message: ")[0]
    assert (outcome.reason, shown.endswith(f"; expected a value such as {expected}"), "a/b" in shown) == (reason, True, False)


RUN = f"arn:aws:emr-serverless:us-east-1:{HOME}:/applications/00f1abcd2efgh509/jobruns/00f1abcd3ijkl50b"
TRAINING = f"arn:aws:sagemaker:us-east-1:{HOME}:training-job/churn-1"


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "batch-job", "job_id": "other", "arn": BATCH},
        {"jobId": "other", "jobArn": BATCH},
        {"kind": "batch-job", "job": {"jobId": "other", "jobArn": BATCH}},
        {"kind": "emr-serverless-job-run", "application_id": "00f1abcd2efgh509", "job_run_id": "other1", "arn": RUN},
        {"kind": "emr-serverless-job-run", "application_id": "other1", "job_run_id": "00f1abcd3ijkl50b", "arn": RUN},
        {"kind": "emr-serverless-job-run", "application_id": "other1", "arn": RUN},
        {"kind": "ecs-task", "cluster": "other", "arn": TASK},
        {"kind": "sagemaker-training", "training_job_name": "churn-1", "arn": TRAINING.replace("churn", "Churn")},
    ],
)
def test_identifiers_that_contradict_the_arn_are_invalid(message: Any) -> None:
    """Neither is taken for what the sender means, also where they differ in one of two identifiers."""
    (outcome,) = found(message)
    assert isinstance(outcome, InvalidInput)
    assert (outcome.reason, "the ARN and the identifiers are of different tasks; keep one of them" in outcome.detail) == ("field", True)


def test_identifiers_that_agree_with_the_arn_are_kept() -> None:
    """Also those of a task whose ARN has its name in lower case, as Amazon SageMaker writes it, or which has the ARN of another task."""
    assert refs({"TrainingJobName": "Churn-1", "TrainingJobArn": TRAINING}) == [TaskRef("sagemaker-training", ("Churn-1",))]
    snapshot = f"arn:aws:rds:us-east-1:{HOME}:snapshot:copy"
    copy = {"DBSnapshotIdentifier": "copy", "DBSnapshotArn": snapshot, "SourceDBSnapshotIdentifier": snapshot.replace("copy", "first")}
    assert refs(copy) == refs({"DBSnapshot": copy}) == [TaskRef("rds-snapshot", ("copy",))]
    assert refs({"kind": "ecs-task", "cluster": f"arn:aws:ecs:us-east-1:{HOME}:cluster/web", "arn": TASK}) == refs(TASK)


def test_an_event_of_aws_with_the_arn_of_another_task_is_about_its_own() -> None:
    """AWS writes both, so another ARN in a notification or in a CloudTrail record is not a contradiction."""
    record = {"eventName": "SubmitJob", "eventSource": "batch.amazonaws.com", "awsRegion": "us-east-1", "recipientAccountId": HOME}
    assert refs({**record, "responseElements": {"jobId": "child", "parent": BATCH}}) == [TaskRef("batch-job", ("child",))]
    message = event("Batch Job State Change", "aws.batch", {"jobId": "child"}, resources=[BATCH])
    assert refs(message) == [TaskRef("batch-job", ("child",))]


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ({"kind": "batch-job", "job_id": "a b"}, "job_id does not have the required form; expected a value such as "),
        ({"kind": "batch-job", "jobs": "a b"}, "jobs does not have the required form; expected a value such as "),
        ({"kind": "transcription", "transcriptionJobName": "a b"}, "transcriptionJobName does not have the required form; "),
        ({"kind": "batch-job", "job_id": "a", "jobId": "b"}, "job_id and jobId have different values; keep one"),
        ({"kind": "batch-job", "queue": "a"}, "job_id is missing, blank, or not a string; expected a value such as "),
        (BATCH.replace(JOB, "a_b"), "job_id in the ARN does not have the required form; expected a value such as "),
        (
            {"voice_connector_id": "a b", "speaker_search_task_id": "c"},
            "voice_connector_id does not have the required form; expected a match of the regular expression [A-Za-z0-9](",
        ),
        (
            {"kind": "batch-job", "arn": EXECUTION},
            "the message names the kind batch-job, and the ARN in it is that of a task of stepfunctions-execution",
        ),
        (
            {"kind": "voice-tone", "arn": BATCH},
            "the message names the kind voice-tone, and the ARN in it is that of a task of batch-job",
        ),
    ],
)
def test_an_error_names_what_was_sent(message: Any, detail: str) -> None:
    """An identifier has the name that the message has for it, or else its name in messages; an example is never the name itself."""
    (outcome,) = found(message)
    assert isinstance(outcome, InvalidInput)
    assert outcome.detail.startswith(detail)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"JobRunId": "jr_1"}, "glue-job-run"),
        ({"a": BATCH, "b": BATCH.replace("2f", "3f")}, "batch-job"),
        ({"tasks": 1}, "ecs-task"),
        ({"jobId": 5, "jobArn": BATCH}, "batch-job"),
        ({"x": 1}, "speaker-search"),
    ],
)
def test_the_good_message_is_of_the_kind_that_is_meant(message: Any, kind: str) -> None:
    """An error about a message without `kind` shows the kind whose identifiers it has, and the default one where it has none."""
    (outcome,) = found(message)
    assert isinstance(outcome, InvalidInput)
    assert f'; a good message: {{"kind": "{kind}", ' in outcome.detail


def test_a_message_names_a_configured_target() -> None:
    """Any other one is out of scope, and so is a Region that is not that of the target."""
    task = {"kind": "transcription", "TranscriptionJobName": "call-7"}
    ref = TaskRef("transcription", ("call-7",), "eu")
    assert refs({**task, "target": "eu"}) == refs({**task, "target": "eu", "region": "eu-central-1"}) == refs(ref.key) == [ref]
    assert (
        refs({**task, "target": "us"}) == refs({**task, "target": 5}) == refs({**task, "target": "eu", "region": "us-east-1"}) == ["scope"]
    )
    assert refs("us/transcription/call-7") == ["scope"]
    assert refs({"arn": BATCH, "region": "eu-central-1"}) == ["scope"]
    assert refs({"arn": BATCH, "kind": "transcription"}) == ["field"]
    assert refs(f"transcription/{BATCH}") == ["kind"]
    elsewhere = BATCH.replace("us-east-1", "ap-south-1")
    assert refs({**task, "target": "us"}, other_targets=True) == [TaskRef("transcription", ("call-7",), "us")]
    assert refs(elsewhere, other_targets=True) == [TaskRef("batch-job", (JOB,))]


def test_of_two_arns_none_is_chosen() -> None:
    """A message without identifiers that has the ARNs of two tasks of its kind is invalid."""
    assert refs({"kind": "batch-job", "a": BATCH, "b": BATCH.replace(JOB, "c")}) == ["field"]


def event(type_: str, source: str, detail: Any, **members: Any) -> dict[str, Any]:
    return {"detail-type": type_, "source": source, "account": HOME, "region": "us-east-1", "detail": detail, **members}


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (event("Batch Job State Change", "aws.batch", {"jobId": JOB, "jobArn": BATCH, "status": "RUNNING"}), TaskRef("batch-job", (JOB,))),
        (event("CodeBuild Build State Change", "aws.codebuild", {"build-id": BUILD}), TaskRef("codebuild-build", (f"site:{JOB}",))),
        (
            event("ECS Task State Change", "aws.ecs", {"taskArn": TASK, "clusterArn": f"arn:aws:ecs:us-east-1:{HOME}:cluster/web"}),
            TaskRef("ecs-task", ("web", TASK)),
        ),
        (event("ECS Task State Change", "aws.ecs", {}, resources=[TASK]), TaskRef("ecs-task", ("web", TASK))),
        (event("Glue Job State Change", "aws.glue", {"jobName": "load", "jobRunId": "jr_1"}), TaskRef("glue-job-run", ("load", "jr_1"))),
        (
            event("Step Functions Execution Status Change", "aws.states", {"executionArn": EXECUTION, "input": '{"order": 7}'}),
            TaskRef("stepfunctions-execution", (EXECUTION,)),
        ),
    ],
)
def test_a_notification_of_any_service_requests_a_poll_now(message: Any, named: TaskRef) -> None:
    """Its identifiers are under the names of the kind, or in an ARN of the detail or of the resources."""
    assert found(message) == [Submission(named, poll_now=True)]
    moved = json.loads(json.dumps(message).replace("us-east-1", "eu-central-1"))
    (outcome,) = found(moved, watch_notified=True)
    assert isinstance(outcome, Submission)
    assert outcome.ref.target == "eu"


def test_a_notification_of_another_account_starts_no_watch() -> None:
    """Where the source starts watches from notifications, one that no target can poll is out of scope."""
    message = event("Batch Job State Change", "aws.batch", {"jobId": JOB}, region="ap-south-1")
    assert refs(message, watch_notified=True) == ["scope"]
    assert found(message) == [Submission(TaskRef("batch-job", (JOB,)), poll_now=True)]
    assert refs(event("Batch Job State Change", "aws.batch", {})) == refs(event("Batch Job Queue Blocked", "aws.batch", {})) == ["ignored"]


def record(name: str, host: str, request: Any, reply: Any, **members: Any) -> dict[str, Any]:
    detail = {"eventName": name, "eventSource": f"{host}.amazonaws.com", "awsRegion": "us-east-1", "recipientAccountId": HOME}
    detail |= {"requestParameters": request, "responseElements": reply, **members}
    return event("AWS API Call via CloudTrail", f"aws.{host}", detail)


def test_a_record_of_a_start_call_belongs_to_the_target_of_its_account() -> None:
    """By the rule for ARNs; a record of another account and Region is out of scope."""
    job = {"transcriptionJob": {"transcriptionJobName": "call-7", "transcriptionJobStatus": "IN_PROGRESS"}}
    message = record("StartTranscriptionJob", "transcribe", {"transcriptionJobName": "call-7"}, job)
    assert refs(message) == [TaskRef("transcription", ("call-7",))]
    for members, expected in (
        ({"recipientAccountId": OTHER}, "prod"),
        ({"awsRegion": "eu-central-1"}, "eu"),
        ({"awsRegion": "ap-south-1"}, "scope"),
    ):
        (named,) = refs({**message, "detail": {**message["detail"], **members}})
        assert (named.target if isinstance(named, TaskRef) else named) == expected


@pytest.mark.parametrize(
    ("name", "host", "request_", "reply", "named"),
    [
        ("SubmitJob", "batch", {"jobName": "n"}, {"jobName": "n", "jobId": JOB, "jobArn": BATCH}, TaskRef("batch-job", (JOB,))),
        ("StartJobRun", "glue", {"jobName": "load"}, {"jobRunId": "jr_1"}, TaskRef("glue-job-run", ("load", "jr_1"))),
        ("StartJobRun", "emr-serverless", {}, {"applicationId": "a1", "jobRunId": "r1"}, TaskRef("emr-serverless-job-run", ("a1", "r1"))),
        (
            "StartBuild",
            "codebuild",
            {"projectName": "site"},
            {"build": {"id": f"site:{JOB}"}},
            TaskRef("codebuild-build", (f"site:{JOB}",)),
        ),
        ("RunTask", "ecs", {"cluster": "web"}, {"tasks": [{"taskArn": TASK}], "failures": []}, TaskRef("ecs-task", ("web", TASK))),
        ("CreateStack", "cloudformation", {"stackName": "web"}, {"stackId": STACK}, TaskRef("cloudformation-stack", (STACK,))),
        ("StartExecution", "states", {"input": '{"a": 1}'}, {"executionArn": EXECUTION}, TaskRef("stepfunctions-execution", (EXECUTION,))),
        (
            "CreateTrainingJob",
            "sagemaker",
            {"trainingJobName": "t-1"},
            {"trainingJobArn": f"arn:aws:sagemaker:us-east-1:{HOME}:training-job/t-1"},
            TaskRef("sagemaker-training", ("t-1",)),
        ),
        ("CreateDBSnapshot", "rds", {}, {"dBSnapshotIdentifier": "s-1", "status": "creating"}, TaskRef("rds-snapshot", ("s-1",))),
    ],
)
def test_the_record_of_a_start_call_names_its_task(name: str, host: str, request_: Any, reply: Any, named: TaskRef) -> None:
    """As CloudTrail spells the reply; what the reply does not have is in the request."""
    assert refs(record(name, host, request_, reply)) == [named]


def test_a_record_of_a_call_that_started_nothing_requires_no_action() -> None:
    """RunTask succeeds without a task where there is no capacity."""
    assert refs(record("RunTask", "ecs", {"cluster": "web"}, {"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]})) == ["ignored"]


def test_calls_of_the_same_name_are_told_apart_by_their_service() -> None:
    """A record of a call that another service also has is of no known task."""
    job = {"job": {"id": "1234567890123-abcdef"}}
    assert refs(record("CreateJob", "mediaconvert", {}, job)) == [TaskRef("mediaconvert-job", ("1234567890123-abcdef",))]
    assert refs(record("CreateJob", "iot", {}, job)) == ["shape"]


def test_inputs_inside_inputs_are_read_in_little_time() -> None:
    """The choice between a reply and its input looks ahead only as deep as envelopes may be."""
    message: Any = {"jobId": "x"}
    for _ in range(30):
        message = {"executionArn": EXECUTION, "input": message}
    assert len(found(message)) == 1
