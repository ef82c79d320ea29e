"""Calls about several tasks: one request, and an outcome for each task that says nothing about another one."""

from __future__ import annotations

import json
import time
from asyncio import StreamWriter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.adapters.aws.kinds import CATALOG
from tests.adapters.aws.wire import Answer, Request, Wire, fault, reply
from watcher import errors
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.model import Observation, TaskRef

CLUSTER = "blue"
ARN = "arn:aws:ecs:us-east-1:111122223333:task/blue/"


@pytest.fixture
async def probe(aws: AwsClients) -> AsyncIterator[AwsProbe]:
    clients = AwsClients(catalog=CATALOG)
    yield AwsProbe(clients, CATALOG, call_deadline=300.0, clock=time.time)
    await clients.close()


def jobs(*ids: str) -> list[TaskRef]:
    return [TaskRef("batch-job", (each,)) for each in ids]


def queries(*ids: str) -> list[TaskRef]:
    return [TaskRef("query", (each,)) for each in ids]


def job(name: str, status: str = "RUNNING", **members: Any) -> dict[str, Any]:
    return {"jobId": name, "status": status, **members}


def named(outcomes: Any) -> list[str]:
    """The status, or the name of the error, of each task."""
    return [each.status if isinstance(each, Observation) else type(each).__name__ for each in outcomes]


async def failure(probe: AwsProbe, refs: list[TaskRef]) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await probe.observe(refs)
    return caught.value


async def test_one_request_is_about_all_tasks(probe: AwsProbe, wire: Wire) -> None:
    """Each task has its own outcome, in the order in which they were named, whatever the order of the reply is."""
    for number in (1, 3, 100):
        ids = [f"j{n}" for n in range(number)]
        wire.answer = reply(200, {"jobs": [job(each, f"S{each}") for each in reversed(ids)]})
        assert named(await probe.observe(jobs(*ids))) == [f"S{each}" for each in ids]
        assert json.loads(wire.requests[-1].body) == {"jobs": ids}
    assert len(wire.requests) == 3


async def test_a_reply_about_many_tasks_may_be_large(probe: AwsProbe, wire: Wire) -> None:
    """A hundred tasks with 100 KiB each are read."""
    wire.answer = reply(200, {"jobs": [job(f"j{n}", statusReason="x" * 100_000) for n in range(100)]})
    assert named(await probe.observe(jobs(*(f"j{n}" for n in range(100))))) == ["RUNNING"] * 100


async def test_what_the_tasks_have_in_common_is_in_the_request(probe: AwsProbe, wire: Wire) -> None:
    """The other parameters of the key are sent beside the list of ids."""
    wire.answer = reply(200, {"tasks": [{"taskArn": ARN + "a", "lastStatus": "RUNNING"}], "failures": []})
    outcomes = await probe.observe([TaskRef("ecs-task", (CLUSTER, ARN + "a")), TaskRef("ecs-task", (CLUSTER, ARN + "b"))])
    assert named(outcomes) == ["RUNNING", "NotFound"]
    assert json.loads(wire.requests[0].body) == {"cluster": CLUSTER, "tasks": [ARN + "a", ARN + "b"]}


async def test_a_task_outside_the_reply_is_not_found(probe: AwsProbe, wire: Wire) -> None:
    """Also where the reply has no task at all; a task that was not requested is ignored."""
    wire.answer = reply(200, {"jobs": [job("j2"), job("j9")]})
    assert named(await probe.observe(jobs("j1", "j2"))) == ["NotFound", "RUNNING"]
    wire.answer = reply(200, {"jobs": []})
    assert named(await probe.observe(jobs("j1", "j2"))) == ["NotFound", "NotFound"]


async def test_an_unreadable_task_spoils_no_other(probe: AwsProbe, wire: Wire) -> None:
    """A task with a wrong member, or with a result that is too large, is unreadable alone."""
    for broken in (job("j2", "A\nB"), {"jobId": "j2"}, job("j2", statusReason="x" * 200_000)):
        wire.answer = reply(200, {"jobs": [job("j1"), broken, job("j3")]})
        assert named(await probe.observe(jobs("j1", "j2", "j3"))) == ["RUNNING", "Unreadable", "RUNNING"]


async def test_two_different_answers_about_a_task_are_unreadable(probe: AwsProbe, wire: Wire) -> None:
    """The same answer twice is one answer."""
    wire.answer = reply(200, {"jobs": [job("j1"), job("j2"), job("j1", "FAILED"), job("j2")]})
    assert named(await probe.observe(jobs("j1", "j2"))) == ["Unreadable", "RUNNING"]
    both = {"QueryExecutions": [execution("q1")], "UnprocessedQueryExecutionIds": [{"QueryExecutionId": "q1", "ErrorCode": "MISSING"}]}
    wire.answer = reply(200, both)
    assert named(await probe.observe(queries("q1", "q2"))) == ["Unreadable", "NotFound"]


