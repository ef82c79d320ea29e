"""The backlog: counted in memory by increments, corrected when a sink has sent everything, and one of the limits of intake."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from tests.contracts.store_exam.facts import a_dead_letter, a_watch, moved, unsettled
from tests.runtime.conftest import EPOCH, MakeWorld, key
from tests.runtime.shared_store import SHARDS, SharedStore, new_watch
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Unavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Backlog, Watch, shard_of
from watcher.observe.metrics import Metrics
from watcher.query import Selection
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.clock import Clock
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.runtime.wakeup import IntakeGate
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

SINKS = ("bus", "file")


def new_counter(gate: IntakeGate | None = None, max_outbox: int = 1000) -> BacklogCounter:
    clock = Clock(lambda: EPOCH, lambda: 0.0)
    instruments = Instruments(clock, Health(clock.wall), Metrics(builtin_catalog()))
    return BacklogCounter(SINKS, gate or IntakeGate(), max_outbox, instruments)


class RandomUse:
    """A store and a counter that see the same random commits, settlements, losses, and adoptions."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.store = SharedStore()
        self.counter = new_counter()
        self.owned = set(range(SHARDS))
        self.watches: dict[str, Watch] = {}

    async def run(self, steps: int) -> None:
        await self.store.open(SINKS)
        for shard in range(SHARDS):
            self.counter.adopt(shard, await self.store.count_backlog(shard))
        for _ in range(steps):
            await self.rng.choice([self.commit, self.commit, self.settle, self.settle, self.settle, self.lose, self.regain])()

    async def commit(self) -> None:
        watch = a_watch(f"t{self.rng.randrange(20)}")
        if watch.key not in self.watches:
            (self.watches[watch.key],) = await self.store.admit([watch])
        change = moved(self.watches[watch.key], f"STATUS_{self.rng.randrange(10**6)}")
        self.watches[watch.key] = change.watch
        await self.store.commit([change], {lease.shard: lease for lease in (await self.store.claim()).leases})
        self.counter.committed(shard_of(watch.key, SHARDS), change.events)

    async def settle(self) -> None:
        sink = self.rng.choice(SINKS)
        events = await unsettled(self.store, sink)
        chosen = self.rng.sample(events, min(len(events), self.rng.randrange(4)))
        rejected = [event for event in chosen if self.rng.random() < 0.3]
        delivered = [event for event in chosen if event not in rejected]
        letters = [a_dead_letter(event.id, event=event) for event in rejected]
        await self.store.settle(sink, delivered, letters, {lease.shard: lease for lease in (await self.store.claim()).leases})
        self.counter.settled(sink, chosen)

    async def lose(self) -> None:
        if len(self.owned) > 1:
            shard = self.rng.choice(sorted(self.owned))
            self.owned.discard(shard)
            self.counter.release(shard)

    async def regain(self) -> None:
        for shard in set(range(SHARDS)) - self.owned:
            self.owned.add(shard)
            self.counter.adopt(shard, await self.store.count_backlog(shard))

    async def counted(self, sink: str) -> int:
        """What the store counts in the owned shards."""
        return sum([(await self.store.count_backlog(shard))[sink].events for shard in self.owned])


@pytest.mark.parametrize("seed", range(20))
async def test_the_count_by_increments_equals_the_count_of_the_store(seed: int) -> None:
    """After any sequence of commits, settlements, losses, and adoptions of shards, for each sink."""
    use = RandomUse(seed)
    await use.run(300)
    assert [use.counter.of(sink) for sink in SINKS] == [await use.counted(sink) for sink in SINKS]
    assert use.counter.total == await use.counted("bus") + await use.counted("file")


async def test_what_ends_after_its_shard_was_released_is_not_counted() -> None:
    """A commit or a batch that was in flight when its shard was lost does not change the total."""
    counter, event = new_counter(), moved(a_watch()).events[0]
    counter.adopt(0, {"bus": Backlog(3, EPOCH)})
    counter.adopt(1, {"bus": Backlog(5, EPOCH)})
    counter.release(1)
    counter.settled("bus", [event.placed(1, shard=1)])
    assert counter.of("bus") == 3
    counter.committed(1, [event])
    assert counter.of("bus") == 3


async def test_an_erasure_is_corrected_when_the_sink_has_nothing_left_to_send() -> None:
    """Events of an erased task are never settled, so the count stays too high until `drained`."""
    counter = new_counter()
    counter.adopt(0, {"bus": Backlog(2, EPOCH), "file": Backlog(2, EPOCH)})
    counter.drained("bus")
    assert (counter.of("bus"), counter.of("file")) == (0, 2)
    counter.committed(0, moved(a_watch()).events)
    assert counter.of("bus") == 1


