"""A sink that refuses events: one at fault among accepted ones is a dead letter, and a sink that refuses everything is unwell."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from tests.contracts.store_exam.facts import moved
from tests.runtime.conftest import EPOCH, MakeWorld, World, key
from tests.runtime.shared_store import new_watch
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Invalid, Unavailable
from watcher.model import DeadLetter, Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.query import DeadLetterQuery, Selection
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


class CountedInbox(SimulatedInbox):
    """Counts the calls, and how often each event was sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls = 0
        self.tries: Counter[str] = Counter()

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.calls += 1
        self.tries.update(event.id for event in events)
        return await super().send(events)


class InvalidInbox(CountedInbox):
    """Makes a whole call invalid for one refused event, as SQS does for some mistakes."""

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        if any(isinstance(self.answer(event), Rejected) for event in events):
            self.calls += 1
            raise Invalid("InvalidParameterValue")
        return await super().send(events)


def refusing(wanted: Callable[[Event], bool], reason: str = "http_422") -> Callable[[Event], Outcome]:
    return lambda event: Rejected(reason) if wanted(event) else Delivered()


async def letters(w: World) -> Sequence[DeadLetter]:
    return (await w.store.dead_letters(DeadLetterQuery(limit=1000))).items


def sequences(inbox: SimulatedInbox, task: str) -> list[int]:
    return [int(event["sequence"]) for event in inbox.of(key(task))]


DEAD_LETTERS = re.compile(rb'watcher_dead_letters_total{origin="inbox",reason="(http_415|other|invalid)",what="event"} 0')

INBOXES: dict[str, Callable[[], CountedInbox]] = {
    "one at a time": lambda: CountedInbox(max_batch=1, concurrency=8),
    "in batches": lambda: CountedInbox(max_batch=10, concurrency=4),
    "invalid as a whole": lambda: InvalidInbox(max_batch=10, concurrency=4),
}


@pytest.fixture(params=INBOXES)
def inbox(request: pytest.FixtureRequest) -> CountedInbox:
    return INBOXES[request.param]()


async def outbox(names: Sequence[str]) -> MemoryStore:
    """A durable store with the undelivered event of each of these tasks, which have ended."""
    store = MemoryStore(MemoryStoreSettings())
    store.durable = True
    await store.open(["inbox"])
    leases = {lease.shard: lease for lease in (await store.claim()).leases}
    for name in names:
        (watch,) = await store.admit([new_watch(name)])
        change = moved(watch, "SUCCEEDED", at=EPOCH, end=True)
        event = replace(change.events[0], id=sha256(name.encode()).hexdigest()[:32])
        await store.commit([replace(change, events=(event,))], leases)
    await store.release(list(leases.values()))
    return store


@pytest.mark.parametrize("reason", ["http_415", "MalformedDetail"])
async def test_a_sink_that_refuses_everything_is_unwell_and_no_event_is_a_dead_letter(
    world: MakeWorld, inbox: CountedInbox, reason: str
) -> None:
    """Its events are held over a restart, readiness has the code, single calls probe it, and all arrive when it accepts again."""
    names = [f"task-{n}" for n in range(53)]
    w = world(sinks=[inbox], finite=False, store=await outbox(names))
    inbox.answer = refusing(lambda event: True, reason)
    for _ in range(2):
        async with w.running() as watcher:
            await anyio.sleep(600)
            condition = watcher.health.ready()[1]["sink:inbox"]
            assert not condition.ok
            assert condition.reason == f"refused: {'invalid' if isinstance(inbox, InvalidInbox) else reason}"
            assert condition.hint
            assert DEAD_LETTERS.search(watcher.metrics.render()), "a counter that is born at 1 triggers no alert"
            before = inbox.calls
            await anyio.sleep(600)
            assert 8 < inbox.calls - before < 60, "about two a minute"
        assert await letters(w) == []
    async with w.running() as watcher:
        await anyio.sleep(60)
        inbox.answer = lambda event: Delivered()
        await anyio.sleep(90)
        assert watcher.health.is_good("sink:inbox")
        assert watcher.loops.backlog.total == 0
    assert await letters(w) == []
    assert {event.key for event in inbox.events} == {key(name) for name in names}


