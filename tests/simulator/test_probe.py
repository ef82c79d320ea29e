from __future__ import annotations

import asyncio

import anyio
import pytest

from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, SimulatedProbe, VoiceService
from watcher.simulator.faults import FAULTS, HIDDEN

T0 = 1_800_000_000.0


def ref(task_id: str, connector: str = "vc", kind: str = "speaker-search") -> TaskRef:
    return TaskRef(kind, (connector, task_id))


def clock() -> float:
    return T0 + asyncio.get_running_loop().time()


def made(**scenario: object) -> SimulatedProbe:
    return SimulatedProbe(VoiceService(Scenario(**{"latency": "fixed(0.1)", **scenario}), clock))


async def poll(probe: SimulatedProbe, task: TaskRef, every: float, until: float) -> list[Observation]:
    seen = []
    while clock() < T0 + until:
        seen.append(await probe.observe_one(task))
        await anyio.sleep(every)
    return seen


@pytest.mark.looptime(noop_cycles=0)
async def test_observations_match_the_truth() -> None:
    """Frequent polls see every status of a task in order, never before it begins and within one interval after it."""
    probe = made(durations="queue=exponential(3),run=5+exponential(4)", partial=1)
    for i in range(4):
        seen = await poll(probe, ref(f"t{i}"), 0.2, 80 * (i + 1))
        first: dict[str, float] = {}
        for observation in seen:
            first.setdefault(observation.status, observation.observed_at)
        truth = dict(probe.service.tasks.truth(ref(f"t{i}")))
        assert list(first) == list(truth)
        assert all(truth[status] <= at <= truth[status] + 0.4 for status, at in first.items() if status != "IN_QUEUE")


@pytest.mark.looptime(noop_cycles=0)
async def test_the_same_seed_gives_the_same_replies(looptime: object) -> None:
    """Two runs of one scenario give the same replies, with the same faults and latencies."""

    async def run() -> list[str]:
        probe, replies = made(seed=3, latency="uniform(0.01,0.2)", faults={"503": 0.2, "stale": 0.2}), []
        for i in range(100):
            try:
                replies.append((await probe.observe_one(ref(f"t{i % 7}"))).status)
            except RemoteError as error:
                replies.append(error.code)
        return replies

    first = await run()
    assert len(set(first)) > 1
    assert await run() == first


@pytest.mark.looptime(noop_cycles=0)
async def test_a_call_takes_its_latency(looptime: object) -> None:
    """An observation takes the latency of the scenario in virtual time, and `slow` adds to it."""
    await made(latency="fixed(2)").observe_one(ref("t"))
    assert looptime == 2
    await made(latency="fixed(2)", faults={"slow": 1}, slow=8).observe_one(ref("t"))
    assert looptime == 12


@pytest.mark.looptime(noop_cycles=0)
async def test_one_call_per_task_at_a_time() -> None:
    """A second call for the same task raises Busy, one for another task does not, and a later call works again."""
    probe = made(durations="queue=5,run=never")
    replies: list[str] = []

    async def observe(task: TaskRef) -> None:
        try:
            replies.append((await probe.observe_one(task)).status)
        except Busy as error:
            replies.append(error.code)

    async with anyio.create_task_group() as group:
        for task in (ref("a"), ref("a"), ref("b"), ref("a", kind="voice-tone")):
            group.start_soon(observe, task)
    assert sorted(replies) == ["ConflictException", "IN_QUEUE", "IN_QUEUE", "IN_QUEUE"]
    assert probe.service.stats.peak_per_task == 2
    assert probe.service.stats.peak_in_flight == 4
    await probe.observe_one(ref("a"))


@pytest.mark.looptime(noop_cycles=0)
async def test_a_cancelled_call_unlocks_its_task() -> None:
    """After a cancelled call nothing is in flight, so the next call gets a reply."""
    probe = made(latency="fixed(5)")
    with anyio.move_on_after(1):
        await probe.observe_one(ref("a"))
    assert probe.service.stats.in_flight == 0
    await probe.observe_one(ref("a"))


@pytest.mark.looptime(noop_cycles=0)
async def test_each_kind_has_its_own_quota() -> None:
    """Of a hundred calls at once as many as the burst are accepted for each kind, and more after a second."""
    probe = made(quota=20, burst=30)

    async def accepted(kind: str) -> int:
        results = await asyncio.gather(*(probe.observe_one(ref(f"t{i}", kind=kind)) for i in range(100)), return_exceptions=True)
        assert all(isinstance(r, Observation | Throttled) for r in results)
        return sum(isinstance(r, Observation) for r in results)

    assert await accepted("speaker-search") == 30
    assert await accepted("voice-tone") == 30
    await anyio.sleep(0.8)  # two rounds of latency and this are one second since the first
    assert await accepted("speaker-search") == 20
    assert probe.service.stats.outcomes == {"ok": 80, "ThrottledClientException": 220}


