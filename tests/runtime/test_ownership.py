"""Which shards this process works on: what it adopts, and what it gives up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import anyio
import pytest

from tests.contracts.store_exam.facts import moved
from tests.runtime.conftest import MakeWorld
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
    shards_of,
    shared_world,
)
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Unavailable
from watcher.model import Claim, Lease, Replica, Report, TaskRef, Watch
from watcher.ports import Delivered, Rejected
from watcher.query import DeadLetterQuery
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_shard_that_was_given_back_is_claimed_under_a_new_epoch_and_loaded_again(world: MakeWorld) -> None:
    """After a release, the next claim adopts each shard anew, and each of its watches is pending once."""
    store = MemoryStore(MemoryStoreSettings(), shards=SHARDS)
    await store.admit([new_watch(name) for name in ALL_NAMES])
    w, _ = shared_world(world, store)
    async with w.watcher() as watcher:
        leases, ownership = watcher.loops.leases, watcher.loops.ownership
        await ownership.claim()
        assert {lease.epoch for lease in leases.held.values()} == {1}
        await ownership.hand_over(range(SHARDS))
        await ownership.claim()
        assert {lease.epoch for lease in leases.held.values()} == {2}
        assert set(leases.held) == set(range(SHARDS))
        assert len(watcher.loops.pollers) == len(ALL_NAMES)


async def test_a_second_claim_without_a_change_loads_nothing(world: MakeWorld) -> None:
    """A renewal of the same leases adopts no shard again."""
    w, _ = shared_world(world, SharedStore())
    await w.store.admit([new_watch(name) for name in ALL_NAMES])
    async with w.watcher() as watcher:
        await watcher.loops.ownership.claim()
        entry = next(iter(watcher.loops.pollers)).pending.first()
        assert entry is not None
        watcher.loops.pollers.forget(entry.watch.key, entry.watch.id)
        await watcher.loops.ownership.claim()
        assert len(watcher.loops.pollers) == len(ALL_NAMES) - 1


async def test_a_lost_shard_is_not_polled_any_more_and_the_others_are(world: MakeWorld) -> None:
    """After a renewal that no longer grants a shard, no call is about its tasks; calls about the others go on."""
    store = SharedStore()
    w, probe = shared_world(world, store, durations="run=never")
    await store.admit([new_watch(name) for name in ALL_NAMES])
    async with w.running() as watcher:
        await anyio.sleep(60)
        assert set(probe.polled) == set(range(SHARDS))
        store.take_over(1)
        await anyio.sleep(2 * RENEW_S)
        probe.polled.clear()
        await anyio.sleep(600)
        assert set(probe.polled) == {0, 2, 3}
        assert len(watcher.loops.pollers) == len(ALL_NAMES) - len(NAMES[1])


async def test_the_events_of_a_lost_shard_are_not_delivered_any_more(world: MakeWorld) -> None:
    """Events that wait for a sink that is down stay in the outbox for the new owner; those of other shards are delivered."""
    store, inbox = SharedStore(), SimulatedInbox(max_batch=1, concurrency=1)
    w, _ = shared_world(world, store, durations="run=fixed(5)", sinks=[inbox])
    await store.admit([new_watch(name) for name in ALL_NAMES])
    inbox.failure = Unavailable("503")
    async with w.running() as watcher:
        await anyio.sleep(60)
        store.take_over(1)
        await anyio.sleep(2 * RENEW_S)
        undelivered = (await store.count_backlog(1))["inbox"].events
        inbox.failure = None
        await anyio.sleep(600)
        assert watcher.loops.backlog.total == 0, "what another replica must deliver is not counted here"
    assert shards_of(inbox.events) == {0, 2, 3}
    assert (await store.count_backlog(1))["inbox"].events == undelivered > 0


async def test_a_shard_that_comes_back_during_a_call_is_polled_again(world: MakeWorld) -> None:
    """Lost and adopted again while a call about a task is in flight, its watch is polled to the end of the task."""
    store, (name,) = SharedStore(), names_in(1, 1)
    w, _ = shared_world(world, store, latency="fixed(12)", durations="queue=fixed(0),run=fixed(100)")
    await store.admit([new_watch(name)])
    async with w.running():
        await anyio.sleep(1)
        store.take_over(1)
        store.hand_back(1)
        await anyio.sleep(600)
    assert w.inbox.events[-1].terminal
    assert w.service.stats.peak_per_task == 1


class SlowlyLoading(SharedStore):
    """What `load` has read arrives 15 s later."""

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in super().load(lease):
            await anyio.sleep(15)
            yield watches


async def test_a_commit_that_is_fenced_during_the_next_load_does_not_end_the_watch(world: MakeWorld) -> None:
    """Its shard came back under a new lease while the call was in flight: the task is polled to its end."""
    store, (name,) = SlowlyLoading(), names_in(1, 1)
    w, _ = shared_world(world, store, latency="fixed(6)", durations="queue=fixed(0),run=fixed(100)")
    await store.admit([new_watch(name)])
    async with w.running():
        await anyio.sleep(15 + 3)
        store.take_over(1)
        store.hand_back(1)
        await anyio.sleep(900)
    assert w.inbox.events[-1].terminal


async def test_an_adoption_loads_the_watches_and_events_of_that_shard_only(world: MakeWorld) -> None:
    """Of a store with open watches and undelivered events in all shards, the owner of one shard works on that one."""
    store = SharedStore(mine=[2])
    await store.open(["inbox"])
    watches = [await add_undelivered_event(store, name) for name in ALL_NAMES]
    ended = moved(watches[-1]._replace(ref=TaskRef("speaker-search", ("abc123", "gone"))), "SUCCEEDED", end=True).watch
    store.content.admit(ended)
    w, probe = shared_world(world, store, durations="run=never")
    async with w.running() as watcher:
        await watcher.loops.ownership.adoption.done.wait()
        assert watcher.loops.backlog.total == len(NAMES[2])
        assert {watch.key for watch in watches if watch.key in watcher.loops.pollers} == keys_in(2)
        await anyio.sleep(100)
    assert set(probe.polled) == {2}
    assert keys_in(2) <= {event.key for event in w.inbox.events}
    assert shards_of(w.inbox.events) == {2}


async def test_a_dead_letter_whose_retry_was_interrupted_by_a_change_of_owner_is_retried_again(world: MakeWorld) -> None:
    """Its shard was lost before the sink accepted the event: back here, the event is sent, and the dead letter is gone."""
    store, (name,), inbox = SharedStore(), names_in(1, 1), SimulatedInbox()
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=fixed(1)", sinks=[inbox])
    inbox.answer = lambda event: Rejected("size", cause="event")
    await store.admit([new_watch(name)])
    async with w.running():
        await anyio.sleep(60)
        letters = (await store.dead_letters(DeadLetterQuery())).items
        inbox.failure = Unavailable("503")
        await store.retry([letter.id for letter in letters])
        await anyio.sleep(10)
        store.take_over(1)
        await anyio.sleep(2 * RENEW_S)
        inbox.failure, inbox.answer = None, lambda event: Delivered()
        await anyio.sleep(300)
        assert inbox.events == []
        store.hand_back(1)
        await anyio.sleep(100)
        assert (await store.dead_letters(DeadLetterQuery())).items == []
    assert sorted(event.id[:12] for event in inbox.events) == sorted(letter.id[:12] for letter in letters)


class ReservedStore(SharedStore):
    """Shards that are not free belong to replica `b`. Notes when each claim came."""

    def __init__(self, mine: Collection[int], free: Collection[int]) -> None:
        super().__init__(mine)
        self.free = set(free)
        self.claims: list[float] = []

    async def claim(self, report: Report | None = None) -> Claim:
        self.claims.append(anyio.current_time())
        claim = await super().claim(report)
        others = sorted(set(range(SHARDS)) - self.mine - self.free)
        replicas = [Replica("a", 0.0, 0.0, 100.0, sorted(self.mine)), Replica("b", 0.0, 0.0, 100.0, others)]
        return Claim(claim.leases, me="a", replicas=replicas)


async def test_a_shard_without_an_owner_is_looked_at_again_soon(world: MakeWorld) -> None:
    """Another replica may have had it locked during the claim. When all shards have owners, the next claim is a renewal."""
    store = ReservedStore(mine=[0, 1], free=[2])
    w, _ = shared_world(world, store)
    async with w.running() as watcher:
        await anyio.sleep(0.3 * RENEW_S)
        store.mine, store.free = {0, 1, 2}, set()
        await anyio.sleep(0.3 * RENEW_S)
        assert set(watcher.loops.leases.held) == {0, 1, 2}
        store.claims.clear()
        await anyio.sleep(10 * RENEW_S)
        assert len(store.claims) == 10
