"""Records of CloudTrail and notifications about tasks of the shipped kinds, as AWS writes them: each names its task."""

import json
from typing import Any

import pytest

from watcher.core.intake.submissions import read
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Scope, Submission

CATALOG = builtin_catalog()
ACCOUNT, REGION = "111122223333", "us-east-1"
ID = {kind.name: kind.params[-1].example for kind in CATALOG}
"""By kind, the example of a task's own id."""


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


CLUSTER = arn("ecs", "cluster/default")
RUN = {"applicationId": "00f1abcd2efgh509", "jobRunId": ID["emr-serverless-job-run"]}
RUN_ARN = arn("emr-serverless", f"/applications/{RUN['applicationId']}/jobruns/{RUN['jobRunId']}")

STARTED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # kind, responseElements, requestParameters
    ("athena-query", {"queryExecutionId": ID["athena-query"]}, {"queryString": "***"}),
    ("backup-job", {"backupJobId": ID["backup-job"], "creationDate": "Nov 26, 2026, 10:00:00 PM"}, {}),
    ("batch-job", {"jobArn": arn("batch", f"job/{ID['batch-job']}"), "jobName": "work", "jobId": ID["batch-job"]}, {"jobName": "work"}),
    ("bedrock-batch-inference", {"jobArn": ID["bedrock-batch-inference"]}, {"jobName": "answers"}),
    ("cloudformation-stack", {"stackId": ID["cloudformation-stack"]}, {"stackName": "website"}),
    ("codebuild-build", {"build": {"id": ID["codebuild-build"], "buildStatus": "IN_PROGRESS"}}, {"projectName": "website"}),
    ("comprehend-entities", {"jobId": ID["comprehend-entities"], "jobStatus": "SUBMITTED"}, {}),
    ("comprehend-key-phrases", {"jobId": ID["comprehend-key-phrases"], "jobStatus": "SUBMITTED"}, {}),
    ("comprehend-language", {"jobId": ID["comprehend-language"], "jobStatus": "SUBMITTED"}, {}),
    ("comprehend-sentiment", {"jobId": ID["comprehend-sentiment"], "jobStatus": "SUBMITTED"}, {}),
    ("datasync-execution", {"taskExecutionArn": ID["datasync-execution"]}, {"taskArn": arn("datasync", "task/task-0123456789abcdef0")}),
    ("ec2-image", {"requestId": "59dbff89", "imageId": ID["ec2-image"]}, {"instanceId": "i-0123456789abcdef0"}),
    ("ecs-task", {"tasks": [{"taskArn": ID["ecs-task"], "clusterArn": CLUSTER, "lastStatus": "PROVISIONING"}], "failures": []}, {}),
    ("emr-serverless-job-run", {**RUN, "arn": RUN_ARN}, {"applicationId": RUN["applicationId"]}),
    ("glue-job-run", {"jobRunId": ID["glue-job-run"]}, {"jobName": "nightly-orders"}),
    ("mediaconvert-job", {"job": {"id": ID["mediaconvert-job"], "status": "SUBMITTED"}}, {}),
    ("polly-synthesis", {"synthesisTask": {"taskId": ID["polly-synthesis"], "taskStatus": "scheduled"}}, {}),
    ("rds-snapshot", {"dBSnapshotIdentifier": ID["rds-snapshot"], "status": "creating"}, {"dBSnapshotIdentifier": ID["rds-snapshot"]}),
    ("rekognition-labels", {"jobId": ID["rekognition-labels"]}, {}),
    ("sagemaker-processing", {"processingJobArn": arn("sagemaker", "processing-job/x")}, {"processingJobName": ID["sagemaker-processing"]}),
    ("sagemaker-training", {"trainingJobArn": arn("sagemaker", "training-job/x")}, {"trainingJobName": ID["sagemaker-training"]}),
    ("sagemaker-transform", {"transformJobArn": arn("sagemaker", "transform-job/x")}, {"transformJobName": ID["sagemaker-transform"]}),
    ("stepfunctions-execution", {"executionArn": ID["stepfunctions-execution"], "startDate": "Nov 26, 2026, 10:00:00 PM"}, {}),
    ("textract-analysis", {"jobId": ID["textract-analysis"]}, {}),
    ("textract-text", {"jobId": ID["textract-text"]}, {}),
    ("transcription", {"transcriptionJob": {"transcriptionJobName": ID["transcription"], "transcriptionJobStatus": "IN_PROGRESS"}}, {}),
]