@pytest.mark.looptime(noop_cycles=0)
async def test_a_quota_of_zero_throttles_the_first_call() -> None:
    """A new account is throttled at once, and a throttled call creates no task."""
    probe = made(quota=0)
    with pytest.raises(Throttled, match="ThrottledClientException"):
        await probe.observe_one(ref("t"))
    assert len(probe.service.tasks) == 0


@pytest.mark.looptime(noop_cycles=0)
@pytest.mark.parametrize("fault", [name for name, error in FAULTS.items() if error.raises is not None and name != HIDDEN])
async def test_each_fault_raises_its_error(fault: str) -> None:
    """Each fault raises exactly the class that the table names, within the deadline."""
    probe = made(faults={fault: 1})
    with anyio.fail_after(15.01), pytest.raises(RemoteError) as caught:
        await probe.observe_one(ref("t"))
    assert type(caught.value) is FAULTS[fault].raises
    assert not isinstance(caught.value, CredentialsRejected) or caught.value.expired == (fault == "expired")


@pytest.mark.looptime(noop_cycles=0)
@pytest.mark.parametrize("fault", ["hang", "drip"])
async def test_a_reply_that_never_ends_is_unavailable_at_the_deadline(fault: str, looptime: object) -> None:
    """A call that hangs raises Unavailable exactly at the deadline, and the next call for its task works."""
    probe = made(faults={fault: 1})
    with pytest.raises(Unavailable, match="timeout"):
        await probe.observe_one(ref("t"))
    assert looptime == 15
    probe.service.change(faults={})
    await probe.observe_one(ref("t"))


@pytest.mark.looptime(noop_cycles=0)
async def test_special_ids_and_invalid_ids() -> None:
    """A task `missing-…` is not found, a connector `denied-…` is denied, and ids outside the API model are invalid."""
    probe = made()
    for task, error in (
        (ref("missing-1"), NotFound),
        (ref("t", "denied-vc"), Denied),
        (ref(" "), Invalid),
        (ref("x" * 257), Invalid),
        (ref("t", "v" * 129), Invalid),
    ):
        with pytest.raises(error):
            await probe.observe_one(task)


@pytest.mark.looptime(noop_cycles=0)
async def test_a_hidden_task_is_found_later() -> None:
    """The fault `404` hides a task for its first seconds; later it is found with its original creation time."""
    probe = made(faults={"404": 1}, hidden=20, durations="queue=1,run=never")
    with pytest.raises(NotFound):
        await probe.observe_one(ref("t"))
    await anyio.sleep(15)
    with pytest.raises(NotFound):
        await probe.observe_one(ref("t"))
    await anyio.sleep(5)
    assert (await probe.observe_one(ref("t"))).created_at == pytest.approx(T0, abs=0.002)


@pytest.mark.looptime(noop_cycles=0)
async def test_a_stale_read_shows_the_past() -> None:
    """A stale reply is the task as it was some seconds ago, with its timestamps of that time."""
    probe = made(durations="queue=1,run=fixed(10)", failed=0, stopped=0, partial=0)
    await probe.observe_one(ref("t"))
    await anyio.sleep(12)
    assert (await probe.observe_one(ref("t"))).status == "SUCCEEDED"
    probe.service.change(faults={"stale": 1})
    stale = await probe.observe_one(ref("t"))
    assert (stale.status, stale.updated_at) == ("IN_PROGRESS", pytest.approx(T0 + 1, abs=0.2))


@pytest.mark.looptime(noop_cycles=0)
async def test_the_scenario_can_change_while_it_runs() -> None:
    """A change of faults and quota applies to the next call; tasks and all other settings stay."""
    probe = made(durations="queue=1,run=never", seed=4)
    before = await probe.observe_one(ref("t"))
    probe.service.change(faults={"503": 1})
    with pytest.raises(Unavailable):
        await probe.observe_one(ref("t"))
    probe.service.change(faults={}, quota=1, burst=1)
    assert (await probe.observe_one(ref("t"))).created_at == before.created_at
    with pytest.raises(Throttled):
        await probe.observe_one(ref("t"))
    assert probe.service.scenario.seed == 4


@pytest.mark.looptime(noop_cycles=0)
async def test_calls_after_the_end_are_counted() -> None:
    """Each Get for a task whose end an earlier Get returned is counted: a good watcher makes none."""
    probe = made(durations="queue=0,run=fixed(1)", partial=0)
    await probe.observe_one(ref("t"))
    await anyio.sleep(2)
    for expected in (0, 1, 2):
        await probe.observe_one(ref("t"))
        assert probe.service.stats.after_end == expected
