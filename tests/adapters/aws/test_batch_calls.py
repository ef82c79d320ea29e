"""Calls about several tasks: one request, and an outcome for each task that says nothing about another one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.adapters.aws.kinds import CATALOG
from tests.adapters.aws.wire import Wire, fault, reply
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


@pytest.mark.parametrize("number", [1, 3, 100])
async def test_one_request_is_about_all_tasks(probe: AwsProbe, wire: Wire, number: int) -> None:
    """Each task has its own outcome, in the order in which they were named, whatever the order of the reply is."""
    ids = [f"j{n}" for n in range(number)]
    wire.answer = reply(200, {"jobs": [job(each, f"S{each}") for each in reversed(ids)]})
    assert named(await probe.observe(jobs(*ids))) == [f"S{each}" for each in ids]
    assert [json.loads(request.body) for request in wire.requests] == [{"jobs": ids}]


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


@pytest.mark.parametrize(
    "broken", [job("j2", "A\nB"), {"jobId": "j2"}, job("j2", statusReason="x" * 200_000)], ids=["status", "none", "size"]
)
async def test_an_unreadable_task_spoils_no_other(probe: AwsProbe, wire: Wire, broken: dict[str, Any]) -> None:
    """A task with a wrong member, or with a result that is too large, is unreadable alone."""
    wire.answer = reply(200, {"jobs": [job("j1"), broken, job("j3")]})
    assert named(await probe.observe(jobs("j1", "j2", "j3"))) == ["RUNNING", "Unreadable", "RUNNING"]


async def test_two_different_answers_about_a_task_are_unreadable(probe: AwsProbe, wire: Wire) -> None:
    """The same answer twice is one answer."""
    wire.answer = reply(200, {"jobs": [job("j1"), job("j2"), job("j1", "FAILED"), job("j2")]})
    assert named(await probe.observe(jobs("j1", "j2"))) == ["Unreadable", "RUNNING"]
    both = {"QueryExecutions": [execution("q1")], "UnprocessedQueryExecutionIds": [{"QueryExecutionId": "q1", "ErrorCode": "MISSING"}]}
    wire.answer = reply(200, both)
    assert named(await probe.observe(queries("q1"))) == ["Unreadable"]


@pytest.mark.parametrize("element", [{"status": "RUNNING"}, {"jobId": "", "status": "RUNNING"}, None])
async def test_a_task_without_an_id_may_be_the_missing_one(probe: AwsProbe, wire: Wire, element: Any) -> None:
    """So the task that seems to be missing is unreadable, and its watch does not end."""
    wire.answer = reply(200, {"jobs": [job("j1"), element]})
    assert named(await probe.observe(jobs("j1", "j2"))) == ["RUNNING", "Unreadable"]


@pytest.mark.parametrize("body", [{}, {"jobs": None}, {"Jobs": []}, [], b"", b"<html>hello</html>"])
async def test_a_reply_without_the_list_is_unreadable_as_a_whole(probe: AwsProbe, wire: Wire, body: Any) -> None:
    """It never says that no task was found."""
    wire.answer = reply(200, body)
    for refs in (jobs("j1"), jobs("j1", "j2")):
        assert isinstance(await failure(probe, refs), errors.Unreadable | errors.BatchFailed)


def execution(name: str, status: str = "RUNNING") -> dict[str, Any]:
    return {"QueryExecutionId": name, "Status": {"State": status}}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("MISSING", "NotFound"),
        ("EntityNotFoundException", "NotFound"),
        ("ResourceNotFound", "NotFound"),
        ("INTERNAL_FAILURE", "Unavailable"),
        ("InternalServerException", "Unavailable"),
        ("Throttled", "Throttled"),
        ("TOO_MANY_REQUESTS", "Throttled"),
        ("ACCESS_DENIED", "Denied"),
        ("InvalidRequestException", "Unreadable"),
        ("UnauthorizedException", "Unreadable"),
        ("SOMETHING_NEW", "Unreadable"),
        ("", "Unreadable"),
    ],
)
async def test_the_code_of_a_failure_has_its_class(probe: AwsProbe, wire: Wire, code: str, expected: str) -> None:
    """The other tasks of the call are observed; a code that is not known ends no watch."""
    failed = [{"QueryExecutionId": "q1", "ErrorCode": code, "ErrorMessage": "QueryExecution q1 was not found"}]
    wire.answer = reply(200, {"QueryExecutions": [execution("q2")], "UnprocessedQueryExecutionIds": failed})
    outcomes = await probe.observe(queries("q1", "q2"))
    assert named(outcomes) == [expected, "RUNNING"]
    assert not any(isinstance(each, errors.RemoteError) and each.alone for each in outcomes)


async def test_a_failure_repeats_nothing_but_a_code(probe: AwsProbe, wire: Wire) -> None:
    """A code with digits could be an identifier."""
    failed = [{"QueryExecutionId": "q1", "ErrorCode": "canary-7f3a", "ErrorMessage": "canary-7f3a"}]
    wire.answer = reply(200, {"QueryExecutions": [], "UnprocessedQueryExecutionIds": failed})
    (outcome,) = await probe.observe(queries("q1"))
    assert isinstance(outcome, errors.Unreadable)
    assert "canary" not in str(outcome)


async def test_a_list_of_missing_ids_needs_no_code(probe: AwsProbe, wire: Wire) -> None:
    """CodeBuild lists the ids of builds that do not exist, without a reason."""
    wire.answer = reply(200, {"builds": [{"id": "p:1", "buildStatus": "IN_PROGRESS"}], "buildsNotFound": ["p:2"]})
    assert named(await probe.observe([TaskRef("build", ("p:1",)), TaskRef("build", ("p:2",))])) == ["IN_PROGRESS", "NotFound"]


async def test_a_reply_with_failures_alone_is_readable(probe: AwsProbe, wire: Wire) -> None:
    """A list of tasks that would be empty may be left out."""
    wire.answer = reply(200, {"UnprocessedQueryExecutionIds": [{"QueryExecutionId": "q1", "ErrorCode": "MISSING"}]})
    assert named(await probe.observe(queries("q1", "q2"))) == ["NotFound", "NotFound"]


ABOUT_A_TASK = [
    (fault("ClientException", 400), errors.Invalid),
    (fault("AccessDeniedException", 403), errors.Denied),
    (reply(200, {"jobs": [job("j1", createdAt="yesterday")]}), errors.Unreadable),
    (reply(200, b" " * (14 << 20)), errors.Unreadable),
]


@pytest.mark.parametrize(("answer", "cause"), ABOUT_A_TASK, ids=["invalid", "denied", "garbled", "too large"])
async def test_an_error_that_one_task_may_have_caused_says_nothing_about_any(
    probe: AwsProbe, wire: Wire, answer: Any, cause: type[errors.RemoteError]
) -> None:
    """A malformed id, a denied task, or a garbled one fails the call as a whole; about one task, it is the error of this task."""
    wire.answer = answer
    whole, single = await failure(probe, jobs("j1", "j2")), await failure(probe, jobs("j1"))
    assert isinstance(whole, errors.BatchFailed)
    assert (type(whole.cause), whole.code, whole.alone) == (cause, single.code, True)
    assert (type(single), single.alone) == (cause, True)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (fault("TooManyRequestsException", 429), errors.Throttled),
        (fault("ServerException", 500), errors.Unavailable),
        (fault("ExpiredTokenException", 403), errors.CredentialsRejected),
        (reply(403, b"<html>no</html>"), errors.Unreadable),
    ],
)
async def test_any_other_error_is_about_the_call(probe: AwsProbe, wire: Wire, answer: Any, expected: type[errors.RemoteError]) -> None:
    """It keeps its class, and its tasks may share the next call."""
    wire.answer = answer
    for refs in (jobs("j1"), jobs("j1", "j2")):
        error = await failure(probe, refs)
        assert (type(error), error.alone) == (expected, False)


@pytest.mark.parametrize(
    "refs",
    [
        jobs(*(f"j{n}" for n in range(101))),
        [*jobs("j1"), *queries("q1")],
        [TaskRef("ecs-task", ("blue", "a")), TaskRef("ecs-task", ("green", "b"))],
        [TaskRef("batch-job", ("a",)), TaskRef("batch-job", ("b",), "eu")],
    ],
    ids=["too many", "kinds", "clusters", "targets"],
)
async def test_tasks_that_no_call_can_be_about_are_a_mistake_of_the_caller(probe: AwsProbe, wire: Wire, refs: list[TaskRef]) -> None:
    """Nothing is sent."""
    with pytest.raises(ValueError, match="task"):
        await probe.observe(refs)
    assert wire.requests == []