async def test_a_task_without_an_id_may_be_the_missing_one(probe: AwsProbe, wire: Wire) -> None:
    """So the task that seems to be missing is unreadable, and its watch does not end."""
    for element in ({"status": "RUNNING"}, {"jobId": "", "status": "RUNNING"}, None):
        wire.answer = reply(200, {"jobs": [job("j1"), element]})
        assert named(await probe.observe(jobs("j1", "j2"))) == ["RUNNING", "Unreadable"]


async def test_a_reply_without_the_list_is_unreadable_as_a_whole(probe: AwsProbe, wire: Wire) -> None:
    """It never says that no task was found."""
    for body in ({}, {"jobs": None}, {"Jobs": []}, [], b"", b"<html>hello</html>"):
        wire.answer = reply(200, body)
        for refs in (jobs("j1"), jobs("j1", "j2")):
            assert isinstance(await failure(probe, refs), errors.Unreadable | errors.BatchFailed)


def execution(name: str, status: str = "RUNNING") -> dict[str, Any]:
    return {"QueryExecutionId": name, "Status": {"State": status}}


CODES = {
    "MISSING": "NotFound",
    "EntityNotFoundException": "NotFound",
    "ResourceNotFound": "NotFound",
    "INTERNAL_FAILURE": "Unavailable",
    "InternalServerException": "Unavailable",
    "Throttled": "Throttled",
    "TOO_MANY_REQUESTS": "Throttled",
    "ACCESS_DENIED": "Denied",
    "InvalidRequestException": "BatchFailed",
    "UnauthorizedException": "BatchFailed",
    "SOMETHING_NEW": "BatchFailed",
    "": "BatchFailed",
}


async def test_the_code_of_a_failure_has_its_class(probe: AwsProbe, wire: Wire) -> None:
    """The other tasks of the call are observed. Only a task whose code is not known is polled alone next."""
    found = {}
    for code in CODES:
        failed = [{"QueryExecutionId": "q1", "ErrorCode": code, "ErrorMessage": "QueryExecution q1 was not found"}]
        wire.answer = reply(200, {"QueryExecutions": [execution("q2")], "UnprocessedQueryExecutionIds": failed})
        outcomes = await probe.observe(queries("q1", "q2"))
        found[code], other = named(outcomes)
        assert other == "RUNNING"
        assert [isinstance(each, errors.RemoteError) and each.alone for each in outcomes] == [found[code] == "BatchFailed", False]
    assert found == CODES


async def test_a_code_that_is_not_known_is_the_error_of_the_only_task_of_a_call(probe: AwsProbe, wire: Wire) -> None:
    """Where the same operation reads one task, its next answer would be no other. So the task is unreadable, and stays alone."""
    wire.answer = reply(200, {"tasks": [], "failures": [{"arn": ARN + "a", "reason": "ODD"}]})
    (outcome,) = await probe.observe([TaskRef("ecs-task", (CLUSTER, ARN + "a"))])
    assert isinstance(outcome, errors.Unreadable)
    assert outcome.alone


async def test_one_task_is_read_by_the_own_call_of_its_kind(probe: AwsProbe, wire: Wire) -> None:
    """One query is described by GetQueryExecution, two by BatchGetQueryExecution."""
    wire.answer = reply(200, {"QueryExecution": execution("q1")})
    assert named(await probe.observe(queries("q1"))) == ["RUNNING"]
    wire.answer = reply(200, {"QueryExecutions": [execution("q1"), execution("q2")]})
    assert named(await probe.observe(queries("q1", "q2"))) == ["RUNNING", "RUNNING"]
    assert [request.headers["x-amz-target"].partition(".")[2] for request in wire.requests] == [
        "GetQueryExecution",
        "BatchGetQueryExecution",
    ]
    assert [json.loads(request.body) for request in wire.requests] == [{"QueryExecutionId": "q1"}, {"QueryExecutionIds": ["q1", "q2"]}]


def refusal(code: str, message: str) -> Answer:
    """An error as Athena sends it."""
    return reply(400, {"__type": code, "Message": message})


OWN_CALL = [
    (refusal("InvalidRequestException", "QueryExecution q1 was not found"), errors.NotFound, False),
    (refusal("InvalidRequestException", "malformed"), errors.Invalid, True),
    (refusal("AccessDeniedException", "no"), errors.Denied, True),
    (reply(200, {"QueryExecution": execution("q9")}), errors.Unreadable, True),
    (refusal("TooManyRequestsException", "slow down"), errors.Throttled, False),
    (reply(403, b"<html>no</html>"), errors.Unreadable, False),
]


async def test_the_own_call_of_a_kind_has_the_errors_that_aws_documents(probe: AwsProbe, wire: Wire) -> None:
    """A task that is not found may share the next call, which does not fail for it. One whose answer is wrong stays alone."""
    for answer, expected, alone in OWN_CALL:
        wire.answer = answer
        error = await failure(probe, queries("q1"))
        assert (type(error), error.alone) == (expected, alone)


