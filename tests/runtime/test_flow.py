"""The whole flow on virtual time: simulated queue, service and sinks round the real loops."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.core.polling.pace import PaceSettings
from watcher.errors import PeerGone, Unavailable
from watcher.model import Event, Watch
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.query import DeadLetterQuery, Selection
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime


async def test_each_task_is_told_of_in_order_until_its_end(world: MakeWorld) -> None:
    """Every submitted task's events arrive with contiguous sequences, and the last one, alone, is terminal."""
    w = world()
    w.submit(*(f"task-{n}" for n in range(30)))
    async with w.watcher() as watcher:
        await watcher.run()
    assert watcher.finished
    for n in range(30):
        events = w.inbox.of(key(f"task-{n}"))
        assert [int(e["sequence"]) for e in events] == list(range(1, len(events) + 1))
        assert [e["data"]["terminal"] for e in events] == [False] * (len(events) - 1) + [True]
        assert events[0]["data"]["from"] is None
        assert all(after["data"]["from"] == before["data"]["to"] for before, after in itertools.pairwise(events))


async def test_the_end_that_is_told_is_the_end_that_was(world: MakeWorld) -> None:
    """The terminal status of each task is the one in which the service left it."""
    w = world(failed=0.3, stopped=0.3)
    w.submit(*(f"task-{n}" for n in range(30)))
    async with w.watcher() as watcher:
        await watcher.run()
    for ref in w.service.tasks.refs():
        truth = w.service.tasks.truth(ref)
        assert w.inbox.of(ref.key)[-1]["data"]["to"] == truth[-1][0]


async def test_context_comes_back_untouched_in_every_event(world: MakeWorld) -> None:
    """What a message says about its task is in each of its events."""
    w = world()
    w.submit("task-1", context={"call": "c-42", "n": [1, 2.5, None]})
    async with w.watcher() as watcher:
        await watcher.run()
    assert {json.dumps(e["data"]["context"]) for e in w.inbox.bodies} == {'{"call": "c-42", "n": [1, 2.5, null]}'}


async def test_the_same_task_many_times_is_one_watch(world: MakeWorld) -> None:
    """A task submitted a hundred times has one first event."""
    w = world()
    w.submit(*["task-1"] * 100)
    async with w.watcher() as watcher:
        await watcher.run()
    assert sum(e["data"]["from"] is None for e in w.inbox.bodies) == 1
    assert len(w.queue.acked) == 100


async def test_never_two_calls_about_one_task(world: MakeWorld) -> None:
    """However often a task is submitted and hinted at, the service never sees two calls about it at once."""
    w = world(latency="uniform(0.5,2)")
    w.submit(*["task-1", "task-2"] * 20)
    async with w.watcher() as watcher:
        await watcher.run()
    assert w.service.stats.outcomes["ConflictException"] == 0


async def test_calls_never_exceed_the_configured_rate(world: MakeWorld) -> None:
    """A thousand tasks at a rate of 5/s are asked about 5 times a second, and no more."""
    w = world(settings=ServiceSettings(pace=PaceSettings(rate=5)))
    w.submit(*(f"task-{n}" for n in range(1000)))
    async with w.running():
        await anyio.sleep(100)
    assert 485 <= w.service.stats.requests <= 501


async def test_poison_is_a_dead_letter_and_its_mates_go_on(world: MakeWorld) -> None:
    """What is no task is kept with its reason and acknowledged, and the good messages beside it are watched."""
    w = world(finite=False)
    w.queue.put("not json")
    w.submit("task-1")
    w.queue.put("")
    async with w.running():
        await anyio.sleep(300)
    letters = (await w.store.dead_letters(DeadLetterQuery())).items
    assert sorted(letter.reason for letter in letters) == ["empty", "parse"]
    assert len(w.queue) == 0
    assert w.inbox.of(key("task-1"))[-1]["data"]["terminal"]


async def test_without_a_durable_store_a_message_stays_in_the_queue_until_its_last_event_was_delivered(world: MakeWorld) -> None:
    """Killed and replaced, a container with a memory store finds its tasks in the queue again."""
    w = world(finite=False, durations="run=fixed(100)")
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(90)
        assert w.queue.acked == []
        assert w.queue.redelivered == 0, "it is kept ours while it waits"
        await anyio.sleep(60)
        assert len(w.queue.acked) == 1


