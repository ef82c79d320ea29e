"""What operators request from another process while the watcher runs: erasures, and retries of dead letters."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Unavailable
from watcher.model import NO_TOKENS, DeadLetter, TaskTokens, Watch
from watcher.ports import Delivered, Rejected
from watcher.query import DeadLetterQuery, Selection
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_rejected_event_becomes_a_dead_letter_and_can_be_retried(world: MakeWorld) -> None:
    """Retried after the sink can accept it, the event is delivered, and the dead letter is gone."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox], finite=False)
    inbox.answer = lambda event: Rejected("size", cause="event") if event.terminal else Delivered()
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(60)
        (letter,) = (await w.store.dead_letters(DeadLetterQuery())).items
        assert (letter.what, letter.origin, letter.reason, letter.key) == ("event", "inbox", "size", key("task-1"))
        inbox.answer = lambda event: Delivered()
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        assert (await w.store.dead_letters(DeadLetterQuery())).items == []
    assert inbox.of(key("task-1"))[-1]["data"]["terminal"]


async def test_a_dead_letter_of_an_input_can_be_retried(world: MakeWorld) -> None:
    """A message that is still invalid stays the same dead letter, with one more try."""
    w = world(finite=False)
    w.queue.put("nonsense")
    async with w.running():
        await anyio.sleep(5)
        (letter,) = (await w.store.dead_letters(DeadLetterQuery())).items
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        (again,) = (await w.store.dead_letters(DeadLetterQuery())).items
    assert (again.id, again.tries, again.retry) == (letter.id, 2, False)


async def test_a_retry_for_a_removed_sink_is_made_once(world: MakeWorld) -> None:
    """An event whose sink is not configured any more stays a dead letter, and is not retried every second."""
    w = world(finite=False)
    async with w.running():
        await w.store.add_dead_letters([DeadLetter("x-gone", "event", "gone", "size", "", b"{}", w.wall())])
        await w.store.retry(["x-gone"])
        await anyio.sleep(10)
        (letter,) = (await w.store.dead_letters(DeadLetterQuery())).items
    assert (letter.id, letter.tries, letter.retry) == ("x-gone", 2, False)


async def test_an_erased_task_is_not_polled_any_more(world: MakeWorld) -> None:
    """After the erasure there is no call and no event about the task, and its message leaves the queue."""
    w = world(finite=False, durations="run=fixed(500)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(30)
        assert await w.store.forget(Selection(key=key("task-1"))) == 1
        await anyio.sleep(2)
        calls = w.service.stats.requests
        await anyio.sleep(600)
        assert w.service.stats.requests == calls
        assert len(w.queue) == 0
    assert not any(e["data"]["terminal"] for e in w.inbox.bodies)


@pytest.mark.parametrize("gaps", [(0.0, 0.0), (0.2, 0.2), (0.7, 0.7), (1.0, 0.0), (0.0, 1.3)])
async def test_erasures_close_together_are_all_applied(world: MakeWorld, gaps: tuple[float, float]) -> None:
    """Of erasures within a second or in successive ones none is skipped: no erased task is polled, and its message leaves the queue."""
    w = world(finite=False, durations="run=fixed(500)")
    w.submit("task-1", "task-2", "task-3", "kept")
    async with w.running() as watcher:
        await anyio.sleep(30)
        for name, gap in zip(("task-2", "task-3", "task-1"), (*gaps, 0.0), strict=True):
            assert await w.store.forget(Selection(key=key(name))) == 1
            await anyio.sleep(gap)
        await anyio.sleep(4)
        assert [name for name in ("task-1", "task-2", "task-3", "kept") if key(name) in watcher.loops.pollers] == ["kept"]
        await anyio.sleep(600)
        assert len(w.queue) == 0
    assert {event.key for event in w.inbox.events if event.terminal} == {key("kept")}


async def test_a_retried_input_is_a_dead_letter_until_its_task_is_admitted(world: MakeWorld) -> None:
    """When the process ends while the watch of a retried input is being written, the input is still a dead letter."""

    class Stuck(MemoryStore):
        """Never ends to write a watch."""

        async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
            await anyio.sleep_forever()
            raise AssertionError

    store = Stuck(MemoryStoreSettings())
    w = world(store=store, finite=False)
    body = b'{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "task-9"}'
    with anyio.move_on_after(30):
        async with w.running():
            await store.add_dead_letters([DeadLetter("healed", "input", "queue", "version", "", body, w.wall())])
            await store.retry(["healed"])
            await anyio.sleep_forever()
    assert [letter.id for letter in (await store.dead_letters(DeadLetterQuery())).items] == ["healed"]


async def test_events_of_an_erased_task_are_not_sent_when_a_sink_recovers(world: MakeWorld) -> None:
    """An event that is being sent to a failing sink is dropped with its task; the other events of the batch arrive."""
    inbox = SimulatedInbox(max_batch=10, concurrency=1)
    w = world(sinks=[inbox], finite=False)
    inbox.failure = Unavailable("503")
    w.submit("task-1", "task-2")
    async with w.running():
        await anyio.sleep(100)
        await w.store.forget(Selection(key=key("task-1")))
        await anyio.sleep(5)
        inbox.failure = None
        await anyio.sleep(100)
    assert inbox.of(key("task-1")) == []
    assert inbox.of(key("task-2"))[-1]["data"]["terminal"]


async def test_a_task_that_is_erased_and_submitted_again_is_reported_to_its_end(world: MakeWorld) -> None:
    """An erasure drops what existed before it, and nothing of the new watch: that is polled, and its events are delivered."""
    w = world(finite=False, durations="run=fixed(1)")
    w.submit("task-1")
    async with w.running():
        for _ in range(20):
            await anyio.sleep(0.3)
            await w.store.forget(Selection(key=key("task-1")))
            w.submit("task-1")
        await anyio.sleep(60)
        assert [backlog.events for backlog in (await w.store.backlog()).values()] == [0]
        assert await w.store.count_open() == 0
    assert w.inbox.events[-1].terminal


@pytest.mark.parametrize("at", [18.5, 20.5, 22.0, 23.5, 25.0])
@pytest.mark.parametrize("later", [0.1, 1.5, 3.0])
async def test_a_task_that_is_erased_and_submitted_again_during_a_call_has_one_call_at_once(
    world: MakeWorld, at: float, later: float
) -> None:
    """Whatever the slow call about the old watch returns, the new watch is reported to its end, without a second call beside the first."""
    w = world(finite=False, durations="queue=fixed(20),run=fixed(60)", latency="fixed(4)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(at)
        assert await w.store.forget(Selection(key=key("task-1"))) == 1
        await anyio.sleep(later)
        w.submit("task-1")
        await anyio.sleep(600)
        assert w.service.stats.peak_per_task == 1
    last = w.inbox.bodies[-1]["data"]
    assert (last["to"], last["terminal"]) == ("SUCCEEDED", True)
