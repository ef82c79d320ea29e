"""Dead letters in a running watcher: how long they are kept, what happens at their limit, and retries of many."""

from __future__ import annotations

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import EPOCH, MakeWorld, World, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import SinksRemoved, Unavailable
from watcher.model import DeadLetter, Event
from watcher.ports import RETRY_PAGE, Delivered, Outcome, Rejected, Retry
from watcher.query import DeadLetterQuery, Selection
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

MINUTE_S = 60.0


def reject_ends(event: Event) -> Outcome:
    return Rejected("size", "event") if event.terminal else Delivered()


def reject_all(event: Event) -> Outcome:
    return Rejected("size", "event")


async def letters(w: World, what: str) -> list[DeadLetter]:
    """The dead letters of inputs, or of events."""
    return [letter for letter in (await w.store.dead_letters(DeadLetterQuery())).items if letter.what == what]


# --- how long they are kept ------------------------------------------------------------------------


async def test_a_rejected_event_is_kept_longer_than_its_task(world: MakeWorld) -> None:
    """After the retention the task and an invalid input are gone; the event that the sink rejected stays, and can be retried."""
    w = world(finite=False, settings=ServiceSettings(watch=WatchSettings(retention=MINUTE_S)), durations="run=fixed(1)")
    w.inbox.answer = reject_ends
    w.submit("task-1")
    w.queue.put("nonsense")
    with capture_logs() as logs:
        async with w.running():
            await anyio.sleep(30 * MINUTE_S)
            assert await w.store.task(key("task-1")) is None
            assert await letters(w, "input") == []
            (letter,) = await letters(w, "event")
            w.inbox.answer = lambda event: Delivered()
            await w.store.retry([letter.id])
            await anyio.sleep(5)
            assert await letters(w, "event") == []
    assert w.inbox.events[-1].terminal
    pruned = [line for line in logs if line["event"] == "pruned"]
    assert sum(line["watches"] for line in pruned) == sum(line["dead_letters"] for line in pruned) == 1
    assert not [line for line in logs if line["event"] == "rejected_events_erased"]


async def test_rejected_events_are_erased_after_a_time_of_their_own_and_counted(world: MakeWorld) -> None:
    """With `watch.dead_letter_retention`, the log counts the events that are erased without having been delivered."""
    settings = ServiceSettings(watch=WatchSettings(retention=MINUTE_S, dead_letter_retention=25 * MINUTE_S))
    w = world(finite=False, settings=settings, durations="run=fixed(1)")
    w.inbox.answer = reject_ends
    w.submit("task-1", "task-2", "task-3")
    with capture_logs() as logs:
        async with w.running():
            await anyio.sleep(24 * MINUTE_S)
            assert len(await letters(w, "event")) == 3
            await anyio.sleep(12 * MINUTE_S)
            assert await letters(w, "event") == []
    (line,) = [line for line in logs if line["event"] == "rejected_events_erased"]
    assert (line["log_level"], line["events"]) == ("warning", 3)


# --- removed sinks ---------------------------------------------------------------------------------


