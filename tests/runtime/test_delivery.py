"""Delivery to sinks that fail, postpone, or have a bug: in order for each task, and without delaying another sink."""

from __future__ import annotations

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, key
from watcher.errors import PeerGone, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Retry
from watcher.query import Selection
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_sink_that_is_down_delays_only_itself(world: MakeWorld) -> None:
    """While one sink fails the other gets everything; afterwards the first one gets the same bytes."""
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


async def test_a_sink_without_events_does_not_keep_the_watcher_unready(world: MakeWorld) -> None:
    """When the events that failed are erased, or belong to another replica now, the sink counts as working without another event."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox], durations="run=never", finite=False)
    inbox.failure = Unavailable("timeout")
    w.submit("task-1")
    async with w.running() as watcher:
        await anyio.sleep(60)
        assert not watcher.health.is_good("sink:inbox")
        await w.store.forget(Selection(key=key("task-1")))
        await anyio.sleep(120)
        assert watcher.health.is_good("sink:inbox")
        assert inbox.events == []


async def test_a_later_event_of_a_task_waits_for_the_earlier_one(world: MakeWorld) -> None:
    """A sink that postpones the first event of a task gets the events of that task in order; other tasks do not wait."""
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


async def test_a_sink_that_accepts_nothing_is_tried_less_and_less_often(world: MakeWorld) -> None:
    """However many tasks wait for it, the number of retries does not grow with them, and readiness reports the sink."""
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
        assert sends < 150, "about eight events each half minute"
        assert not watcher.health.is_good("sink:inbox")
        inbox.answer = lambda event: Delivered()
        await anyio.sleep(200)
        assert watcher.health.is_good("sink:inbox")
    assert len({e.key for e in inbox.events if e.terminal}) == 100


@pytest.mark.parametrize("requested", [0.0, 0.01, 30.0])
async def test_a_sink_is_retried_when_it_requests_but_never_in_a_hot_loop(world: MakeWorld, requested: float) -> None:
    """A `Retry-After` of half a minute is respected; one of 0 with every reply does not cause thousands of requests."""
    inbox = SimulatedInbox()
    w = world(sinks=[inbox], finite=False)
    tries = 0

    def busy(event: Event) -> Outcome:
        nonlocal tries
        tries += 1
        return Retry(Unavailable("503", retry_after=requested))

    inbox.answer = busy
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(300)
        assert 3 <= tries <= (11 if requested == 30 else 310)
        inbox.answer = lambda event: Delivered()


async def test_a_sink_whose_reader_is_gone_ends_the_run_only_if_it_is_the_only_sink(world: MakeWorld) -> None:
    """Beside another sink it is unhealthy, and the watcher continues; alone it ends the run."""
    gone, working = SimulatedInbox(name="gone"), SimulatedInbox(name="working")

    def leave(event: Event) -> Outcome:
        raise PeerGone("the reader of stdout is gone")

    gone.answer = leave
    both = world(sinks=[gone, working], finite=False)
    both.submit("task-1")
    async with both.running() as watcher:
        await anyio.sleep(100)
        assert not watcher.health.is_good("sink:gone")
    assert working.events[-1].terminal
    alone = world(sinks=[gone])
    alone.submit("task-1")
    async with alone.watcher() as watcher:
        with pytest.raises(ExceptionGroup) as ended:
            await watcher.run()
    assert ended.group_contains(PeerGone)


async def test_a_sink_with_a_bug_delays_only_itself(world: MakeWorld) -> None:
    """An exception that no sink may raise is logged, and the event is sent again; the other sink gets its events as usual.

    Readiness says that it is a bug, and not in which class of Python: that is in the traceback in the log.
    """
    buggy, working = SimulatedInbox(name="buggy"), SimulatedInbox(name="working")
    bugs = iter([ZeroDivisionError, KeyError])

    def answer(event: Event) -> Outcome:
        if bug := next(bugs, None):
            raise bug("not for the log")
        return Delivered()

    buggy.answer = answer
    w = world(sinks=[buggy, working])
    w.submit("task-1")
    with capture_logs() as lines:
        async with w.watcher() as watcher:
            await watcher.run()
    assert [e.id for e in buggy.events] == [e.id for e in working.events]
    (line,) = [line for line in lines if line["event"] == "component_unhealthy"]
    assert (line["component"], line["reason"]) == ("sink:buggy", "unreadable: defect, the code of the watcher failed")
    assert line["hint"] == "report it, with the traceback in the log"
