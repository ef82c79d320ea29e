"""Several replicas on one store: replies that come late, and shards that change hands in the meantime."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import anyio
import pytest

from tests.runtime.conftest import EPOCH, MakeWorld, key
from tests.runtime.shared_store import RENEW_S, SHARDS, SharedStore, names_in, new_watch, shared_world
from watcher.adapters.stores.memory import SharedMemory
from watcher.core.polling.circuits import Circuits
from watcher.errors import StoreUnavailable, Unavailable
from watcher.model import DEFAULT_TARGET, NO_TOKENS, Claim, Lease, Report, TaskRef, TaskTokens, Watch
from watcher.query import Selection
from watcher.runtime.clock import Clock
from watcher.runtime.remote_calls import RemoteCalls
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

pytestmark = pytest.mark.looptime(noop_cycles=0)

LEASE_S = 15.0


class EndingLeases(SharedStore):
    """Grants leases that end. A claim takes `claim_s` seconds to return."""

    claim_s = 0.0

    async def claim(self, report: Report | None = None) -> Claim:
        claim = await super().claim(report)
        await anyio.sleep(self.claim_s)
        return Claim([Lease(lease.shard, lease.epoch, LEASE_S) for lease in claim.leases])


async def test_polling_resumes_after_a_renewal_that_was_sent_in_time_and_returned_late(world: MakeWorld) -> None:
    """The last third of the leases began while the claim was under way: the poller, which found that out, is woken by the reply."""
    store, (name,) = EndingLeases(), names_in(1, 1)
    w, probe = shared_world(world, store, durations="queue=fixed(0),run=fixed(1)")
    async with w.running():
        await anyio.sleep(3)
        store.claim_s = 9.0  # the next one is sent at 5 s, while calls may start until 10 s
        await anyio.sleep(8)
        w.submit(name)
        await anyio.sleep(2.5)
        assert probe.polled == [], "nothing starts in the last third of the leases"
        await anyio.sleep(1)
        assert probe.polled == [1]


class LateReplies(SharedStore):
    """Replies of `admit` and `arrivals` may come late."""

    admit_s = 0.0
    arrivals_s = 0.0

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        admitted = await super().admit(watches, task_tokens)
        await anyio.sleep(self.admit_s)
        return admitted

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        watches = [watch for lease in leases for watch in self.content.load(lease.shard)]
        await anyio.sleep(self.arrivals_s)
        yield watches


async def test_a_reply_to_an_admission_does_not_move_a_watch_back_that_arrived_before_it(world: MakeWorld) -> None:
    """The watch was found among the arrivals and polled meanwhile: each of its statuses is reported, in order."""
    store, (name,) = LateReplies(), names_in(1, 1)
    store.admit_s = 9.7
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=fixed(6)")
    async with w.running():
        await anyio.sleep(1)
        w.submit(name)
        await anyio.sleep(100)
    assert [event.to for event in w.inbox.events] == ["IN_PROGRESS", "SUCCEEDED"]
    assert [event.terminal for event in w.inbox.events] == [False, True]


async def test_a_late_read_of_arrivals_does_not_poll_a_task_again_whose_watch_has_ended(world: MakeWorld) -> None:
    """The store was read while the task was open; by the time of the reply its end was committed here."""
    store, (name,) = LateReplies(), names_in(1, 1)
    store.arrivals_s = 30.0
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=fixed(9)")
    await store.admit([new_watch(name)])
    async with w.running() as watcher:
        await anyio.sleep(100)
        assert len(watcher.loops.pollers) == 0
    assert w.service.stats.after_end == 0
    assert [event.terminal for event in w.inbox.events] == [False, True]


async def test_a_task_that_another_replica_admits_again_after_its_erasure_is_polled(world: MakeWorld) -> None:
    """Its new watch arrives while the erased one is still polled here, and takes its place."""
    shared, (name,) = SharedMemory(SHARDS, anyio.current_time), names_in(1, 1)
    store, other = shared.replica("a"), shared.replica("b")
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=fixed(60)")
    await store.admit([new_watch(name)])
    async with w.running():
        await anyio.sleep(9.5)
        take_forgotten = shared.content.take_forgotten
        shared.content.take_forgotten = lambda shards: []  # type: ignore[method-assign]
        await other.forget(Selection(key=key(name)))
        await other.admit([Watch(TaskRef("speaker-search", ("abc123", name)), "another-watch", EPOCH, EPOCH + 86_400)])
        await anyio.sleep(1)
        shared.content.take_forgotten = take_forgotten  # type: ignore[method-assign]
        await anyio.sleep(200)
    found = await store.task(key(name))
    assert found is not None
    assert (found.id, found.open) == ("another-watch", False)


async def test_a_shard_that_is_lost_and_claimed_again_during_its_hand_over_is_adopted(world: MakeWorld) -> None:
    """A call about another shard of the same hand-over is still in flight: the new lease is not given back, and its task is polled."""
    store, (slow,), (name,) = SharedStore(), names_in(2, 1), names_in(1, 1)
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=fixed(40)", latency="fixed(12)")
    await store.admit([new_watch(slow)])
    async with w.running() as watcher, anyio.create_task_group() as tasks:
        await anyio.sleep(1)
        await store.admit([new_watch(name)])
        tasks.start_soon(watcher.loops.ownership.hand_over, [1, 2])
        await anyio.sleep(0.1)
        store.take_over(1)
        store.hand_back(1)
        await anyio.sleep(RENEW_S + 1)
        assert 1 in watcher.loops.leases.kept
        store.mine.discard(2)
        await anyio.sleep(300)
        assert 1 in watcher.loops.leases.held
    found = await store.task(key(name))
    assert found is not None
    assert not found.open


class Down(SharedStore):
    """Fails every check of whether all work is done."""

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        raise StoreUnavailable("connection refused")


async def test_a_finite_run_stops_while_the_store_is_down(world: MakeWorld) -> None:
    """All of its own work is done, and it waits for the store to say so: a stop ends the run within its deadline."""
    w, _ = shared_world(world, Down())
    w.queue.finite = True
    async with w.watcher() as watcher:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watcher.run)
                await anyio.sleep(10)
                began = anyio.current_time()
                watcher.stop()
    assert anyio.current_time() - began < 25
    assert not watcher.finished


async def test_a_call_does_not_begin_after_the_end_of_the_leases_it_was_permitted_under() -> None:
    """The process was suspended between the permit and the call: another replica may make it now."""
    service = VoiceService(Scenario(), clock=anyio.current_time)
    calls = RemoteCalls(SimulatedProbe(service), Circuits().of(DEFAULT_TARGET, "chime-sdk-voice"), Clock())
    now = anyio.current_time()
    outcomes, error = await calls.observe([TaskRef("speaker-search", ("abc123", "task-1"))], now, until=now)
    assert isinstance(error, Unavailable)
    assert [outcome is error for outcome in outcomes] == [True]
    assert service.stats.requests == 0


class SlowLoad(SharedStore):
    """Its replies with the watches of a shard may come late."""

    load_s = 0.0

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in super().load(lease):
            await anyio.sleep(self.load_s)
            yield watches


async def test_a_reply_that_is_older_than_an_erasure_does_not_bring_the_task_back(world: MakeWorld) -> None:
    """The shard is read before the erasure, and the reply comes after it: polling ends, although the status never changes again."""
    store, (name,) = SlowLoad(), names_in(1, 1)
    w, _ = shared_world(world, store, durations="queue=fixed(0),run=never")
    async with w.running():
        w.submit(name)
        await anyio.sleep(30)
    store.load_s = 3.0
    async with w.running() as watcher:
        await anyio.sleep(1)
        await store.forget(Selection(key=key(name)))
        await anyio.sleep(30)
        assert key(name) not in watcher.loops.pollers