async def test_a_start_without_a_sink_that_has_events_is_refused(world: MakeWorld) -> None:
    """The events of a renamed sink are neither forgotten nor sent to another one; under its name, the sink gets them."""
    store = MemoryStore(MemoryStoreSettings())
    store.durable = True
    old = SimulatedInbox(name="old")
    old.failure = Unavailable("503")
    w = world(store=store, sinks=[old], finite=False, durations="run=fixed(1)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(60)
    renamed = world(store=store, sinks=[SimulatedInbox(name="new")])
    with pytest.raises(SinksRemoved, match=r'"old".*--drop-sink old'):
        async with renamed.watcher():
            pass
    old.failure = None
    again = world(store=store, sinks=[old, SimulatedInbox(name="new")], finite=False)
    async with again.running():
        await anyio.sleep(60)
    assert old.events[-1].terminal


async def test_dropping_a_sink_is_logged_with_what_was_erased(world: MakeWorld) -> None:
    """`drop_sinks` lets the start forget the sink, and the log counts its undelivered events and its dead letters."""
    store = MemoryStore(MemoryStoreSettings())
    old = SimulatedInbox(name="old", max_batch=1, concurrency=1)
    old.answer = reject_all
    w = world(store=store, sinks=[old], finite=False, durations="run=fixed(1)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(60)
    rejected = len(await letters(w, "event"))
    settings = ServiceSettings(drop_sinks=frozenset({"old"}))
    renamed = world(store=store, sinks=[SimulatedInbox(name="new")], settings=settings)
    with capture_logs() as logs:
        async with renamed.watcher():
            pass
    (line,) = [line for line in logs if line["event"] == "sink_dropped"]
    assert (line["sink"], line["undelivered"], line["dead_letters"]) == ("old", 0, rejected)
    assert rejected > 0
    assert await letters(renamed, "event") == []


# --- at the limit ----------------------------------------------------------------------------------


def limited(limit: int) -> ServiceSettings:
    return ServiceSettings(limits=Limits(max_dead_letters=limit))


async def test_intake_pauses_at_the_limit_of_invalid_inputs(world: MakeWorld) -> None:
    """Invalid messages beyond the limit stay in the queue, open watches go on, and intake resumes when there is room."""
    w = world(finite=False, settings=limited(7), durations="run=fixed(100)", partial=0)
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(20)
        for n in range(100):
            w.queue.put(f"nonsense {n}")
        await anyio.sleep(600)
        kept = len(await letters(w, "input"))
        assert 7 <= kept <= 7 + 20, "the limit, and what was received when it was reached"
        assert len(w.queue) == 100 - kept, "no message is lost"
        assert w.inbox.events[-1].terminal
        assert watcher.metrics.registry.get_sample_value("watcher_dead_letters_kept", {"what": "input"}) == kept
        assert watcher.metrics.registry.get_sample_value("watcher_dead_letters_limit", {"what": "input"}) == 7
        for _ in range(20):
            await w.store.purge()
            await anyio.sleep(15)
        assert len(w.queue) == 0
        w.submit("task-2")
        await anyio.sleep(300)
    assert w.inbox.events[-1].key == key("task-2")


async def test_a_sink_is_held_at_the_limit_of_rejected_events(world: MakeWorld) -> None:
    """A rejected event beyond the limit stays in the outbox and is tried again; with room again it becomes a dead letter."""
    w = world(sinks=[SimulatedInbox(max_batch=1, concurrency=1)], finite=False, settings=limited(4), durations="run=fixed(1)", partial=0)
    w.inbox.answer = reject_all
    w.submit(*(f"task-{n}" for n in range(6)))
    async with w.running():
        await anyio.sleep(10 * MINUTE_S)
        assert len(await letters(w, "event")) == 4
        backlog = (await w.store.backlog())["inbox"].events
        total = 4 + backlog
        assert backlog > 0
        await w.store.purge([(await letters(w, "event"))[0].id])
        await anyio.sleep(10 * MINUTE_S)
        assert len(await letters(w, "event")) == 4
        assert (await w.store.backlog())["inbox"].events == backlog - 1
        w.inbox.answer = lambda event: Delivered()
        await anyio.sleep(10 * MINUTE_S)
        assert (await w.store.backlog())["inbox"].events == 0
    assert len(w.inbox.events) == total - 5


async def test_a_retry_at_the_limit_is_made(world: MakeWorld) -> None:
    """A dead letter has its room already: rejected again, it counts one more try, and its retry ends."""
    w = world(finite=False, settings=limited(1), durations="run=fixed(1)", partial=0)
    w.inbox.answer = reject_ends
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(60)
        (letter,) = await letters(w, "event")
        await w.store.retry([letter.id])
        await anyio.sleep(60)
        (again,) = await letters(w, "event")
    assert (again.id, again.tries, again.retry) == (letter.id, 2, False)


# --- retries of many -------------------------------------------------------------------------------


async def test_thousands_are_retried_in_pages(world: MakeWorld) -> None:
    """Every marked input is read again, however many pages they fill, and no page has more than its size."""
    w = world(finite=False)
    count = 12 * RETRY_PAGE + 1
    names = [f"d{n:05}" for n in range(count)]
    sizes: list[int] = []
    requests = w.store.requests

    async def counted(after: str | None = None):  # type: ignore[no-untyped-def]
        found = await requests(after)
        sizes.append(len(found.retries))
        return found

    w.store.requests = counted  # type: ignore[method-assign]
    await w.store.add_dead_letters([DeadLetter(name, "input", "queue", "parse", "", b"[", EPOCH) for name in names])
    async with w.running():
        assert await w.store.retry(names) == count
        await anyio.sleep(30)
        found = [letter for letter in (await w.store.dead_letters(DeadLetterQuery(limit=count))).items if letter.tries == 2]
    assert len(found) == count
    assert max(sizes) == RETRY_PAGE


async def test_retries_for_a_sink_that_is_down_delay_no_others(world: MakeWorld) -> None:
    """More marked events than a page has, all for a sink that is down, keep no input from being retried."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down", max_batch=1)
    w = world(sinks=[up, down], finite=False, durations="run=fixed(1)", partial=0)
    down.answer = reject_all
    w.submit(*(f"task-{n}" for n in range(RETRY_PAGE)))
    async with w.running():
        await anyio.sleep(600)
        events = [letter.id for letter in (await w.store.dead_letters(DeadLetterQuery())).items]
        assert len(events) > RETRY_PAGE
        down.answer, down.failure = lambda event: Delivered(), Unavailable("503")
        await w.store.add_dead_letters([DeadLetter("late", "input", "queue", "parse", "", b"[", w.wall())])
        await w.store.retry([*events, "late"])
        await anyio.sleep(60)
        (late,) = (await w.store.dead_letters(DeadLetterQuery(id_prefix="late"))).items
        assert (late.tries, late.retry) == (2, False)
        down.failure = None
        await anyio.sleep(600)
        assert [letter.id for letter in (await w.store.dead_letters(DeadLetterQuery())).items] == ["late"]


async def test_a_retried_event_of_an_erased_task_is_not_sent(world: MakeWorld) -> None:
    """Also after a restart, when the outbox had nothing to read: the sink recovers, and gets nothing of the erased task."""
    store = MemoryStore(MemoryStoreSettings())
    store.durable = True
    w = world(store=store, finite=False, durations="queue=fixed(0),run=fixed(2)")
    w.inbox.answer = reject_ends
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(MINUTE_S)
    (letter,) = await letters(w, "event")
    w.inbox.answer = lambda event: Retry(Unavailable("503"))
    async with w.running() as watcher:
        await store.retry([letter.id])
        await anyio.sleep(MINUTE_S)
        await store.forget(Selection(key=key("task-1")))
        await anyio.sleep(MINUTE_S)
        w.inbox.answer = lambda event: Delivered()
        await anyio.sleep(5 * MINUTE_S)
        assert not any(event.terminal for event in w.inbox.events)
        assert watcher.loops.sink_workers[0].settlements._retried == {}