async def test_the_check_of_a_kind_makes_each_of_its_calls(probe: AwsProbe, wire: Wire) -> None:
    """A denial names the call that is denied; a task of a kind with one operation is requested once."""
    query, batch_job = CATALOG["query"], CATALOG["batch-job"]
    wire.answer = refusal("InvalidRequestException", "QueryExecution x was not found")
    assert await probe.check_kind(query) == "batch_get_query_execution is permitted, get_query_execution is permitted"
    assert [len(json.loads(request.body)) for request in wire.requests] == [1, 1]
    wire.answer = reply(200, {"jobs": []})
    assert await probe.check_kind(batch_job) == "describe_jobs is permitted"
    assert len(wire.requests) == 3

    async def only_the_batch(request: Request, writer: StreamWriter) -> None:
        if "Batch" not in request.headers["x-amz-target"]:
            await refusal("AccessDeniedException", "no")(request, writer)
            return
        failed = [{"QueryExecutionId": each, "ErrorCode": "ODD"} for each in json.loads(request.body)["QueryExecutionIds"]]
        await reply(200, {"UnprocessedQueryExecutionIds": failed})(request, writer)

    wire.answer = only_the_batch
    with pytest.raises(errors.Denied, match="get_query_execution"):
        await probe.check_kind(query)


async def test_a_failure_repeats_nothing_but_a_code(probe: AwsProbe, wire: Wire) -> None:
    """A code with digits could be an identifier."""
    failed = [{"QueryExecutionId": "q1", "ErrorCode": "canary-7f3a", "ErrorMessage": "canary-7f3a"}]
    wire.answer = reply(200, {"QueryExecutions": [], "UnprocessedQueryExecutionIds": failed})
    outcome, _ = await probe.observe(queries("q1", "q2"))
    assert isinstance(outcome, errors.BatchFailed)
    assert "canary" not in str(outcome)
    assert "canary" not in str(outcome.cause)


async def test_a_list_of_missing_ids_needs_no_code(probe: AwsProbe, wire: Wire) -> None:
    """CodeBuild lists the ids of builds that do not exist, without a reason."""
    wire.answer = reply(200, {"builds": [{"id": "p:1", "buildStatus": "IN_PROGRESS"}], "buildsNotFound": ["p:2"]})
    assert named(await probe.observe([TaskRef("build", ("p:1",)), TaskRef("build", ("p:2",))])) == ["IN_PROGRESS", "NotFound"]


async def test_a_reply_with_failures_alone_is_readable(probe: AwsProbe, wire: Wire) -> None:
    """A list of tasks that would be empty may be left out."""
    wire.answer = reply(200, {"UnprocessedQueryExecutionIds": [{"QueryExecutionId": "q1", "ErrorCode": "MISSING"}]})
    assert named(await probe.observe(queries("q1", "q2"))) == ["NotFound", "NotFound"]


LARGE = reply(200, b" " * (14 << 20))
ABOUT_A_TASK = [
    (fault("ClientException", 400), errors.Invalid),
    (fault("AccessDeniedException", 403), errors.Denied),
    (reply(200, {"jobs": [job("j1", createdAt="yesterday")]}), errors.Unreadable),
    (LARGE, errors.Unreadable),
]


async def test_an_error_that_one_task_may_have_caused_says_nothing_about_any(probe: AwsProbe, wire: Wire) -> None:
    """A malformed id, a denied task, or a garbled one fails the call as a whole; about one task, it is the error of this task.

    Each task is polled alone next, except where a call about fewer tasks may have a reply that is small enough.
    """
    for answer, cause in ABOUT_A_TASK:
        wire.answer = answer
        whole, single = await failure(probe, jobs("j1", "j2")), await failure(probe, jobs("j1"))
        assert isinstance(whole, errors.BatchFailed)
        assert (type(whole.cause), whole.code, whole.alone) == (cause, single.code, not whole.oversized)
        assert (type(single), single.alone) == (cause, True)
        assert whole.oversized == single.oversized == (answer is LARGE)


ABOUT_THE_CALL = [
    (fault("TooManyRequestsException", 429), errors.Throttled),
    (fault("ServerException", 500), errors.Unavailable),
    (fault("ExpiredTokenException", 403), errors.CredentialsRejected),
    (reply(403, b"<html>no</html>"), errors.Unreadable),
]


async def test_any_other_error_is_about_the_call(probe: AwsProbe, wire: Wire) -> None:
    """It keeps its class, and its tasks may share the next call."""
    for answer, expected in ABOUT_THE_CALL:
        wire.answer = answer
        for refs in (jobs("j1"), jobs("j1", "j2")):
            error = await failure(probe, refs)
            assert (type(error), error.alone) == (expected, False)


NO_CALL = {
    "too many": jobs(*(f"j{n}" for n in range(101))),
    "kinds": [*jobs("j1"), *queries("q1")],
    "clusters": [TaskRef("ecs-task", ("blue", "a")), TaskRef("ecs-task", ("green", "b"))],
    "targets": [TaskRef("batch-job", ("a",)), TaskRef("batch-job", ("b",), "eu")],
}


async def test_tasks_that_no_call_can_be_about_are_a_mistake_of_the_caller(probe: AwsProbe, wire: Wire) -> None:
    """Nothing is sent."""
    for refs in NO_CALL.values():
        with pytest.raises(ValueError, match="task"):
            await probe.observe(refs)
    assert wire.requests == []
