"""Deferred acknowledgements: with a store that is not durable, a message stays in its queue until its tasks are done."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.errors import Unavailable
from watcher.model import Message
from watcher.simulator.queue import SimulatedQueue

pytestmark = pytest.mark.looptime(noop_cycles=0)


class SlowQueue(SimulatedQueue):
    """Takes a while for an acknowledgement, as a queue behind a network does."""

    ack_s = 0.3

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        await anyio.sleep(self.ack_s)
        return await super().ack(messages)


async def test_a_message_stays_in_the_queue_until_its_last_event_is_delivered(world: MakeWorld) -> None:
    """Another process finds its tasks in the queue again if this one is killed; until then the message is extended."""
    w = world(finite=False, durations="run=fixed(100)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(90)
        assert w.queue.acked == []
        assert w.queue.redelivered == 0
        await anyio.sleep(60)
        assert len(w.queue.acked) == 1


async def test_a_repeat_about_an_ended_task_stays_until_the_last_event_is_delivered(world: MakeWorld) -> None:
    """A second message about a task that has ended, but whose end is not delivered yet, is not acknowledged before the first one."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(5)")
    w.inbox.failure = Unavailable("503")
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(60)
        assert len(watcher.loops.pollers) == 0, "its watch has ended"
        w.submit("task-1")
        await anyio.sleep(120)
        assert w.queue.acked == []
        w.inbox.failure = None
        await anyio.sleep(120)
    assert len(w.queue.acked) == 2


async def test_a_message_that_becomes_free_during_an_acknowledgement_is_acknowledged_too(world: MakeWorld) -> None:
    """Tasks whose last events are delivered while an earlier acknowledgement is under way leave the queue before their time is over."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(5)", latency="fixed(0.1)")
    w.queue = SlowQueue(finite=False, hold_s=300.0)
    w.queue.ack_s = 40.0
    w.submit(*(f"task-{n}" for n in range(8)))
    async with w.running():
        await anyio.sleep(200)
        assert (len(w.queue.acked), w.queue.redelivered) == (8, 0)


async def test_a_stop_acknowledges_the_messages_of_finished_tasks(world: MakeWorld) -> None:
    """Stopped right after the last event, a watcher leaves no message that the next process would watch again."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(10)")
    w.queue = SlowQueue(finite=False)
    w.submit("task-1")
    async with w.running():
        while not any(event["data"]["terminal"] for event in w.inbox.bodies):  # noqa: ASYNC110 - an inbox signals nothing
            await anyio.sleep(0.01)
    assert len(w.queue.acked) == 1


async def test_a_source_that_is_down_delays_no_acknowledgement_of_another(world: MakeWorld) -> None:
    """When the tasks of two queues are done and one queue does not answer, the messages of the other one are acknowledged."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(30)")
    other = SimulatedQueue(name="other", finite=False)
    w.sources.append(other)
    w.submit("task-1")
    other.put('{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "task-2"}')
    async with w.running():
        await anyio.sleep(5)
        w.queue.failure = Unavailable("test")
        await anyio.sleep(60)
        assert (len(w.queue.acked), len(other.acked), other.redelivered) == (0, 1, 0)
        w.queue.failure = None