async def test_an_event_that_is_refused_among_accepted_ones_is_a_dead_letter(world: MakeWorld, inbox: CountedInbox) -> None:
    """It is sent a few times, the next event of its task follows, and the sink stays well."""
    w = world(sinks=[inbox], finite=False, durations="queue=fixed(3),run=fixed(20)")
    inbox.answer = refusing(lambda event: event.key == key("bad") and event.to == "IN_PROGRESS", "http_413")
    async with w.running() as watcher:
        w.submit("bad")
        for n in range(12):
            w.submit(f"task-{n}")
            await anyio.sleep(5)
        (letter,) = await letters(w)
        assert (letter.key, letter.origin) == (key("bad"), "inbox")
        assert watcher.health.is_good("sink:inbox")
        await anyio.sleep(60)
        assert watcher.loops.backlog.total == 0
    assert sum(tries for id_, tries in inbox.tries.items() if letter.id.startswith(id_[:12])) < 12
    assert sequences(inbox, "bad") == [1, 3]
    assert inbox.of(key("bad"))[-1]["data"]["terminal"]


@pytest.mark.parametrize("share", [5, 3])
async def test_many_events_at_fault_become_dead_letters_and_the_others_arrive(world: MakeWorld, inbox: CountedInbox, share: int) -> None:
    """A consumer that refuses a fifth or a third of all tasks for good gets the others, and its refusals become dead letters."""
    names = [f"task-{n}" for n in range(90)]
    bad = {key(name) for name in names[::share]}
    w = world(sinks=[inbox], finite=False, store=await outbox(names))
    inbox.answer = refusing(lambda event: event.key in bad)
    async with w.running() as watcher:
        await anyio.sleep(60)
        later = 0
        while watcher.loops.backlog.total and later < 60:  # something to compare the last ones with
            w.submit(f"later-{later}")
            later += 1
            await anyio.sleep(10)
        assert {letter.key for letter in await letters(w)} == bad
        assert watcher.health.is_good("sink:inbox")
    assert {event.key for event in inbox.events} >= {key(name) for name in names} - bad


async def test_refused_events_do_not_fill_the_window_of_a_sink(world: MakeWorld) -> None:
    """However many of them come one after the other, all other events arrive: not all of the window is held at once."""
    inbox, names = CountedInbox(max_batch=1, concurrency=8, latency_s=0.05), [f"task-{n}" for n in range(1500)]
    bad = {key(name) for name in random.Random(1).sample(names, 500)}
    w = world(sinks=[inbox], finite=False, store=await outbox(names))
    inbox.answer = refusing(lambda event: event.key in bad)
    async with w.watcher() as watcher, anyio.create_task_group() as tasks:
        watcher.loops.sink_workers[0]._queue.window = 150
        tasks.start_soon(watcher.run)
        await anyio.sleep(1000)
        watcher.stop()
    assert {event.key for event in inbox.events} == {key(name) for name in names} - bad


async def test_a_refused_event_that_then_fails_keeps_no_other_one_waiting(world: MakeWorld) -> None:
    """A consumer fails at one event that it refused before; another one that it refused is still sent again."""
    inbox = CountedInbox(max_batch=1, concurrency=1)
    w = world(sinks=[inbox], finite=False, store=await outbox(["broken", "early", *(f"task-{n}" for n in range(10))]))

    def answer(event: Event) -> Outcome:
        if event.key not in (key("broken"), key("early")):
            return Delivered()
        if inbox.tries[event.id] == 1:
            return Rejected("http_422")
        return Delivered() if event.key == key("early") else Retry(Unavailable("500"))

    inbox.answer = answer
    async with w.running():
        await anyio.sleep(60)
    assert len(inbox.events) == 11


async def test_a_batch_that_is_refused_in_part_needs_no_second_try(world: MakeWorld) -> None:
    """The entries that were accepted in the same batch show that the sink works: the refused ones are dead letters at once."""
    inbox, bad = CountedInbox(max_batch=10), {key("task-1"), key("task-4"), key("task-6"), key("task-7")}
    w = world(sinks=[inbox], finite=False, store=await outbox([f"task-{n}" for n in range(9)]))
    inbox.answer = refusing(lambda event: event.key in bad, "InvalidMessageContents")
    async with w.running():
        await anyio.sleep(0.5)
        assert {letter.key for letter in await letters(w)} == bad
    assert set(inbox.tries.values()) == {1}


