"""Trouble that lasts: slow errors, a sink that is down for an hour, a queue that throttles, answers from the past."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.app import assemble
from watcher.errors import Throttled, Unavailable
from watcher.model import Backlog, Message
from watcher.query import Selection
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Determinism, Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.looptime(noop_cycles=0)  # nothing but the loop is at work, so there is nothing to wait for between two moments

HOUR_S = 3600.0


async def test_slow_errors_fill_the_calls_in_flight_and_no_more(world: MakeWorld) -> None:
    """With 8 s for a call and a 503 for each fifth, as many calls are in flight as may be, and every task is told of to its end."""
    settings = ServiceSettings(limits=Limits(max_in_flight=10))
    w = world(settings=settings, latency="fixed(8)", faults={"503": 0.2}, quota=1000.0, durations="run=fixed(30)", partial=0)
    w.submit(*(f"task-{n}" for n in range(200)))
    async with w.watcher() as watcher:
        await watcher.run()
    assert w.service.stats.peak_in_flight == 10
    assert w.service.stats.outcomes["ServiceUnavailableException"] > 50
    assert len({event.key for event in w.inbox.events if event.terminal}) == 200


async def test_a_sink_down_for_an_hour_fills_its_outbox_and_then_intake_waits(world: MakeWorld) -> None:
    """The other sink is told everything that was taken in; at the limit the rest stays in the queue; afterwards both have the same."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down")
    store = MemoryStore(MemoryStoreSettings())
    store.durable = True  # for as long as this life lasts: what is taken in leaves the queue
    w = world(store=store, sinks=[up, down], finite=False, durations="run=fixed(5)", settings=ServiceSettings(limits=Limits(max_outbox=50)))
    down.failure = Unavailable("503")
    async with w.running() as watcher:
        for minute in range(60):
            w.submit(*(f"task-{minute}-{n}" for n in range(5)))
            await anyio.sleep(60)
        backlog = (await w.store.backlog())["down"].events
        assert 50 <= backlog <= 50 + 3 * 20, "the limit, and what was watched when it was reached"
        assert len(w.queue) > 200, "what was not taken in stays where it is"
        assert len(up.events) == backlog
        assert not watcher.health.is_good("sink:down")
        down.failure = None
        await anyio.sleep(HOUR_S / 2)
        assert watcher.health.is_good("sink:down")
    assert {event.id: event.body for event in up.events} == {event.id: event.body for event in down.events}
    told = defaultdict(list)
    for body in down.bodies:
        told[body["subject"]].append(int(body["sequence"]))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in told.values())
    assert len({event.key for event in down.events if event.terminal}) == 300


class CountingQueue(SimulatedQueue):
    """Counts how often it was asked."""

    asked = 0

    async def receive(self) -> Sequence[Message] | None:
        self.asked += 1
        return await super().receive()


async def test_a_queue_that_throttles_is_asked_ever_more_seldom_and_is_the_only_one(world: MakeWorld) -> None:
    """For an hour of refused receives there are two calls a minute from each receiver; the other queue goes on, and it heals by itself."""
    w = world(finite=False, durations="run=fixed(5)")
    bad = CountingQueue(name="bad", finite=False, receivers=1)
    bad.failure = Throttled("429")
    bad.put('{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "late"}')
    async with (
        assemble(Adapters([w.queue, bad], w.probe, w.store, w.sinks), w.settings, determinism=Determinism(Clock(w.wall))) as watcher,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(watcher.run)
        w.submit("task-1")
        await anyio.sleep(HOUR_S)
        assert w.inbox.of(key("task-1"))[-1]["data"]["terminal"]
        assert HOUR_S / 60 <= bad.asked <= 4 * HOUR_S / 60
        assert not watcher.health.is_good("source:bad")
        bad.failure = None
        await anyio.sleep(120)
        assert w.inbox.of(key("late"))[-1]["data"]["terminal"]
        assert watcher.health.is_good("source:bad")
        watcher.stop()


async def test_answers_from_the_past_are_dropped_and_counted(world: MakeWorld) -> None:
    """Where each third answer is 5 s old, no event tells of a step back, and the metrics say how often one was seen."""
    w = world(faults={"stale": 0.3}, durations="queue=fixed(10),run=fixed(20)", partial=0)
    w.submit(*(f"task-{n}" for n in range(50)))
    async with w.watcher() as watcher:
        await watcher.run()
    page = watcher.metrics.registry
    assert page.get_sample_value("watcher_polls_total", {"kind": "speaker-search", "outcome": "stale"})
    for n in range(50):
        truth = [status for status, _ in w.service.tasks.truth(w.service.tasks.refs()[n])]
        said = [event["data"]["to"] for event in w.inbox.of(w.service.tasks.refs()[n].key)]
        assert said == [status for status in truth if status in said]


class CountingStore(MemoryStore):
    """Counts how often the outbox is counted."""

    counts = 0

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        self.counts += 1
        return await super().count_backlog(shard)

    async def backlog(self) -> Mapping[str, Backlog]:
        self.counts += 1
        return await super().backlog()


async def test_the_outbox_is_counted_once_and_then_in_memory(world: MakeWorld) -> None:
    """The store counts when the shard is adopted; afterwards the gauge follows commits, deliveries and erasures."""
    sink = SimulatedInbox()
    sink.failure = Unavailable("503")
    store = CountingStore(MemoryStoreSettings())
    w = world(store=store, sinks=[sink], finite=False, durations="run=fixed(5)", partial=0)
    w.submit("task-1", "task-2")
    async with w.running() as watcher:
        await anyio.sleep(120)
        before = store.counts
        assert watcher.loops.backlog.total == (await store.count_backlog(0))["inbox"].events > 2
        await store.forget(Selection(key=key("task-1")))
        sink.failure = None
        await anyio.sleep(400)
        assert watcher.loops.backlog.total == 0
        assert before == 1
        assert store.counts == 2, "the second one is this test's own"
