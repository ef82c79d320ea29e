"""Tasks of declared kinds on the wire: requests that are refused, faults, and kinds of a user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aioboto3
import httpx
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from tests.process import HANG_S
from tests.simulator.declared.conftest import Connect
from tests.simulator.declared.samples import task_of
from watcher.errors import RemoteError, Unavailable, Unreadable
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind_files import read_kinds
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, SimulatedProbe, Simulator, simulator

ENDED: dict[str, Any] = {"latency": 0, "durations": "queue=0,run=0", "failed": 0, "stopped": 0}
OF_EACH_PROTOCOL = {
    "json": "transcription",
    "json in a batch": "ecs-task",
    "rest-json": "mediaconvert-job",
    "rest-json in a batch": "batch-job",
    "query": "rds-snapshot",
    "ec2": "ec2-image",
}
INVALIDATION = """
name: invalidation
service: cloudfront
operation: get_invalidation
params:
  DistributionId: {}
  Id: {}
task: Invalidation
status: Status
created: CreateTime
result: '{paths: InvalidationBatch.Paths.Items}'
statuses: {InProgress: open, Completed: succeeded}
"""
OWN_JOB = """
name: own-job
service: batch
operation: describe_jobs
params: {jobs: {list: true}}
task: jobs[0]
id: jobId
status: status
message: statusReason
result: '{queue: jobQueue}'
statuses: {RUNNING: open, SUCCEEDED: succeeded, FAILED: failed}
"""


def with_own(*texts: str) -> Catalog:
    """The shipped kinds, and those of a user after them."""
    return Catalog([*builtin_catalog(), *read_kinds({f"{n}.yaml": text for n, text in enumerate(texts)})])


@asynccontextmanager
async def client(sim: Simulator, service: str, **credentials: str) -> AsyncIterator[Any]:
    """A client of the SDK in the environment of the simulator."""
    async with aioboto3.Session().client(
        service,
        region_name="us-east-1",
        endpoint_url=sim.url,
        aws_access_key_id="simulator",
        aws_secret_access_key=credentials.get("secret", "simulator"),
        config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=HANG_S),
    ) as made:
        yield made


async def error_of(call: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        await call
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize("protocol", OF_EACH_PROTOCOL)
async def test_a_fault_breaks_a_reply_in_each_protocol(protocol: str, probe_of: Connect) -> None:
    """No broken body is read as a task, in any protocol; a call without a complete reply is unavailable."""
    kind = builtin_catalog()[OF_EACH_PROTOCOL[protocol]]
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        for fault, times, error in (
            *((fault, 1, Unreadable) for fault in ("empty", "html", "truncated", "wrong-id", "redirect", "huge")),
            ("garbage", 6, Unreadable),
            *((fault, 1, Unavailable) for fault in ("502", "503", "reset", "half")),
        ):
            sim.change(faults={fault: 1})
            for _ in range(times):
                assert await outcome(probe.observe([task_of(kind)])) is error, fault
        sim.change(faults={})
        assert await outcome(probe.observe([task_of(kind)])) is Observation


@pytest.mark.parametrize("name", ["athena-query", "rekognition-labels", "cloudformation-stack"])
async def test_a_probe_without_sockets_raises_what_the_watcher_does(name: str, probe_of: Connect) -> None:
    """Each error of a service is the same named error in process as over HTTP, also where the service has no such code."""
    ref = task_of(builtin_catalog()[name])
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        assert sim.declared is not None
        in_process = SimulatedProbe(sim.service, declared=sim.declared.service)
        for fault in ("throttling", "500", "503", "conflict", "403", "401", "revoked"):
            sim.change(faults={fault: 1})
            assert await outcome(probe.observe([ref])) is await outcome(in_process.observe([ref])), fault


async def outcome(call: Any) -> type:
    """The class of the outcome of a call about one task."""
    try:
        (found,) = await call
    except RemoteError as error:
        return type(error)
    return type(found)


async def test_requests_that_do_not_fit_the_api_are_refused() -> None:
    """An operation that reads no task, a call without a required id, and one with too many ids get the errors of the service."""
    async with simulator(Scenario(latency=0), kinds=builtin_catalog) as sim:
        async with client(sim, "transcribe") as transcribe:
            assert (await error_of(transcribe.list_transcription_jobs()))[0] == "UnknownOperationException"
        async with client(sim, "batch") as batch:
            code, message = await error_of(batch.describe_jobs(jobs=[f"job-{n}" for n in range(101)]))
            assert (code, message) == ("ValidationException", "jobs has 101 ids; at most 100 are allowed")
        async with client(sim, "cloudformation") as cloudformation:
            code, message = await error_of(cloudformation.describe_stacks())
            assert (code, message) == ("ValidationError", "the parameter StackName is required")
            assert (await error_of(cloudformation.list_stacks()))[0] == "InvalidAction"
        async with client(sim, "sqs") as sqs:
            assert "set the endpoint of this service" in (await error_of(sqs.list_queues()))[1]
        async with client(sim, "ec2", secret="wrong") as ec2, client(sim, "rds", secret="wrong") as rds:
            assert (await error_of(ec2.describe_images(ImageIds=["ami-12345678"])))[0] == "AuthFailure"
            assert (await error_of(rds.describe_db_snapshots(DBSnapshotIdentifier="x")))[0] == "SignatureDoesNotMatch"
        refused = {"unknown-operation": 2, "unknown-service": 1, "signature": 2}
        assert sim.stats.outcomes == {"ValidationException": 1, "ValidationError": 1, **refused}


async def test_two_services_that_sign_alike_are_told_apart() -> None:
    """The voice service and the media pipelines both sign as `chime`: each gets its own calls, and the voice service is as before."""
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim:
        async with client(sim, "chime-sdk-voice") as voice, client(sim, "chime-sdk-media-pipelines") as media:
            task = (await voice.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId="t"))["SpeakerSearchTask"]
            assert task["SpeakerSearchTaskStatus"] == "SUCCEEDED"
            id_ = task_of(builtin_catalog()["media-speaker-search"]).params[1]
            other = (await media.get_speaker_search_task(Identifier="p", SpeakerSearchTaskId=id_))["SpeakerSearchTask"]
            assert other["SpeakerSearchTaskStatus"] == "Failed"
            assert (await error_of(voice.list_voice_connectors()))[0] == "UnknownOperationException"
        assert (len(sim.tasks), sim.stats.actions) == (1, {"Get": 1, "GetSpeakerSearchTask": 1})


async def test_a_kind_of_a_user_is_served(probe_of: Connect) -> None:
    """A kind of a REST-XML service is read through to its end, and one with the call of a shipped kind takes precedence over that."""
    catalog = with_own(INVALIDATION, OWN_JOB)
    async with simulator(Scenario(**ENDED), kinds=lambda: catalog) as sim, probe_of(sim, catalog) as probe:
        (seen,) = await probe.observe([TaskRef("invalidation", ("E1", "I1"))])
        assert isinstance(seen, Observation)
        assert (seen.status, seen.result) == ("Completed", {"paths": ["simulated Items"]})
        (seen,) = await probe.observe([TaskRef("own-job", ("job-1",))])
        assert isinstance(seen, Observation)
        assert (seen.status, seen.result) == ("SUCCEEDED", {"queue": "simulated jobQueue"})
        assert sim.truth(TaskRef("own-job", ("job-1",)))[-1][0] == "SUCCEEDED"


async def test_a_result_has_values_of_the_right_types(probe_of: Connect) -> None:
    """The members of a result are there after a success, with the mark in each text; only errors are there after a failure."""
    async with simulator(Scenario(**{**ENDED, "mark": "canary-"}), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        batch, *failed = [TaskRef("batch-job", ("job-1",)), TaskRef("batch-job", ("failed-1",))]
        execution = TaskRef("stepfunctions-execution", ("arn:aws:states:us-east-1:111122223333:execution:orders:failed-1",))
        results = []
        for refs in ([batch], failed, [execution]):
            (seen,) = await probe.observe(refs)
            assert isinstance(seen, Observation)
            results.append(seen.result)
            assert seen.message is None or seen.message.startswith("canary-")
        assert results == [
            {"exit_code": 0, "log_stream": "canary-simulated logStreamName", "attempts": 1},
            {"exit_code": None, "log_stream": None, "attempts": 0},
            {"error": "canary-simulated error"},
        ]


async def test_a_call_without_the_constant_members_of_a_kind_is_answered() -> None:
    """An application of a user need not send what the watcher sends besides the id."""
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim, client(sim, "textract") as textract:
        assert (await textract.get_document_analysis(JobId="job-1"))["JobStatus"] == "SUCCEEDED"


async def test_a_status_that_is_set_is_what_an_sdk_reads(probe_of: Connect) -> None:
    """After PUT, a call shows the status, also one of a task that no call was about; what the kind does not declare is refused."""
    arn = "arn:aws:ecs:us-east-1:111122223333:task/default/t-1"
    path = f"/_simulator/tasks/ecs-task/default/{arn.replace('/', '%2F')}"
    async with simulator(Scenario(**{**ENDED, "known_only": True}), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        assert await send(sim, "GET", path) == (404, "there is no such task yet")
        for status in ("DEACTIVATING", "STOPPED_WITH_ERROR", "STOPPED"):
            assert await send(sim, "PUT", path, {"status": status}) == (200, status)
            (seen,) = await probe.observe([TaskRef("ecs-task", ("default", arn))])
            assert isinstance(seen, Observation)
            assert seen.status == status
        assert await send(sim, "PUT", path, {"status": "NEW", "undeclared": True}) == (200, "NEW")
        assert await send(sim, "GET", path) == (200, "NEW")
        code, message = await send(sim, "PUT", path, {"status": "NEW"})
        assert (code, "ecs-task declares only PROVISIONING" in message) == (400, True)
        code, message = await send(sim, "GET", "/_simulator/tasks/ecs-task/default")
        assert (code, "use /_simulator/tasks/ecs-task/cluster/tasks" in message) == (404, True)
        assert (await send(sim, "GET", "/_simulator/tasks/none/a/b"))[0] == 404


async def send(sim: Simulator, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """The code of the reply to a request without a signature, and the status or the message in it."""
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as http:
        reply = await http.request(method, f"{sim.url}{path}", content=json.dumps(body).encode())
    found: dict[str, Any] = reply.json()
    return reply.status_code, found.get("status") or found["message"]


async def test_the_environment_is_for_all_services() -> None:
    """A simulator of other kinds has the endpoint of all services in its environment, besides that of the voice service."""
    async with simulator(kinds=builtin_catalog) as sim, simulator() as voice:
        assert sim.environment.items() > {"AWS_ENDPOINT_URL": sim.url, "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": sim.url}.items()
        assert "AWS_ENDPOINT_URL" not in voice.environment


async def test_a_request_is_logged_with_the_statuses_of_its_tasks(probe_of: Connect) -> None:
    """The log of requests has the statuses of all tasks in the reply."""
    logged: list[dict[str, Any]] = []
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        sim.on_request = logged.append
        await probe.observe([TaskRef("batch-job", (name,)) for name in ("failed-1", "job-2")])
        (record,) = logged
        assert (record["path"], record["outcome"], record["task_status"]) == ("/v1/describejobs", "ok", "FAILED,SUCCEEDED")


async def test_several_first_requests_at_once_are_answered(probe_of: Connect) -> None:
    """The kinds are loaded while requests wait."""
    async with simulator(Scenario(**ENDED), kinds=builtin_catalog) as sim, probe_of(sim) as probe:
        refs: Sequence[TaskRef] = [task_of(builtin_catalog()[name]) for name in OF_EACH_PROTOCOL.values()]
        found = await asyncio.gather(*(probe.observe([ref]) for ref in refs))
        assert {type(seen) for (seen,) in found} == {Observation}
