"""Messages that are held until their tasks are done: when they leave their queue."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.app import assemble
from watcher.errors import Unavailable
from watcher.model import DeadLetter, Message
from watcher.query import DeadLetterQuery
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Determinism
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.looptime


class SlowQueue(SimulatedQueue):
    """A queue that takes its time with an acknowledgement, as one behind a network does."""

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        await anyio.sleep(0.3)
        return await super().ack(messages)


async def test_a_stop_waits_for_the_acknowledgement_of_what_was_delivered(world: MakeWorld) -> None:
    """Stopped right after the last event, a watcher without a disk leaves no message that the next one would begin anew."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(10)")
    w.queue = SlowQueue(finite=False)
    w.submit("task-1")
    async with w.running():
        while not any(event["data"]["terminal"] for event in w.inbox.bodies):  # noqa: ASYNC110 - an inbox rings no bell
            await anyio.sleep(0.01)
    assert len(w.queue.acked) == 1


async def test_a_source_that_is_down_delays_no_acknowledgement_of_another(world: MakeWorld) -> None:
    """Tasks of two queues are done, one queue answers no more: the messages of the other one go."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(30)")
    other = SimulatedQueue(name="other", finite=False)
    w.submit("task-1")
    other.put('{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "task-2"}')
    parts = Adapters([w.queue, other], w.probe, w.store, w.sinks)
    async with assemble(parts, w.settings, determinism=Determinism(Clock(w.wall))) as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        await anyio.sleep(5)
        w.queue.failure = Unavailable("test")
        await anyio.sleep(60)
        assert (len(w.queue.acked), len(other.acked), other.redelivered) == (0, 1, 0)
        w.queue.failure = None
        watcher.stop()


async def test_a_letter_for_a_sink_that_is_gone_is_asked_for_once(world: MakeWorld) -> None:
    """Retried after its sink left the configuration, an event stays a dead letter, and is not tried every second."""
    w = world(finite=False)
    await w.store.open(["inbox"])
    await w.store.add_dead_letters([DeadLetter("x-gone", "event", "gone", "size", "", b"{}", w.wall())])
    async with w.running():
        await w.store.retry(["x-gone"])
        await anyio.sleep(10)
        (letter,) = (await w.store.dead_letters(DeadLetterQuery())).items
    assert (letter.id, letter.tries, letter.retry) == ("x-gone", 2, False)
