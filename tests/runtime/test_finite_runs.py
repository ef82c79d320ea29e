"""A run over finite sources ends when all work is done, and not before."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, World, key
from watcher.adapters.stores.memory.replica import SharedMemory
from watcher.errors import Unavailable
from watcher.model import TaskRef, Watch
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


@pytest.mark.parametrize("minutes", [2, 6])
async def test_a_finite_run_lasts_until_every_sink_has_every_event(world: MakeWorld, minutes: int) -> None:
    """While one of two sinks is down for much longer than a stop may take, the run goes on, though every task has ended."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down")
    w = world(sinks=[up, down], durations="queue=fixed(1),run=fixed(2)")
    w.store.durable = True  # the messages leave the queue at once, so that only the outbox is left
    down.failure = Unavailable("503")
    w.submit("task-1", "task-2")
    async with w.watcher() as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await anyio.sleep(timedelta(minutes=minutes).total_seconds())
        assert {event.key for event in up.events if event.terminal} == {key("task-1"), key("task-2")}
        assert not watcher.finished
        down.failure = None
    assert watcher.finished
    assert sorted(event.id for event in down.events) == sorted(event.id for event in up.events)


async def test_a_replica_without_work_runs_on_while_another_one_has_some(world: MakeWorld) -> None:
    """Its sources are exhausted and it polls nothing, but a replica that ends leaves its tasks to it: it ends when they have."""
    shared = SharedMemory(1, World.wall)
    busy, idle = world(store=shared.replica("a"), durations="run=fixed(100)", partial=0), world(store=shared.replica("b"))
    idle.probe = busy.probe
    busy.submit("task-1", "task-2")
    async with anyio.create_task_group() as tasks, busy.watcher() as first, idle.watcher() as second:
        process = anyio.CancelScope()

        async def until_killed() -> None:
            with process:
                await first.run()

        tasks.start_soon(until_killed)
        await first.loops.ownership.adoption.done.wait()
        tasks.start_soon(second.run)
        await anyio.sleep(30)
        assert (first.finished, second.finished) == (False, False)
        process.cancel()
        await anyio.sleep(300)
        assert second.finished
    assert {event.key for event in idle.inbox.events if event.terminal} == {key("task-1"), key("task-2")}


@pytest.mark.parametrize("left", [TaskRef("speaker-search", ("abc", "task-9"), "mars"), TaskRef("removed-kind", ("task-9",))])
async def test_a_finite_run_ends_while_watches_are_open_that_it_cannot_poll(world: MakeWorld, left: TaskRef) -> None:
    """On a shared store, a watch of a target or a kind that is not configured stays open, and does not keep the run from ending."""
    w = world(store=SharedMemory(1, World.wall).replica("a"))
    await w.store.admit([Watch(left, "0" * 32, EPOCH, EPOCH + 86_400)])
    w.submit("task-1")
    async with w.watcher() as watcher:
        with anyio.fail_after(3600):
            await watcher.run()
    assert watcher.finished
    assert await w.store.count_open() == 1