async def test_one_event_alone_is_a_dead_letter_after_the_configured_time(world: MakeWorld, inbox: CountedInbox) -> None:
    """With nothing to compare it with, it is sent again for `limits.retry_refused`, readiness reports it, and the log says so."""
    w = world(sinks=[inbox], settings=ServiceSettings(limits=Limits(retry_refused=1200)), durations="queue=fixed(0),run=fixed(5)")
    inbox.answer = refusing(lambda event: event.terminal)
    w.submit("task-1")
    with capture_logs() as lines:
        async with w.watcher() as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            await anyio.sleep(1100)
            assert await letters(w) == []
            assert not watcher.health.is_good("sink:inbox")
            await anyio.sleep(300)
            assert watcher.finished
            assert watcher.health.is_good("sink:inbox")
            (letter,) = await letters(w)
    (rejected,) = [line for line in lines if line["event"] == "event_rejected"]
    assert (letter.key, rejected["ground"]) == (key("task-1"), "nothing_to_compare")
    assert "limits.retry_refused" in rejected["hint"]


async def test_a_later_event_of_a_task_does_not_overtake_a_held_one(world: MakeWorld, inbox: CountedInbox) -> None:
    """While the first event of a task is held, its second one is not sent, although other tasks' events are."""
    w = world(sinks=[inbox], finite=False, durations="queue=fixed(2),run=fixed(4)")
    first: list[str] = []

    def answer(event: Event) -> Outcome:
        if event.key == key("slow") and anyio.current_time() < 40:
            first.append(event.id)
            return Rejected("http_409")
        return Delivered()

    inbox.answer = answer
    async with w.running():
        w.submit("slow")
        await anyio.sleep(200)
        assert len(set(first)) == 1
        assert sequences(inbox, "slow") == list(range(1, len(sequences(inbox, "slow")) + 1))
        assert await letters(w) == []


async def test_the_events_of_an_erased_task_are_not_held(world: MakeWorld, inbox: CountedInbox) -> None:
    """Erased while the sink refuses everything, a task is not sent when the sink accepts again, and delays no other one."""
    w = world(sinks=[inbox], finite=False, store=await outbox([f"task-{n}" for n in range(6)]))
    inbox.answer = refusing(lambda event: True)
    async with w.running() as watcher:
        await anyio.sleep(200)
        for n in range(5):
            await w.store.forget(Selection(key=key(f"task-{n}")))
        await anyio.sleep(5)
        inbox.answer = lambda event: Delivered()
        await anyio.sleep(120)
        assert watcher.loops.backlog.total == 0
    assert {event.key for event in inbox.events} == {key("task-5")}


async def test_a_dead_letter_that_is_refused_again_is_one_at_once(world: MakeWorld) -> None:
    """An operator who retries too early sees one more try, and no event of the task waits."""
    inbox = CountedInbox()
    w = world(sinks=[inbox], finite=False, durations="queue=fixed(0),run=fixed(2)")
    inbox.answer = lambda event: Rejected("size", cause="event") if event.terminal else Delivered()
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(30)
        (letter,) = await letters(w)
        inbox.answer = refusing(lambda event: True)
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        (again,) = await letters(w)
    assert (again.id, again.tries, again.retry, again.reason) == (letter.id, 2, False, "http_422")


async def test_refusals_fill_no_log(world: MakeWorld) -> None:
    """There are at most ten lines of a kind in a minute for each sink, and the next one has the number of those left out."""
    inbox = CountedInbox(max_batch=50)
    w = world(sinks=[inbox], finite=False, store=await outbox([f"task-{n}" for n in range(45)]))
    inbox.answer = lambda event: Rejected("size", cause="event") if event.to == "SUCCEEDED" else Delivered()
    with capture_logs() as lines:
        async with w.running():
            await anyio.sleep(100)
            w.submit("later")
            await anyio.sleep(60)
            assert len(await letters(w)) == 46
    rejected = [line for line in lines if line["event"] == "event_rejected"]
    assert [line.get("suppressed") for line in rejected] == [None] * 10 + [35]