async def test_a_sink_that_is_down_delays_only_itself(world: MakeWorld) -> None:
    """While one sink fails the other gets everything; back up, the first gets the same bytes."""
    up, down = SimulatedInbox(name="up"), SimulatedInbox(name="down")
    w = world(sinks=[up, down], finite=False)
    down.failure = Unavailable("503")
    w.submit(*(f"task-{n}" for n in range(20)))
    async with w.running() as watcher:
        await anyio.sleep(120)
        assert len({e.key for e in up.events if e.terminal}) == 20
        assert down.events == []
        ready, conditions = watcher.health.ready()
        assert not ready
        assert conditions["sink:down"].hint
        down.failure = None
        await anyio.sleep(120)
    assert {e.id: e.body for e in up.events} == {e.id: e.body for e in down.events}
    assert watcher.health.ready()[0]


async def test_a_later_event_of_a_task_waits_for_the_earlier_one(world: MakeWorld) -> None:
    """A sink that does not take one task's first event for a while gets that task's events in order; other tasks pass."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox])
    tries = 0

    def answer(event: Event) -> Outcome:
        nonlocal tries
        if event.key == key("task-0") and tries < 6:
            tries += 1
            return Retry(Unavailable("busy"))
        return Delivered()

    inbox.answer = answer
    w.submit(*(f"task-{n}" for n in range(5)))
    async with w.watcher() as watcher:
        await watcher.run()
    assert tries == 6
    assert [int(e["sequence"]) for e in inbox.of(key("task-0"))] == list(range(1, len(inbox.of(key("task-0"))) + 1))


async def test_a_refused_event_is_a_dead_letter_and_can_be_sent_again(world: MakeWorld) -> None:
    """An event that a sink will never take stands among the dead letters; retried once the sink takes it, it is delivered and gone."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox], finite=False)
    inbox.answer = lambda event: Rejected("size") if event.terminal else Delivered()
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


async def test_a_dead_letter_of_an_input_can_be_read_again(world: MakeWorld) -> None:
    """Retried, a message that is still no task stays the same letter, with one more try."""
    w = world(finite=False)
    w.queue.put("nonsense")
    async with w.running():
        await anyio.sleep(5)
        (letter,) = (await w.store.dead_letters(DeadLetterQuery())).items
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        (again,) = (await w.store.dead_letters(DeadLetterQuery())).items
    assert (again.id, again.tries, again.retry) == (letter.id, 2, False)


async def test_a_forgotten_task_is_asked_about_no_more(world: MakeWorld) -> None:
    """After `forget` no call and no event is about the task, and its message leaves the queue."""
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


async def test_intake_waits_at_the_limit_of_watches(world: MakeWorld) -> None:
    """With room for ten watches, a hundred tasks are taken in as others end, and all end."""
    w = world(settings=ServiceSettings(limits=Limits(max_watches=10)))
    w.submit(*(f"task-{n}" for n in range(100)))
    most = 0
    async with w.running() as watcher:
        for _ in range(600):
            await anyio.sleep(1)
            most = max(most, len(watcher.loops.pollers))
    assert most <= 10 + 2 * 10 * 2, "the limit, and what two receivers hold at most"
    assert len({e.key for e in w.inbox.events if e.terminal}) == 100


async def test_a_stop_lets_calls_in_flight_finish_and_leaves_the_rest_to_the_next_life(world: MakeWorld) -> None:
    """Stopped in the middle, the watcher returns within its deadline, and another on the same store ends what it began."""
    w = world(finite=False, latency="fixed(3)")
    w.submit(*(f"task-{n}" for n in range(10)))
    async with w.running():
        await anyio.sleep(5)
    stopped = anyio.current_time()
    async with w.watcher() as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        watcher.stop()
    assert anyio.current_time() - stopped < 25


