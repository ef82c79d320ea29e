"""Trouble that lasts: slow errors, a sink that is down for an hour, a queue that throttles, stale replies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.errors import Throttled, Unavailable
from watcher.model import Message
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.looptime(noop_cycles=0)  # no thread and no socket takes part, so the loop need not wait for one

HOUR_S = 3600.0


async def test_slow_errors_use_at_most_max_in_flight_calls(world: MakeWorld) -> None:
    """With 8 s for each call and a 503 for every fifth, `max_in_flight` calls are in flight, and every task is reported to its end."""
    settings = ServiceSettings(limits=Limits(max_in_flight=10))
    w = world(settings=settings, latency="fixed(8)", faults={"503": 0.2}, quota=1000.0, durations="run=fixed(30)", partial=0)
    w.submit(*(f"task-{n}" for n in range(200)))
    async with w.watcher() as watcher:
        await watcher.run()
    assert w.service.stats.peak_in_flight == 10
    assert w.service.stats.outcomes["ServiceUnavailableException"] > 50
    assert len({event.key for event in w.inbox.events if event.terminal}) == 200


async def test_a_sink_that_is_down_for_an_hour_pauses_intake_at_max_outbox(world: MakeWorld) -> None:
    """The other sink gets all events; at the limit the rest stays in the queue; afterwards both sinks have the same events."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down")
    store = MemoryStore(MemoryStoreSettings())
    store.durable = True  # admitted messages leave the queue at once
    w = world(store=store, sinks=[up, down], finite=False, durations="run=fixed(5)", settings=ServiceSettings(limits=Limits(max_outbox=50)))
    down.failure = Unavailable("503")
    async with w.running() as watcher:
        for minute in range(60):
            w.submit(*(f"task-{minute}-{n}" for n in range(5)))
            await anyio.sleep(60)
        backlog = (await w.store.backlog())["down"].events
        assert 50 <= backlog <= 50 + 3 * 20, "the limit, and the events of what was watched when it was reached"
        assert len(w.queue) > 200, "what was not admitted stays in the queue"
        assert len(up.events) == backlog
        assert not watcher.health.is_good("sink:down")
        down.failure = None
        await anyio.sleep(HOUR_S / 2)
        assert watcher.health.is_good("sink:down")
    assert {event.id: event.body for event in up.events} == {event.id: event.body for event in down.events}
    sequences = defaultdict(list)
    for body in down.bodies:
        sequences[body["subject"]].append(int(body["sequence"]))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in sequences.values())
    assert len({event.key for event in down.events if event.terminal}) == 300


class CountingQueue(SimulatedQueue):
    """Counts the calls of `receive`."""

    receives = 0

    async def receive(self) -> Sequence[Message] | None:
        self.receives += 1
        return await super().receive()


async def test_a_queue_that_throttles_is_called_less_often_and_delays_no_other(world: MakeWorld) -> None:
    """An hour of throttled calls costs about two a minute; the other queue is received from as usual; then both are."""
    w = world(finite=False, durations="run=fixed(5)")
    throttling = CountingQueue(name="throttling", finite=False, receivers=1)
    throttling.failure = Throttled("429")
    throttling.put('{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "late"}')
    w.sources.append(throttling)
    async with w.running() as watcher:
        w.submit("task-1")
        await anyio.sleep(HOUR_S)
        assert w.inbox.of(key("task-1"))[-1]["data"]["terminal"]
        assert HOUR_S / 60 <= throttling.receives <= 4 * HOUR_S / 60
        assert not watcher.health.is_good("source:throttling")
        throttling.failure = None
        await anyio.sleep(120)
        assert w.inbox.of(key("late"))[-1]["data"]["terminal"]
        assert watcher.health.is_good("source:throttling")


async def test_stale_replies_are_dropped_and_counted(world: MakeWorld) -> None:
    """Where every third reply is 5 s old, no event reports a step back, and the metrics count the stale replies."""
    every_second = ServiceSettings(cadence=CadenceSettings(type="fixed", every=1))
    w = world(faults={"stale": 0.3}, durations="queue=fixed(10),run=fixed(20)", partial=0, settings=every_second)
    w.submit(*(f"task-{n}" for n in range(50)))
    async with w.watcher() as watcher:
        await watcher.run()
    metrics = watcher.metrics.registry
    assert metrics.get_sample_value("watcher_polls_total", {"target": "default", "kind": "speaker-search", "outcome": "stale"})
    for ref in w.service.tasks.refs():
        truth = [status for status, _ in w.service.tasks.truth(ref)]
        reported = [event["data"]["to"] for event in w.inbox.of(ref.key)]
        assert reported == [status for status in truth if status in reported]
