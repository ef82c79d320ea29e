"""Tasks of declared kinds without sockets, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
import pytest

from watcher.errors import BatchFailed, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, SimulatedProbe, VoiceService
from watcher.simulator.declared import DeclaredService

pytestmark = pytest.mark.looptime(noop_cycles=0)

T0 = 1_800_000_000.0
ECS = "arn:aws:ecs:us-east-1:111122223333:task/default/"


def clock() -> float:
    return T0 + asyncio.get_running_loop().time()


def made(**scenario: object) -> SimulatedProbe:
    voice = VoiceService(Scenario(**{"latency": "fixed(0.1)", "failed": 0, "stopped": 0, **scenario}), clock)
    return SimulatedProbe(voice, declared=DeclaredService(builtin_catalog, voice))


def jobs(*names: str) -> list[TaskRef]:
    return [TaskRef("batch-job", (name,)) for name in names]


def ecs(*names: str) -> list[TaskRef]:
    return [TaskRef("ecs-task", ("default", f"{ECS}{name}")) for name in names]


def classes(outcomes: Sequence[Observation | RemoteError]) -> list[type]:
    return [type(outcome) for outcome in outcomes]


async def test_a_batch_takes_one_permit_and_one_latency() -> None:
    """A call about a hundred tasks is one request: the second one is throttled, and another quota is not affected."""
    probe = made(quota=1, burst=1)
    began = clock()
    seen = await probe.observe(jobs(*(f"job-{n}" for n in range(100))))
    assert classes(seen) == [Observation] * 100
    assert clock() == began + 0.1
    with pytest.raises(Throttled):
        await probe.observe(jobs("job-1"))
    await probe.observe(ecs("t-1"))
    assert probe.service.stats.outcomes == {"ok": 2, "ThrottlingException": 1}
    assert probe.service.stats.actions == {"DescribeJobs": 2, "DescribeTasks": 1}


async def test_each_task_of_a_batch_has_its_own_outcome() -> None:
    """A task that does not exist is not found beside others; where the reply lists failures, a denied task is one of them."""
    probe = made()
    assert classes(await probe.observe(jobs("a", "missing-1", "b"))) == [Observation, NotFound, Observation]
    assert classes(await probe.observe(ecs("a", "missing-1", "denied-1"))) == [Observation, NotFound, Denied]
    with pytest.raises(Denied):
        await probe.observe(jobs("a", "denied-1"))


async def test_one_task_is_read_by_the_own_call_of_its_kind() -> None:
    """A kind may have one operation for one task, and another one for several. An odd failure among several is no answer yet."""
    probe, queries = made(), [TaskRef("athena-query", (name,)) for name in ("a", "busy-1")]
    assert classes(await probe.observe(queries[:1])) == [Observation]
    assert classes(await probe.observe(queries)) == [Observation, BatchFailed]
    assert probe.service.stats.actions == {"GetQueryExecution": 1, "BatchGetQueryExecution": 1}
    with pytest.raises(Unreadable):
        await probe.observe(queries[1:])


async def test_a_call_about_too_many_tasks_is_refused() -> None:
    """The limit of the kind is that of the service."""
    with pytest.raises(Invalid):
        await made().observe(jobs(*(f"job-{n}" for n in range(101))))


@pytest.mark.parametrize(("fault", "error"), [("hang", Unavailable), ("503", Unavailable), ("garbage", Unreadable), ("429", Throttled)])
async def test_a_fault_fails_the_whole_call(fault: str, error: type[RemoteError]) -> None:
    """A fault is one of the call, raised within the deadline."""
    probe = made(faults={fault: 1})
    with anyio.fail_after(15.01), pytest.raises(error):
        await probe.observe(jobs("a", "b"))


async def test_the_same_seed_gives_the_same_tasks_in_any_order() -> None:
    """What a task does depends on the seed and on its ids alone."""
    kind, names = builtin_catalog()["batch-job"], ["a", "b", "c"]
    lives = []
    for order in (names, names[::-1]):
        service = made(seed=5).declared
        assert service is not None
        lives.append({name: service.tasks.ensure(kind, (name,), T0).truth() for name in order})
    assert lives[0] == lives[1]
    assert len(set(lives[0].values())) == 3


async def test_a_hidden_task_and_an_old_one_are_not_found() -> None:
    """A task is not found while the fault 404 hides it, and after the service has forgotten it."""
    probe = made(durations="queue=0,run=1")
    (late,) = jobs("late-1")
    assert classes(await probe.observe([late])) == [NotFound]
    await anyio.sleep(20)
    assert classes(await probe.observe([late])) == [Observation]
    await anyio.sleep(builtin_catalog()["batch-job"].retention_s + 1)
    assert classes(await probe.observe([late])) == [NotFound]


async def test_calls_after_the_end_are_counted() -> None:
    """Each call about a task whose end an earlier reply had is counted, also in a batch."""
    probe = made(durations="queue=0,run=1")
    await probe.observe(jobs("a", "b"))
    await anyio.sleep(2)
    for expected in (0, 2, 4):
        await probe.observe(jobs("a", "b"))
        assert probe.service.stats.after_end == expected
