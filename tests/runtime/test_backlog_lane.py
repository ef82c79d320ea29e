"""Which watches wait in the backlog: those that come with a shard, until their first poll. New tasks do not wait for them."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, key
from tests.runtime.shared_store import NAMES, SharedStore, new_watch, shared_world
from tests.runtime.test_replicas import Fleet
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.pending import PendingSet
from watcher.model import TaskRef, Watch
from watcher.runtime.poller_set import NEW_S
from watcher.runtime.service import Watcher

pytestmark = pytest.mark.looptime(noop_cycles=0)


def old_watch(name: str) -> Watch:
    """A watch that was last observed ten minutes ago, as running."""
    at = EPOCH - 600
    return Watch(TaskRef("speaker-search", ("abc123", name)), f"watch-of-{name}", at, at + 86_400, None, "IN_PROGRESS", at, at, at, at, at)


def pending_of(watcher: Watcher) -> PendingSet:
    return next(poller for poller in watcher.loops.pollers if poller.quota.name == "speaker-search").pending


def reason_of(watcher: Watcher, name: str) -> str:
    entry = pending_of(watcher).get(key(name))
    assert entry is not None
    return entry.reason


async def test_the_watches_of_a_claimed_shard_wait_in_the_backlog(world: MakeWorld) -> None:
    """Also those that no poll has seen yet, except those that were admitted while the shard changed hands."""
    w, _ = shared_world(world, SharedStore())
    unseen = [new_watch(name)._replace(admitted_at=EPOCH - age) for name, age in zip(NAMES[0], (0, NEW_S - 1, NEW_S + 1), strict=True)]
    await w.store.admit([old_watch(NAMES[1][0]), *unseen])
    async with w.watcher() as watcher:
        await watcher.loops.ownership.claim()
        assert [reason_of(watcher, name) for name in (NAMES[1][0], *NAMES[0])] == [ADOPTED, "new", "new", ADOPTED]


async def test_watches_that_arrive_are_new() -> None:
    """Those whose messages another replica has received do not wait in the backlog, also if its clock is an hour behind."""
    fleet = Fleet(rate=1.0, durations="run=never")
    one, other = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(other.run)
        await anyio.sleep(30)
        await one.store.admit([new_watch(f"new-{n}")._replace(admitted_at=EPOCH - 3600) for n in range(40)])
        await anyio.sleep(6)
        pending = pending_of(other.watcher)
        reasons = {pending.get(key(f"new-{n}")).reason for n in range(40) if key(f"new-{n}") in pending}
        assert "new" in reasons
        assert ADOPTED not in reasons
        assert pending.backlog == 0
        one.watcher.stop()
        other.watcher.stop()


async def test_after_a_takeover_new_tasks_do_not_wait_for_those_of_the_dead_replica() -> None:
    """With 600 overdue tasks at 5 calls a second, each of ten new tasks is polled within seconds, and each overdue one in the end."""
    fleet = Fleet(rate=5.0, durations="queue=0,run=never")
    first = fleet.add()
    store = first.store
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await anyio.sleep(1)
        await store.admit([old_watch(f"old-{n}") for n in range(600)])
        await anyio.sleep(20)
        second = fleet.add()
        first.kill()
        tasks.start_soon(second.run)
        await anyio.sleep(30)
        waits = []
        for n in range(10):
            submitted = anyio.current_time()
            fleet.submit([f"new-{n}"], second)
            await anyio.sleep(6)
            waits += [at - submitted for task, at in second.probe.calls if task == key(f"new-{n}")][:1]
        assert len(waits) == 10
        assert max(waits) < 3
        await anyio.sleep(300)
        assert {key(f"old-{n}") for n in range(600)} <= second.polled
        second.watcher.stop()
