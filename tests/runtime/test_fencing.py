"""Another replica took a shard: what was under way here writes nothing more, and the other shards go on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import anyio
import pytest
from structlog.testing import capture_logs

from tests.contracts.store_exam.facts import moved
from tests.runtime.conftest import MakeWorld, key
from tests.runtime.shared_store import (
    ALL_NAMES,
    NAMES,
    RENEW_S,
    SHARDS,
    SharedStore,
    add_undelivered_event,
    keys_in,
    names_in,
    new_watch,
    shared_world,
)
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Fenced, StoreRefused
from watcher.model import Backlog, Event, Lease, Watch
from watcher.runtime.service import Watcher
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_call_in_flight_whose_shard_is_fenced_commits_nothing_and_the_others_continue(world: MakeWorld) -> None:
    """The store rejects the late commit: no event, an unchanged watch, and the shard is given up before the next renewal."""
    store = SharedStore()
    store.renew_s = 10_000.0
    w, _ = shared_world(world, store, latency="fixed(4)", durations="run=fixed(30)")
    await store.admit([new_watch(name) for name in ALL_NAMES])
    async with w.running() as watcher:
        await anyio.sleep(0.5)
        store.take_over(1)
        with capture_logs() as lines:
            await anyio.sleep(300)
        assert set(watcher.loops.leases.held) == {0, 2, 3}
        assert len(watcher.loops.pollers) == 0
    assert [line["shard"] for line in lines if line["event"] == "shard_lost"] == [1]
    assert {event.key for event in w.inbox.events if event.terminal} == keys_in(0) | keys_in(2) | keys_in(3)
    assert [await store.task(key(name)) for name in NAMES[1]] == [new_watch(name) for name in NAMES[1]]
    assert (await store.count_backlog(1))["inbox"] == Backlog(0, None)


async def test_a_reply_from_before_a_change_of_owner_is_not_committed_under_the_new_lease(world: MakeWorld) -> None:
    """A shard that came back under a new epoch was moved on by its other owner, so a step that was decided before is not written."""
    store, (name,) = SharedStore(), names_in(1, 1)
    w, _ = shared_world(world, store, latency="fixed(12)", durations="queue=fixed(1),run=fixed(100)")
    (watch,) = await store.admit([new_watch(name)])
    async with w.running() as watcher:
        await anyio.sleep(1)
        other = store.take_over(1)
        later = moved(watch, "IN_PROGRESS", at=w.wall())
        await store.commit([later], {1: other})
        store.hand_back(1)
        await anyio.sleep(RENEW_S)
        assert watcher.loops.leases.held[1].epoch == other.epoch + 1
        await anyio.sleep(12)
        assert (await store.task_events(key(name)))[0].id == later.events[0].id
        await anyio.sleep(300)
    statuses = [event.to for event in await store.task_events(key(name))]
    assert statuses == ["IN_PROGRESS", "SUCCEEDED"]
    assert [event.to for event in w.inbox.events] == statuses


class SlowlyLoaded(SharedStore):
    """Loads one watch a second."""

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in super().load(lease):
            for watch in watches:
                yield [watch]
                await anyio.sleep(1)


async def test_a_shard_that_is_fenced_while_it_is_loaded_is_loaded_no_further(world: MakeWorld) -> None:
    """The watches that are read after the loss are not polled here."""
    store = SlowlyLoaded(mine=[1])
    store.renew_s = 10_000.0
    names = names_in(1, 50)
    await store.admit([new_watch(name) for name in names])
    w, probe = shared_world(world, store, durations="queue=fixed(0),run=fixed(1)")
    async with w.running() as watcher:
        await anyio.sleep(2.5)
        store.take_over(1)
        await anyio.sleep(100)
        assert watcher.loops.leases.held == {}
        assert len(watcher.loops.pollers) == 0
        calls = len(probe.polled)
        await anyio.sleep(100)
        assert len(probe.polled) == calls < len(names)


async def test_a_single_owner_that_is_fenced_ends_with_store_refused(world: MakeWorld) -> None:
    """A store that grants its leases once, to one process, has gone to another process: this one ends and says so."""
    store = MemoryStore(MemoryStoreSettings())
    w, _ = shared_world(world, store)
    w.submit("task-1")

    async def lose_the_store(watcher: Watcher) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            await watcher.loops.ownership.adoption.done.wait()
            store.content.shards[0].release()
            store.content.shards[0].claim()

    async with w.watcher() as watcher:
        with pytest.raises(ExceptionGroup) as ended:
            await lose_the_store(watcher)
    assert ended.group_contains(StoreRefused, match="another process has taken over this store")


class FencedSettle(SharedStore):
    """Loses shard 1 to another replica right before the first delivery is recorded."""

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence, leases: Mapping[int, Lease]) -> None:
        if 1 in self.mine:
            self.take_over(1)
        await super().settle(sink, delivered, dead_letters, leases)


async def test_a_delivery_whose_shard_is_fenced_is_not_recorded_and_the_others_are(world: MakeWorld) -> None:
    """The new owner delivers the event again under the same id; the rest of the batch is settled once."""
    store = FencedSettle()
    store.renew_s = 10_000.0
    await store.open(["inbox"])
    for name in ALL_NAMES:
        await add_undelivered_event(store, name)
    w, _ = shared_world(world, store, durations="run=never", sinks=[SimulatedInbox(max_batch=100)])
    async with w.running() as watcher:
        await anyio.sleep(2)
        assert set(watcher.loops.leases.held) == {0, 2, 3}
        counts = {shard: (await store.count_backlog(shard))["inbox"].events for shard in range(SHARDS)}
        assert watcher.loops.backlog.total == 0
    assert counts[1] == len(NAMES[1])
    assert counts[0] == counts[2] == counts[3] == 0


async def test_a_lease_that_was_renewed_is_not_given_up_for_an_older_fence(world: MakeWorld) -> None:
    """A late commit that the store rejects says nothing about the lease that this process has now."""
    store, (name,) = SharedStore(), names_in(1, 1)
    w, _ = shared_world(world, store, latency="fixed(12)", durations="run=never")
    await store.admit([new_watch(name)])
    async with w.running() as watcher:
        await anyio.sleep(1)
        store.take_over(1)
        store.hand_back(1)
        await anyio.sleep(2 * RENEW_S)
        with capture_logs() as lines:
            await anyio.sleep(60)
        assert 1 in watcher.loops.leases.held
    assert not [line for line in lines if line["event"] == "shard_lost"]


async def test_the_error_names_the_shards_that_were_lost() -> None:
    """`Fenced` has the shards whose lease is missing or outdated, and no other."""
    store = SharedStore()
    await store.open([])
    mine = {lease.shard: lease for lease in (await store.claim()).leases}
    store.take_over(1)
    watches = await store.admit([new_watch(NAMES[shard][0]) for shard in range(SHARDS)])
    with pytest.raises(Fenced) as error:
        await store.commit([moved(watch) for watch in watches], mine)
    assert error.value.shards == {1}
