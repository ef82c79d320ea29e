"""Tasks that operators cancel while the watcher runs."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from tests.runtime.shared_store import SharedStore, names_in, new_watch, shared_world
from watcher.errors import Unavailable
from watcher.model import Observation, TaskRef
from watcher.ports import CANCEL_PAGE
from watcher.simulator.probe import SimulatedProbe

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_cancelled_task_ends_and_is_reported(world: MakeWorld) -> None:
    """Its watch ends with the reason `cancelled` and one terminal event, without a call; its message leaves the queue."""
    w = world(finite=False, durations="run=fixed(500)")
    w.submit("task-1", "task-2")
    async with w.running() as watcher:
        await anyio.sleep(30)
        assert await w.store.cancel([key("task-1"), key("never-submitted")]) == 1
        calls = w.service.stats.requests
        await anyio.sleep(1.5)
        assert w.service.stats.requests - calls <= 2, "none about the cancelled task is needed"
        assert key("task-1") not in watcher.loops.pollers
        assert key("task-2") in watcher.loops.pollers
        assert len(w.queue) == 1
        await anyio.sleep(600)
    last = w.inbox.of(key("task-1"))[-1]
    assert last["type"] == "watcher.watch.ended.v1"
    assert (last["data"]["reason"], last["data"]["from"], last["data"]["terminal"]) == ("cancelled", "IN_PROGRESS", True)
    assert [event["data"]["terminal"] for event in w.inbox.of(key("task-1"))].count(True) == 1
    assert w.inbox.of(key("task-2"))[-1]["data"]["to"] == "SUCCEEDED"
    watch = await w.store.task(key("task-1"))
    assert watch is not None
    assert watch.end_reason == "cancelled"
    assert not (await w.store.requests()).cancelled


class Slow(SimulatedProbe):
    """A call takes `call_s` seconds."""

    call_s = 0.0

    async def observe_one(self, ref: TaskRef) -> Observation:
        await anyio.sleep(self.call_s)
        return await super().observe_one(ref)


@pytest.mark.parametrize(("run_s", "reason"), [(500, "cancelled"), (6, "terminal")])
async def test_a_task_in_flight_is_cancelled_when_its_call_is_back(world: MakeWorld, run_s: int, reason: str) -> None:
    """Nothing happens until the call returns; if that shows the end of the task, this is the end, else the watch ends at once."""
    w = world(finite=False, durations=f"queue=fixed(0),run=fixed({run_s})", partial=0)
    w.probe = Slow(w.service)
    async with w.running() as watcher:
        w.submit("task-1")
        await anyio.sleep(3)
        w.probe.call_s = 8.0
        while not watcher.loops.pollers.in_flight:  # noqa: ASYNC110 - a call signals nothing
            await anyio.sleep(0.1)
        assert await w.store.cancel([key("task-1")]) == 1
        await anyio.sleep(1.5)
        assert key("task-1") in watcher.loops.pollers
        await anyio.sleep(7)
        assert key("task-1") not in watcher.loops.pollers
        calls = w.service.stats.requests
        await anyio.sleep(100)
        assert w.service.stats.requests == calls
    watch = await w.store.task(key("task-1"))
    assert watch is not None
    assert watch.end_reason == reason
    assert [event.terminal for event in w.inbox.events if event.terminal] == [True]


async def test_an_open_circuit_delays_no_cancellation(world: MakeWorld) -> None:
    """While AWS cannot be called, thousands of cancelled watches end within seconds, without calls."""
    w = world(finite=False, durations="run=fixed(500)")
    names = [f"task-{n}" for n in range(CANCEL_PAGE + 500)]
    w.probe = Refusing(w.service)
    async with w.running() as watcher:
        w.submit(*names, "kept")
        await anyio.sleep(300)
        assert not watcher.health.ready()[0]
        calls = w.probe.calls
        assert await w.store.cancel([key(name) for name in names]) == len(names)
        await anyio.sleep(3)
        assert len(watcher.loops.pollers) == 1
        assert w.probe.calls - calls <= 3
    assert {body["data"]["reason"] for body in w.inbox.bodies} == {"cancelled"}
    assert len(w.inbox.bodies) == len(names)


class Refusing(SimulatedProbe):
    """Accepts no call."""

    calls = 0

    async def observe_one(self, ref: TaskRef) -> Observation:
        self.calls += 1
        raise Unavailable("503")


async def test_a_cancellation_from_before_the_start_is_carried_out(world: MakeWorld) -> None:
    """A watch that was cancelled while no watcher ran ends soon after the start."""
    w = world(finite=False, durations="run=fixed(500)")
    await w.store.open([sink.name for sink in w.sinks])
    watch = (await w.store.admit([new_watch("task-1")]))[0]
    await w.store.cancel([watch.key])
    async with w.running() as watcher:
        await anyio.sleep(5)
        assert not watcher.loops.pollers
    assert [body["data"]["reason"] for body in w.inbox.bodies if body["data"]["terminal"]] == ["cancelled"]


async def test_the_owner_ends_what_another_replica_cancels(world: MakeWorld) -> None:
    """A watch of another replica's shard is left to that one."""
    store = SharedStore(mine=[1])
    mine, other = new_watch(names_in(1, 1)[0]), new_watch(names_in(2, 1)[0])
    w, _ = shared_world(world, store, durations="run=fixed(500)")
    async with w.running():
        await store.admit([mine, other])
        await anyio.sleep(20)
        await store.cancel([mine.key, other.key])
        await anyio.sleep(20)
    assert dict((await store.requests()).cancelled) == {other.key: other.id}
    assert [event.key for event in w.inbox.events if event.terminal] == [mine.key]


async def test_a_shard_that_was_lost_is_not_written_to(world: MakeWorld) -> None:
    """A cancellation under a lease that is not valid any more writes nothing, and is left to the new owner."""
    store, (name,) = SharedStore(), names_in(1, 1)
    w, _ = shared_world(world, store, durations="run=fixed(500)")
    async with w.running() as watcher:
        w.submit(name)
        await anyio.sleep(20.2)
        store.take_over(1)
        await store.cancel([key(name)])
        await anyio.sleep(2)
        assert key(name) not in watcher.loops.pollers
    assert (await store.requests()).cancelled.keys() == {key(name)}
    assert not any(event.terminal for event in w.inbox.events)