NOTIFIED: list[tuple[str, dict[str, Any], list[str]]] = [
    # kind, detail, resources
    ("athena-query", {"queryExecutionId": ID["athena-query"], "currentState": "SUCCEEDED"}, []),
    ("backup-job", {"backupJobId": ID["backup-job"], "state": "COMPLETED"}, []),
    ("batch-job", {"jobId": ID["batch-job"], "jobArn": arn("batch", f"job/{ID['batch-job']}"), "status": "RUNNING"}, []),
    ("bedrock-batch-inference", {"batchJobArn": ID["bedrock-batch-inference"], "status": "Completed"}, []),
    ("cloudformation-stack", {"stack-id": ID["cloudformation-stack"], "status-details": {"status": "CREATE_COMPLETE"}}, []),
    ("codebuild-build", {"build-status": "SUCCEEDED", "build-id": arn("codebuild", f"build/{ID['codebuild-build']}")}, []),
    ("datasync-execution", {"State": "SUCCESS"}, [ID["datasync-execution"]]),
    ("ec2-image", {"ImageId": ID["ec2-image"], "State": "available"}, []),
    ("ecs-task", {"taskArn": ID["ecs-task"], "clusterArn": CLUSTER, "lastStatus": "STOPPED"}, [ID["ecs-task"]]),
    ("emr-serverless-job-run", {**RUN, "arn": RUN_ARN, "state": "RUNNING"}, []),
    ("glue-crawler", {"crawlerName": ID["glue-crawler"], "state": "Succeeded"}, []),
    ("glue-job-run", {"jobName": "nightly-orders", "jobRunId": ID["glue-job-run"], "state": "SUCCEEDED"}, []),
    ("mediaconvert-job", {"jobId": ID["mediaconvert-job"], "status": "COMPLETE", "queue": arn("mediaconvert", "queues/Default")}, []),
    ("rds-snapshot", {"SourceIdentifier": ID["rds-snapshot"], "SourceArn": arn("rds", f"snapshot:{ID['rds-snapshot']}")}, []),
    ("sagemaker-processing", {"ProcessingJobName": ID["sagemaker-processing"], "ProcessingJobStatus": "Completed"}, []),
    ("sagemaker-training", {"TrainingJobName": ID["sagemaker-training"], "TrainingJobStatus": "Completed"}, []),
    ("sagemaker-transform", {"TransformJobName": ID["sagemaker-transform"], "TransformJobStatus": "Completed"}, []),
    ("stepfunctions-execution", {"executionArn": ID["stepfunctions-execution"], "status": "SUCCEEDED"}, []),
    ("transcription", {"TranscriptionJobName": ID["transcription"], "TranscriptionJobStatus": "COMPLETED"}, []),
]
VOICE = {"speaker-search", "voice-tone"}
"""Their events have tests of their own."""


def submission_of(event: dict[str, Any]) -> Submission:
    """What an EventBridge event requests."""
    body = json.dumps({"account": ACCOUNT, "region": REGION, **event}).encode()
    (outcome,) = read(body, CATALOG, now=1.8e9, scopes={"default": Scope(REGION, ACCOUNT)})
    assert isinstance(outcome, Submission), outcome
    return outcome


@pytest.mark.parametrize(("name", "reply", "request_"), STARTED, ids=[name for name, *_ in STARTED])
def test_the_record_of_a_start_names_the_task(name: str, reply: dict[str, Any], request_: dict[str, Any]) -> None:
    """By the reply in the record, and by the request where the reply does not have all identifiers."""
    kind = CATALOG[name]
    assert kind.start is not None
    host = f"{kind.start.source.removeprefix('aws.')}.amazonaws.com"
    record = {"eventName": kind.start.event_name, "eventSource": host, "awsRegion": REGION}
    record |= {"requestParameters": request_, "responseElements": reply}
    found = submission_of({"detail-type": "AWS API Call via CloudTrail", "source": kind.start.source, "detail": record})
    assert (found.ref.kind, found.ref.params) == (name, tuple(param.example for param in kind.params))
    assert not found.poll_now


@pytest.mark.parametrize(("name", "detail", "resources"), NOTIFIED, ids=[name for name, *_ in NOTIFIED])
def test_a_notification_names_the_task_to_poll(name: str, detail: dict[str, Any], resources: list[str]) -> None:
    """By a member of its detail, or by the ARN among its resources."""
    kind = CATALOG[name]
    assert kind.notifications is not None
    for type_ in kind.notifications.detail_types:
        found = submission_of({"detail-type": type_, "source": kind.notifications.source, "detail": detail, "resources": resources})
        assert (found.ref.kind, found.ref.params) == (name, tuple(param.example for param in kind.params))
        assert found.poll_now


def test_each_declared_event_is_tested() -> None:
    """A kind that declares a start or notifications has one in this file."""
    assert {name for name, *_ in STARTED} | VOICE == {kind.name for kind in CATALOG if kind.start is not None}
    assert {name for name, *_ in NOTIFIED} | VOICE == {kind.name for kind in CATALOG if kind.notifications is not None}