async def test_intake_pauses_at_max_outbox_and_resumes_below_it() -> None:
    """The sink that is furthest behind decides; the log says what to do."""
    gate = IntakeGate()
    counter = new_counter(gate, max_outbox=2)
    counter.adopt(0, {})
    events = [moved(a_watch(f"t{n}")).events[0] for n in range(2)]
    with capture_logs() as lines:
        counter.committed(0, events[:1])
        counter.report()
        assert gate.paused_by == set()
        counter.committed(0, events[1:])
        counter.report()
        assert gate.paused_by == {"max_outbox"}
        counter.settled("bus", events)
        counter.report()
        assert gate.paused_by == {"max_outbox"}, "the other sink is still behind"
        counter.settled("file", events[:1])
        counter.report()
        assert gate.paused_by == set()
    assert [(line["event"], line["reason"]) for line in lines] == [("intake_paused", "max_outbox"), ("intake_resumed", "max_outbox")]
    assert "raise limits.max_outbox" in lines[0]["hint"]


async def test_the_gauges_show_the_backlog_and_the_age_of_its_oldest_event() -> None:
    """An age of 0 means that a sink has nothing left to settle."""
    counter = new_counter()
    counter.track("bus", lambda: EPOCH - 40)
    counter.track("file", lambda: EPOCH - 40)
    counter.adopt(0, {"bus": Backlog(3, EPOCH - 40)})
    counter.report()
    sample = counter._metrics.registry.get_sample_value
    assert [sample("watcher_outbox_events", {"sink": sink}) for sink in SINKS] == [3, 0]
    assert [sample("watcher_outbox_age_seconds", {"sink": sink}) for sink in SINKS] == [40, 0]


async def test_a_running_watcher_counts_what_the_store_counts(world: MakeWorld) -> None:
    """While sinks fail and recover and an operator erases a task, the count is never below that of the store, and ends at 0."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down")
    w = world(store=SharedStore(), sinks=[up, down], finite=False, durations="run=fixed(5)", partial=0)
    w.submit(*(f"task-{n}" for n in range(20)))
    down.failure = Unavailable("503")
    async with w.running() as watcher:
        for second in range(120):
            await anyio.sleep(1)
            assert watcher.loops.backlog.of("down") >= (await w.store.backlog())["down"].events
            if second == 60:
                await w.store.forget(Selection(key=key("task-1")))
        down.failure = None
        await anyio.sleep(120)
        assert watcher.loops.backlog.total == 0
        assert {sink: backlog.events for sink, backlog in (await w.store.backlog()).items()} == {"up": 0, "down": 0}


class CountingStore(MemoryStore):
    """Counts how often the outbox is counted."""

    counts = 0

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        self.counts += 1
        return await super().count_backlog(shard)

    async def backlog(self) -> Mapping[str, Backlog]:
        self.counts += 1
        return await super().backlog()


async def test_the_store_counts_the_outbox_once(world: MakeWorld) -> None:
    """When the shard is adopted; afterwards the counter follows commits, deliveries, and erasures in memory."""
    inbox, store = SimulatedInbox(), CountingStore(MemoryStoreSettings())
    inbox.failure = Unavailable("503")
    w = world(store=store, sinks=[inbox], finite=False, durations="run=fixed(5)", partial=0)
    w.submit("task-1", "task-2")
    async with w.running() as watcher:
        await anyio.sleep(120)
        assert store.counts == 1
        assert watcher.loops.backlog.total == (await store.count_backlog(0))["inbox"].events > 2
        await store.forget(Selection(key=key("task-1")))
        inbox.failure = None
        await anyio.sleep(400)
        assert watcher.loops.backlog.total == 0
        assert store.counts == 2, "the second count is that of this test"


async def test_a_restart_with_more_watches_than_the_limit_pauses_intake_with_a_hint(world: MakeWorld) -> None:
    """Watches that are loaded count, too; one writer pauses intake once, and says what to do."""
    w = world(store=SharedStore(), finite=False, durations="run=never", settings=ServiceSettings(limits=Limits(max_watches=5)))
    await w.store.admit([new_watch(f"task-{n}") for n in range(20)])
    w.submit("another")
    with capture_logs() as lines:
        async with w.running() as watcher:
            await anyio.sleep(60)
            assert len(watcher.loops.pollers) == 20
            assert len(w.queue.acked) == 0, "nothing is received at the limit"
            for n in range(16):
                await w.store.forget(Selection(key=key(f"task-{n}")))
            await anyio.sleep(60)
            assert watcher.loops.pollers.watched(key("another"))
    pauses = [line for line in lines if line["event"].startswith("intake_")]
    assert [(line["event"], line["reason"]) for line in pauses][:2] == [("intake_paused", "max_watches"), ("intake_resumed", "max_watches")]
    assert "raise limits.max_watches" in pauses[0]["hint"]
    assert all(line["hint"] for line in pauses if line["event"] == "intake_paused")
