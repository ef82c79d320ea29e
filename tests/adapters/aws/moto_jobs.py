"""Starts real jobs on moto's server, with the plain SDK: one for each kind that the server has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.moto_server import plain_client

ROLE = "arn:aws:iam::123456789012:role/jobs"
INPUT, OUTPUT = "s3://records/input", "s3://records/output"

Ids = Mapping[str, str]
"""The identifiers of a task, by their names in a message."""


@dataclass(frozen=True)
class Job:
    """How to start a job of a kind, and how it ends on moto's server."""

    kind: str
    start: Callable[[str], Ids]
    """Starts one on the server at this URL."""
    status: str
    statuses: tuple[str, ...] = ()
    """The statuses before it that the server shows."""
    result: dict[str, Any] | None = None
    """The result in the last event; None: not checked."""


def _transcription(url: str) -> Ids:
    media = {"MediaFileUri": f"{INPUT}/call.wav"}
    plain_client("transcribe", url).start_transcription_job(TranscriptionJobName="call-1", LanguageCode="en-US", Media=media)
    return {"TranscriptionJobName": "call-1"}


def _document(url: str) -> dict[str, Any]:
    s3 = plain_client("s3", url)
    s3.create_bucket(Bucket="records")
    s3.put_object(Bucket="records", Key="letter.pdf", Body=b"%PDF")
    return {"DocumentLocation": {"S3Object": {"Bucket": "records", "Name": "letter.pdf"}}}


def _text(url: str) -> Ids:
    return {"job_id": plain_client("textract", url).start_document_text_detection(**_document(url))["JobId"]}


def _analysis(url: str) -> Ids:
    return {"job_id": plain_client("textract", url).start_document_analysis(**_document(url), FeatureTypes=["TABLES"])["JobId"]}


def _glue_job_run(url: str) -> Ids:
    glue = plain_client("glue", url)
    glue.create_job(Name="nightly", Role=ROLE, Command={"Name": "glueetl", "ScriptLocation": f"{INPUT}/job.py"})
    return {"job_name": "nightly", "job_run_id": glue.start_job_run(JobName="nightly")["JobRunId"]}


def _batch_job(url: str) -> Ids:
    httpx.post(f"{url}/moto-api/config", json={"batch": {"use_docker": False}}, trust_env=False).raise_for_status()
    role = plain_client("iam", url).create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    batch = plain_client("batch", url)
    batch.create_compute_environment(computeEnvironmentName="fleet", type="UNMANAGED", state="ENABLED", serviceRole=role)
    order = [{"order": 1, "computeEnvironment": "fleet"}]
    batch.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)
    container = {"image": "busybox", "vcpus": 1, "memory": 128, "command": ["true"]}
    batch.register_job_definition(jobDefinitionName="work", type="container", containerProperties=container)
    return {"job_id": batch.submit_job(jobName="one", jobQueue="queue", jobDefinition="work")["jobId"]}


def _execution(url: str) -> Ids:
    role = plain_client("iam", url).create_role(RoleName="states", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    states = plain_client("stepfunctions", url)
    definition = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}})
    machine = states.create_state_machine(name="orders", definition=definition, roleArn=role)["stateMachineArn"]
    arn = states.start_execution(stateMachineArn=machine)["executionArn"]
    states.stop_execution(executionArn=arn)
    return {"execution_arn": arn}


