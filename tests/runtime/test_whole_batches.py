"""Whole batches: what a sink refuses or postpones as a whole, and how its failures are counted."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.errors import Invalid, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Retry
from watcher.query import DeadLetterQuery
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


class Picky(SimulatedInbox):
    """Refuses a batch as a whole as soon as it has two events."""

    refused = 0

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        if len(events) > 1:
            self.refused += len(events)
            raise Invalid("BatchRequestTooLong")
        return await super().send(events)


@pytest.mark.parametrize("count", [2, 3, 7])
async def test_each_event_of_a_batch_that_was_refused_as_a_whole_is_sent_alone(world: MakeWorld, count: int) -> None:
    """All events of all tasks arrive, also the last one of the batch; none becomes a dead letter, and the run ends."""
    inbox = Picky(max_batch=10, concurrency=1)
    w = world(sinks=[inbox], durations="queue=fixed(1),run=fixed(2)")
    inbox.failure = Unavailable("503")  # so that the first events wait, and are then sent together
    w.submit(*(f"task-{n}" for n in range(count)))
    async with w.watcher() as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await anyio.sleep(100)
        inbox.failure = None
        with anyio.fail_after(600):
            while len({event.key for event in inbox.events if event.terminal}) < count:  # noqa: ASYNC110 - an inbox signals nothing
                await anyio.sleep(1)
        watcher.stop()
    assert inbox.refused >= count
    for n in range(count):
        numbers = [int(event["sequence"]) for event in inbox.of(key(f"task-{n}"))]
        assert numbers == list(range(1, len(numbers) + 1))
    assert (await w.store.dead_letters(DeadLetterQuery())).items == []


async def test_failures_that_are_not_in_a_row_do_not_make_a_sink_unhealthy(world: MakeWorld) -> None:
    """A sink that postpones every second event stays healthy, however many it has postponed in all."""
    inbox = SimulatedInbox(max_batch=1, concurrency=1)
    w = world(sinks=[inbox], finite=False, durations="queue=fixed(1),run=fixed(2)")
    postponed, healthy = 0, []

    async with w.running() as watcher:

        def answer(event: Event) -> Outcome:
            nonlocal postponed
            healthy.append(watcher.health.is_good("sink:inbox"))
            if len(healthy) % 2:
                return Delivered()
            postponed += 1
            return Retry(Unavailable("busy"))

        inbox.answer = answer
        w.submit(*(f"task-{n}" for n in range(20)))
        await anyio.sleep(200)
    assert postponed >= 10
    assert all(healthy)
