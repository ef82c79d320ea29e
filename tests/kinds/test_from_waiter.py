"""Kinds made of botocore's waiters."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from watcher.adapters.aws.service_models import ServiceModels
from watcher.kinds.api_check import check_kind
from watcher.kinds.form import PLACEHOLDER_STATUS, KindForm
from watcher.kinds.from_waiter import default_name, kind_from_waiter
from watcher.kinds.waiter_status import UnusableWaiter
from watcher.yaml_text import read_yaml_text

APIS = ServiceModels()


def written(service: str, waiter: str) -> str:
    api = APIS.service(service)
    return kind_from_waiter(api, waiter, default_name(api, waiter))


def form_of(text: str) -> KindForm:
    """The form of an entry, with a status in the place of the placeholder."""
    return parsed(text.replace(f"      {PLACEHOLDER_STATUS}:", "      Running:"))


def parsed(text: str) -> KindForm:
    (entry,) = read_yaml_text(f"kinds:\n{text}", "w.yaml")["kinds"]
    return KindForm.model_validate(entry)


@pytest.mark.parametrize(
    ("service", "waiter", "task", "id_", "status"),
    [
        ("sagemaker", "TrainingJobCompletedOrStopped", "@", None, "TrainingJobStatus"),
        ("sagemaker", "ProcessingJobCompletedOrStopped", "@", None, "ProcessingJobStatus"),
        ("rds", "DBSnapshotAvailable", "DBSnapshots[0]", None, "Status"),
        ("ecs", "TasksStopped", "tasks[0]", "taskArn", "lastStatus"),
        ("ec2", "ImageAvailable", "Images[0]", "ImageId", "State"),
        ("ec2", "InstanceRunning", "Reservations[0].Instances[0]", "InstanceId", "State.Name"),
        ("cloudformation", "StackCreateComplete", "Stacks[0]", None, "StackStatus"),
        ("codedeploy", "DeploymentSuccessful", "deploymentInfo", None, "status"),
        ("ssm", "CommandExecuted", "@", None, "Status"),
        ("emr", "StepComplete", "Step", "Id", "Status.State"),
        ("deadline", "JobCreateComplete", "@", None, "lifecycleStatus"),
        ("eks", "ClusterActive", "cluster", None, "status"),
        ("lambda", "FunctionActiveV2", "Configuration", None, "State"),
        ("redshift", "ClusterAvailable", "Clusters[0]", None, "ClusterStatus"),
        ("cloudfront", "InvalidationCompleted", "Invalidation", None, "Status"),
        ("medialive", "ChannelRunning", "@", "Id", "State"),
    ],
)
def test_a_waiter_becomes_a_kind_that_fits_its_api(service: str, waiter: str, task: str, id_: str | None, status: str) -> None:
    """The kind parses, passes the comparison with the API model, and has the call, the task, its id and its status."""
    form = form_of(written(service, waiter))
    assert (form.task, form.id, form.status) == (task, id_, status)
    assert check_kind(form, APIS) == []
    assert form.kind().statuses


def test_the_statuses_have_the_classes_of_the_waiter() -> None:
    """Its success is succeeded, its failure failed, all other words of the API open, with a question where they look like an end."""
    text = written("ec2", "ImageAvailable")
    statuses = form_of(text).statuses
    assert (statuses["available"], statuses["failed"], statuses["pending"]) == ("succeeded", "failed", "open")
    assert "      error: open  # check: succeeded or failed, if no other status follows it\n" in text


def test_guesses_are_marked() -> None:
    """What the model does not say has a comment: the id of a task, statuses without an enum, codes with several meanings."""
    text = written("ecs", "TasksStopped")
    assert "    id: taskArn  # check: the member that is equal to tasks\n" in text
    assert "the API model does not list the statuses; complete this list" in text
    assert 'ValidationError: "not exist|not found"  # check: ' in written("cloudformation", "StackCreateComplete")
    assert form_of(written("ssm", "CommandExecuted")).not_found == {"InvocationDoesNotExist": None}


@pytest.mark.parametrize(
    ("service", "waiter", "arn"),
    [
        ("ecs", "TasksStopped", "arn:aws:ecs:us-east-1:111122223333:task/web/0123456789abcdef0"),
        ("ecs", "ServicesInactive", "arn:aws:ecs:us-east-1:111122223333:service/web/api"),
        ("medialive", "SignalMapCreated", "arn:aws:medialive:us-east-1:111122223333:signal-map:1234567"),
        ("gameliftstreams", "StreamGroupActive", "arn:aws:gameliftstreams:us-east-1:111122223333:streamgroup/sg-1AB2C3De4"),
        ("mediaconnect", "FlowActive", "arn:aws:mediaconnect:us-east-1:111122223333:flow:1-23aBC45dEF67hiJ8-12AbC34DE5fG:BasketballGame"),
    ],
)
def test_a_task_that_the_reply_names_by_its_arn_is_named_by_its_arn(service: str, waiter: str, arn: str) -> None:
    """Only a param that accepts ARNs, and no bare id, can be equal to the ARN in the reply; a comment says so where the param has no such
    name."""
    text = written(service, waiter)
    own = form_of(text).kind().params[-1]
    assert (bool(own.pattern.fullmatch(arn)), own.pattern.fullmatch(arn.rpartition("/")[2].rpartition(":")[2])) == (True, None)
    asked = "so a task is named by its ARN; the call must accept it\n" in text
    assert asked == (not own.name.lower().endswith("arn"))


def test_a_placeholder_is_refused() -> None:
    """A status that the waiter and the API model do not have has to be written before the kind can be used."""
    text = written("cloudfront", "DistributionDeployed")
    assert f"      {PLACEHOLDER_STATUS}: open  # check: replace {PLACEHOLDER_STATUS} with the first status of such a task; " in text
    with pytest.raises(ValidationError) as caught:
        parsed(text)
    (mistake,) = caught.value.errors()
    assert mistake["loc"][:2] == ("statuses", PLACEHOLDER_STATUS)
    assert "is a placeholder; replace it with the first status" in mistake["msg"]


def test_an_id_that_no_member_is_named_like_is_left_out() -> None:
    """A member of another name is not proposed; the comment says what the reply is then not compared with."""
    text = written("acm", "CertificateValidated")
    assert form_of(text).id is False
    assert "the member that is equal to CertificateArn, if there is one; with false, a reply is not compared with the task\n" in text
    assert form_of(written("neptune-graph", "ImportTaskSuccessful")).id is False
    assert form_of(written("gameliftstreams", "ApplicationReady")).id == "Arn"


@pytest.mark.parametrize(
    ("service", "waiter", "sure", "unsure", "absent"),
    [
        ("redshift", "ClusterAvailable", "created: ClusterCreateTime", None, "NextMaintenanceWindowStartTime"),
        ("redshift", "SnapshotAvailable", "created: SnapshotCreateTime", None, "SnapshotRetentionStartTime"),
        ("rds", "DBClusterAvailable", "created: ClusterCreateTime", None, "AutomaticRestartTime"),
        ("ecs", "TasksStopped", "created: createdAt", "started: pullStartedAt", "stoppingAt"),
        ("ec2", "InstanceRunning", None, "created: LaunchTime", "UsageOperationUpdateTime"),
        ("cloudfront", "DistributionDeployed", None, "updated: LastModifiedTime", "created:"),
        ("sagemaker", "TrainingJobCompletedOrStopped", "updated: TrainingEndTime", None, "LastModifiedTime"),
    ],
)
def test_only_a_time_with_a_clear_name_needs_no_check(service: str, waiter: str, sure: str | None, unsure: str | None, absent: str) -> None:
    """A time of the task with a name such as CreatedAt has no comment, any other one has; times of something else are left out."""
    text = written(service, waiter)
    assert sure is None or f"    {sure}\n" in text
    assert unsure is None or f"    {unsure}  # check: when the " in text
    assert absent not in text


def test_times_are_found_by_their_names() -> None:
    """A time of creation, of the start and of the end are those of the kind."""
    form = form_of(written("sagemaker", "TrainingJobCompletedOrStopped"))
    assert (form.created, form.started, form.updated, form.message) == (
        "CreationTime",
        "TrainingStartTime",
        "TrainingEndTime",
        "FailureReason",
    )
    assert list(form.params) == ["TrainingJobName"]


def test_the_own_id_is_the_last_param() -> None:
    """A call with several identifiers has the one that the task repeats last."""
    assert list(form_of(written("deadline", "JobCreateComplete")).params) == ["farmId", "queueId", "jobId"]
    assert form_of(written("ecs", "TasksStopped")).params["tasks"].list


@pytest.mark.parametrize(
    ("service", "waiter", "reason"),
    [
        ("s3", "BucketExists", "it calls head_bucket"),
        ("iam", "UserExists", "it looks only at HTTP statuses and error codes"),
        ("ec2", "InstanceExists", "it does not wait for a status: it looks at length"),
        ("eks", "ClusterDeleted", "it waits until the task no longer exists .error ResourceNotFoundException"),
        ("dms", "ReplicationTaskReady", "DescribeReplicationTasks has no parameter that names one task"),
        ("ecr", "ImageScanComplete", "the API requires imageId"),
        ("omics", "VariantStoreDeleted", "the API model does not have the statuses that it waits for"),
    ],
)
def test_a_waiter_without_a_status_says_why(service: str, waiter: str, reason: str) -> None:
    """A waiter that cannot become a kind has a reason, which names what it looks at instead."""
    with pytest.raises(UnusableWaiter, match=reason):
        written(service, waiter)


@pytest.mark.slow
def test_most_waiters_become_kinds() -> None:
    """Of all waiters that botocore ships, nearly three in four become kinds, each of which fits its API, except for a placeholder."""
    results = [_result(service, waiter) for service in APIS.services for waiter in APIS.service(service).waiters]
    assert [each for each in results if isinstance(each, list) and each] == []
    assert len([each for each in results if each == []]) > 0.7 * len(results) > 200


@pytest.mark.slow
def test_no_waiter_becomes_a_kind_whose_id_cannot_be_equal_to_its_param() -> None:
    """Of all waiters that botocore ships, each that compares an ARN in the reply has a param that accepts ARNs."""
    found = [form for service in APIS.services for waiter in APIS.service(service).waiters if (form := _form(service, waiter)) is not None]
    by_arn = [form for form in found if isinstance(form.id, str) and form.id.lower().endswith("arn")]
    assert len(by_arn) > 5
    assert [form.name for form in by_arn if not form.kind().params[-1].pattern.fullmatch("arn:aws:x:us-east-1:111122223333:y/z")] == []


def _form(service: str, waiter: str) -> KindForm | None:
    try:
        return form_of(written(service, waiter))
    except UnusableWaiter:
        return None


def _result(service: str, waiter: str) -> list[object] | str:
    try:
        return list(check_kind(form_of(written(service, waiter)), APIS))
    except UnusableWaiter as reason:
        return str(reason)