def _build(url: str) -> Ids:
    builds = plain_client("codebuild", url)
    builds.create_project(
        name="website",
        source={"type": "S3", "location": "records/website"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={"type": "LINUX_CONTAINER", "image": "busybox", "computeType": "BUILD_GENERAL1_SMALL"},
        serviceRole=ROLE,
    )
    return {"build_id": builds.start_build(projectName="website")["build"]["id"]}


def _training(url: str) -> Ids:
    plain_client("sagemaker", url).create_training_job(
        TrainingJobName="churn",
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": OUTPUT},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    return {"TrainingJobName": "churn"}


def _processing(url: str) -> Ids:
    s3_output = {"S3Uri": OUTPUT, "LocalPath": "/output", "S3UploadMode": "EndOfJob"}
    plain_client("sagemaker", url).create_processing_job(
        ProcessingJobName="features",
        RoleArn=ROLE,
        AppSpecification={"ImageUri": "image"},
        ProcessingResources={"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
        ProcessingOutputConfig={"Outputs": [{"OutputName": "features", "S3Output": s3_output}]},
    )
    return {"ProcessingJobName": "features"}


def _transform(url: str) -> Ids:
    plain_client("sagemaker", url).create_transform_job(
        TransformJobName="scores",
        ModelName="model",
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": INPUT}}},
        TransformOutput={"S3OutputPath": OUTPUT},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    return {"TransformJobName": "scores"}


def _serverless_job_run(url: str) -> Ids:
    emr = plain_client("emr-serverless", url)
    application = emr.create_application(name="spark", releaseLabel="emr-6.6.0", type="SPARK", clientToken="a")["applicationId"]
    run = emr.start_job_run(applicationId=application, clientToken="b", executionRoleArn=ROLE)["jobRunId"]
    return {"applicationId": application, "jobRunId": run}


def _container_task(url: str) -> Ids:
    ecs = plain_client("ecs", url)
    ecs.create_cluster(clusterName="jobs")
    ecs.register_task_definition(family="work", containerDefinitions=[{"name": "main", "image": "busybox", "memory": 64}])
    task = ecs.run_task(cluster="jobs", taskDefinition="work", launchType="FARGATE")["tasks"][0]
    return {"cluster": "jobs", "task_arn": task["taskArn"]}


def _stack(url: str) -> Ids:
    template = json.dumps({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}})
    return {"stack_id": plain_client("cloudformation", url).create_stack(StackName="website", TemplateBody=template)["StackId"]}


def _snapshot(url: str) -> Ids:
    rds = plain_client("rds", url)
    login = {"MasterUsername": "admin", "MasterUserPassword": "not-a-secret"}
    rds.create_db_instance(DBInstanceIdentifier="orders", Engine="postgres", DBInstanceClass="db.m5.large", AllocatedStorage=10, **login)
    rds.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="orders-1")
    return {"DBSnapshotIdentifier": "orders-1"}


def _image(url: str) -> Ids:
    ec2 = plain_client("ec2", url)
    base = ec2.describe_images(Owners=["amazon"], MaxResults=5)["Images"][0]["ImageId"]
    instance = ec2.run_instances(ImageId=base, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    return {"image_id": ec2.create_image(InstanceId=instance, Name="web")["ImageId"]}


def _transfer(url: str) -> Ids:
    datasync = plain_client("datasync", url)
    ends = [
        datasync.create_location_s3(S3BucketArn=f"arn:aws:s3:::{bucket}", S3Config={"BucketAccessRoleArn": ROLE})["LocationArn"]
        for bucket in ("records", "archive")
    ]
    task = datasync.create_task(SourceLocationArn=ends[0], DestinationLocationArn=ends[1])["TaskArn"]
    return {"TaskExecutionArn": datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]}


JOBS = (
    Job("transcription", _transcription, "COMPLETED", ("QUEUED", "IN_PROGRESS")),
    Job("textract-text", _text, "SUCCEEDED", (), {"pages": 12, "warnings": []}),
    Job("textract-analysis", _analysis, "SUCCEEDED", (), {"pages": 12, "warnings": []}),
    Job("glue-job-run", _glue_job_run, "SUCCEEDED"),
    Job("batch-job", _batch_job, "SUCCEEDED"),
    Job("stepfunctions-execution", _execution, "ABORTED"),
    Job("codebuild-build", _build, "SUCCEEDED"),
    Job("sagemaker-training", _training, "Completed"),
    Job("sagemaker-processing", _processing, "Completed", (), {"output_uris": [OUTPUT]}),
    Job("sagemaker-transform", _transform, "Completed", (), {"output_uri": OUTPUT}),
    Job("emr-serverless-job-run", _serverless_job_run, "SUCCESS"),
    Job(
        "ecs-task",
        _container_task,
        "STOPPED",
        ("DEACTIVATING", "STOPPING", "DEPROVISIONING"),
        {"stop_code": None, "exit_codes": [{"name": "main", "exit_code": 0}]},
    ),
    Job("cloudformation-stack", _stack, "CREATE_COMPLETE"),
    Job("rds-snapshot", _snapshot, "available"),
    Job("ec2-image", _image, "available"),
    # AWS has LAUNCHING and not INITIALIZING, so this is also about a status that the kind does not declare
    Job("datasync-execution", _transfer, "SUCCESS", ("INITIALIZING", "PREPARING", "TRANSFERRING", "VERIFYING")),
)