async def test_a_sink_that_takes_nothing_is_asked_ever_more_seldom(world: MakeWorld) -> None:
    """However many tasks wait, a sink that answers "not now" to everything is not stormed, and readiness says so."""
    inbox = SimulatedInbox(max_batch=1, concurrency=8)
    w = world(sinks=[inbox], finite=False)
    sends = 0

    def answer(event: Event) -> Outcome:
        nonlocal sends
        sends += 1
        return Retry(Unavailable("503"))

    inbox.answer = answer
    w.submit(*(f"task-{n}" for n in range(100)))
    async with w.running() as watcher:
        await anyio.sleep(600)
        assert sends < 150, "about one batch of eight each half minute, not a hundred tasks' worth of retries"
        assert not watcher.health.is_good("sink:inbox")
        inbox.answer = lambda event: Delivered()
        await anyio.sleep(200)
        assert watcher.health.is_good("sink:inbox")
    assert len({e.key for e in inbox.events if e.terminal}) == 100


@pytest.mark.parametrize("asked", [0.0, 0.01, 30.0])
async def test_a_sink_that_says_when_is_obeyed_but_never_asked_in_a_circle(world: MakeWorld, asked: float) -> None:
    """`Retry-After: 0` with every answer is no leave for thousands of requests; half a minute is half a minute."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox], finite=False)
    tries = 0

    def busy(event: Event) -> Outcome:
        nonlocal tries
        tries += 1
        return Retry(Unavailable("503", retry_after=asked))

    inbox.answer = busy
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(300)
        assert 3 <= tries <= (11 if asked == 30 else 310)
        inbox.answer = lambda event: Delivered()


async def test_what_is_erased_is_not_sent_when_a_sink_comes_back(world: MakeWorld) -> None:
    """An event that a failing sink keeps under way is dropped with its task; the other events of the batch arrive."""
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


async def test_a_task_erased_and_submitted_again_is_told_of_to_its_end(world: MakeWorld) -> None:
    """Erasing drops what was, not what came after: the new watch of the task is polled, and its events are delivered."""
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


async def test_a_sink_that_is_gone_for_good_ends_the_run_only_when_it_is_the_only_one(world: MakeWorld) -> None:
    """Nobody reads stdout any more: beside another sink that is one sick sink, alone it is the end."""
    gone, well = SimulatedInbox(name="gone"), SimulatedInbox(name="well")

    def leave(event: Event) -> Outcome:
        raise PeerGone("nobody reads stdout any more")

    gone.answer = leave
    both = world(sinks=[gone, well], finite=False)
    both.submit("task-1")
    async with both.running() as watcher:
        await anyio.sleep(100)
        assert not watcher.health.is_good("sink:gone")
    assert well.events[-1].terminal
    alone = world(sinks=[gone])
    alone.submit("task-1")
    with pytest.raises(ExceptionGroup) as ended:
        async with alone.watcher() as watcher:
            await watcher.run()
    assert ended.group_contains(PeerGone)


async def test_a_sink_with_a_bug_delays_only_itself(world: MakeWorld) -> None:
    """An exception that no sink may raise is told, and the event is sent again; the other sink does not notice."""
    buggy, well = SimulatedInbox(name="buggy"), SimulatedInbox(name="well")
    bugs = iter([ZeroDivisionError, KeyError])

    def answer(event: Event) -> Outcome:
        if bug := next(bugs, None):
            raise bug("not for the log")
        return Delivered()

    buggy.answer = answer
    w = world(sinks=[buggy, well])
    w.submit("task-1")
    async with w.watcher() as watcher:
        await watcher.run()
    assert [e.id for e in buggy.events] == [e.id for e in well.events]


async def test_a_batch_of_messages_is_admitted_in_one_piece(world: MakeWorld) -> None:
    """What came together becomes durable together: one write for the watches of all messages, the first of equal tasks wins."""
    w = world(finite=False)
    writes: list[int] = []
    admit = w.store.admit

    async def counted(watches: Sequence[Watch]) -> Sequence[Watch]:
        writes.append(len(watches))
        return await admit(watches)

    w.store.admit = counted  # type: ignore[method-assign]
    w.submit("task-1", context="first")
    w.submit("task-1", context="second")
    w.submit(*(f"task-{n}" for n in range(2, 10)))
    async with w.running():
        await anyio.sleep(60)
    assert writes == [9]
    assert {e["data"]["context"] for e in w.inbox.of(key("task-1"))} == {"first"}
