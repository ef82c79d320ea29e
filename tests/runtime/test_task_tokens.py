"""Task tokens in a running watcher: the last event of a task answers them, to one sink, one time each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio
import pytest
from structlog.testing import capture_logs

from tests.contracts.store_exam.facts import moved
from tests.runtime.conftest import EPOCH, MakeWorld, World, key
from tests.runtime.shared_store import SharedStore, names_in, new_watch
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings, SharedMemory
from watcher.errors import RemoteError, Throttled, Unavailable
from watcher.model import DeadLetter, Event, Submission, TaskRef
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.query import DeadLetterQuery, Selection
from watcher.runtime.service import Watcher
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

LOST = Unavailable("timeout", "ReadTimeoutError")
"""The reply to a call did not come, so the call may have been carried out."""


@dataclass(frozen=True)
class Call:
    """One call to the simulated Step Functions. `terminal`: an answer; else a heartbeat."""

    token: str
    terminal: bool
    at: float


class TokenInbox(SimulatedInbox):
    """Step Functions: an execution waits for each token until it is answered, or `closed`."""

    answers_task_tokens = True
    closed_reasons = frozenset({"TaskTimedOut"})

    def __init__(self, heartbeat_s: float | None = None) -> None:
        super().__init__(name="tokens")
        self.heartbeat_s = heartbeat_s
        self.calls: list[Call] = []
        self.closed: set[str] = set()
        self.before: Callable[[str], RemoteError | None] = lambda token: None
        """What fails before an answer is carried out."""
        self.after: Callable[[str], RemoteError | None] = lambda token: None
        """What fails after an answer is carried out."""

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        assert all(len(event.task_tokens) <= 1 for event in events)
        return [self._take(event) for event in events]

    async def heartbeat(self, tokens: Sequence[str]) -> Sequence[Outcome]:
        return [self._call(token, terminal=False) for token in tokens]

    def may_have_arrived(self, error: RemoteError) -> bool:
        return error is LOST

    def _take(self, event: Event) -> Outcome:
        outcomes = [self._call(token, terminal=event.terminal) for token in event.task_tokens]
        if (outcome := next(iter(outcomes), Delivered())) == Delivered():
            self.events.append(event)
        return outcome

    def _call(self, token: str, *, terminal: bool) -> Outcome:
        if error := self.before(token):
            return Retry(error)
        if token in self.closed:
            return Rejected("TaskTimedOut", "event")
        self.calls.append(Call(token, terminal, anyio.current_time()))
        if terminal:
            self.closed.add(token)
        error = self.after(token)
        return Retry(error) if error else Delivered()

    def answered(self) -> list[str]:
        """The tokens that were answered, in order."""
        return [call.token for call in self.calls if call.terminal]


class StoppingInbox(TokenInbox):
    """As the real sink, it makes no more calls after one that failed, and raises its error if it answered nothing before."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.raises = raises
        self.stops: Callable[[], object] = lambda: None
        """What happens after a call that failed."""

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        failed: Retry | None = None
        for event in events:
            outcome = self._take(event) if failed is None else replace(failed, called=False)
            if failed is None and isinstance(outcome, Retry):
                failed = outcome
                self.stops()
            outcomes.append(outcome)
        if failed is not None and self.raises:
            raise failed.error
        return outcomes


def submission(task: str, token: str | None = None) -> Submission:
    return Submission(TaskRef("speaker-search", ("abc123", task)), task_token=token)


async def submit(watcher: Watcher, *submissions: Submission) -> None:
    await watcher.handles.loaded.wait()
    await watcher.handles.admission.submit(submissions)


async def letters(w: World) -> list[DeadLetter]:
    return list((await w.store.dead_letters(DeadLetterQuery())).items)


def a_world(world: MakeWorld, sink: TokenInbox, **more: object) -> World:
    return world(sinks=[SimulatedInbox(), sink], finite=False, partial=0, **{"durations": "run=fixed(5)", **more})


async def test_the_last_event_answers_each_token_of_its_task(world: MakeWorld) -> None:
    """Two executions may wait for one task. Each change before the end is a heartbeat; other tasks and other sinks get no token."""
    sink = TokenInbox()
    w = a_world(world, sink)
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"), submission("t1", "b"), submission("t2"))
        await anyio.sleep(60)
        assert await w.store.task_tokens([key("t1"), key("t2")]) == {}
    assert sorted(sink.answered()) == ["a", "b"]
    assert {call.token for call in sink.calls if not call.terminal} == {"a", "b"}
    assert {event.key for event in sink.events if event.terminal} == {key("t1"), key("t2")}
    assert all(event.task_tokens == () for event in w.inbox.events)
    assert await letters(w) == []


async def test_a_token_that_comes_while_its_task_runs_is_answered_with_the_others(world: MakeWorld) -> None:
    """A state that is retried submits the same task with a new token."""
    sink = TokenInbox()
    w = a_world(world, sink, durations="run=fixed(30)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(10)
        await submit(watcher, submission("t1", "b"))
        await anyio.sleep(60)
    assert sorted(sink.answered()) == ["a", "b"]


async def test_a_token_that_comes_after_the_end_is_answered_at_once(world: MakeWorld) -> None:
    """The last event is sent again, to this sink only, and no dead letter is left. The same message again does nothing."""
    sink = TokenInbox()
    w = a_world(world, sink)
    async with w.running() as watcher:
        await submit(watcher, submission("t1"))
        await anyio.sleep(60)
        before = len(w.inbox.events)
        for _ in range(2):
            await submit(watcher, submission("t1", "a"))
            await anyio.sleep(1)
            assert sink.answered() == ["a"]
        assert len(w.inbox.events) == before
        assert await letters(w) == []
        assert await w.store.backlog() == {name: backlog for name, backlog in (await w.store.backlog()).items() if not backlog.events}
        assert watcher.loops.backlog.total == 0


async def test_a_finite_run_ends_after_late_tokens_are_answered(world: MakeWorld) -> None:
    """A token whose answer must wait keeps the run going, as an undelivered event does."""
    store = MemoryStore(MemoryStoreSettings())
    sink = TokenInbox()
    async with a_world(world, sink, store=store).running() as watcher:
        await submit(watcher, submission("t1"))
        await anyio.sleep(60)
    await store.admit([], {key("t1"): ["a"]})
    failures = iter([Throttled("ThrottlingException")] * 5)
    sink.before = lambda token: next(failures, None)
    async with world(sinks=[SimulatedInbox(), sink], store=store).watcher() as watcher:
        await watcher.run()
        assert watcher.finished
    assert sink.answered() == ["a"]


async def test_a_late_token_is_answered_after_a_restart(world: MakeWorld) -> None:
    """It waits in the store until Step Functions works, also over a restart."""
    store = MemoryStore(MemoryStoreSettings())
    sink = TokenInbox()
    async with a_world(world, sink, store=store).running() as watcher:
        await submit(watcher, submission("t1"))
        await anyio.sleep(60)
        sink.before = lambda token: Unavailable("503")
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(20)
    sink.before = lambda token: None
    w = a_world(world, sink, store=store)
    async with w.running():
        await anyio.sleep(20)
    assert sink.answered() == ["a"]
    assert await letters(w) == []


async def test_a_late_token_at_another_replica_is_answered_by_the_owner(world: MakeWorld) -> None:
    """A replica that owns no shard admits the token; the owner finds it in the store."""
    shared = SharedMemory(4, anyio.current_time, lease_s=15.0)
    sinks = [TokenInbox(), TokenInbox()]
    first, second = (a_world(world, sink, store=shared.replica(name)) for name, sink in zip("ab", sinks, strict=True))
    tasks = [f"t{n}" for n in range(6)]
    async with first.running() as one, second.running() as other:
        await submit(one, *(submission(task) for task in tasks))
        await anyio.sleep(90)
        for watcher in (one, other):
            await submit(watcher, *(submission(task, f"{task} {id(watcher)}") for task in tasks))
        await anyio.sleep(30)
    assert len(set(sinks[0].answered() + sinks[1].answered())) == len(sinks[0].answered()) + len(sinks[1].answered()) == 12


async def test_a_token_that_timed_out_is_a_dead_letter(world: MakeWorld) -> None:
    """The other tokens of the task are answered; a retry of the dead letter finds no token, and removes it."""
    sink = TokenInbox()
    sink.closed = {"a"}
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"), submission("t1", "b"))
        await anyio.sleep(60)
        (letter,) = await letters(w)
        assert (letter.reason, letter.origin, letter.key) == ("TaskTimedOut", "tokens", key("t1"))
        assert sink.answered() == ["b"]
        assert await w.store.task_tokens([key("t1")]) == {}
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        assert await letters(w) == []


async def test_a_refused_token_of_a_shard_that_was_lost_is_kept(world: MakeWorld) -> None:
    """The dead letter was not written, so the new owner must get the refusal too."""
    store, (name,) = SharedStore(), names_in(1, 1)
    store.renew_s = 10_000.0
    sink = TokenInbox()
    sink.closed.add("a")

    def lose_the_shard(token: str) -> None:
        if 1 in store.mine:
            store.take_over(1)

    sink.before = lose_the_shard
    w = a_world(world, sink, store=store)
    await store.open([each.name for each in w.sinks])
    watch = new_watch(name)
    await store.admit([watch], {watch.key: ["a"]})
    await store.commit([moved(watch, "SUCCEEDED", at=EPOCH, end=True)], {1: store.content.shards[1].claim()})
    async with w.running():
        await anyio.sleep(30)
    assert await letters(w) == []
    assert await store.task_tokens([watch.key]) == {watch.key: ["a"]}


async def test_a_refused_heartbeat_keeps_the_token(world: MakeWorld) -> None:
    """A change before the end that the execution refuses is no dead letter; the token still gets its answer."""
    sink = TokenInbox()
    sink.closed = {"a"}
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(30)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(10)
        assert await letters(w) == []
        sink.closed = set()
        await anyio.sleep(60)
    assert sink.answered() == ["a"]
    assert await letters(w) == []


async def test_a_late_token_that_timed_out_is_one_dead_letter(world: MakeWorld) -> None:
    """The token is forgotten with the dead letter, so it is not tried again."""
    sink = TokenInbox()
    sink.closed = {"a"}
    w = a_world(world, sink)
    async with w.running() as watcher:
        await submit(watcher, submission("t1"))
        await anyio.sleep(60)
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(60)
        (letter,) = await letters(w)
        assert (letter.reason, letter.tries) == ("TaskTimedOut", 1)


async def test_the_dead_letter_of_one_token_outlives_the_answer_of_a_later_one(world: MakeWorld) -> None:
    """The last event was refused for an earlier token; that it answers a late one does not remove this dead letter."""
    sink = TokenInbox()
    sink.closed = {"a"}
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(60)
        await submit(watcher, submission("t1", "b"))
        await anyio.sleep(10)
        assert sink.answered() == ["b"]
        assert [letter.reason for letter in await letters(w)] == ["TaskTimedOut"]


async def test_the_dead_letter_of_a_late_token_outlives_the_answer_of_a_later_one(world: MakeWorld) -> None:
    """Both tokens came after the end of the task: the answer to the second one does not remove the dead letter of the first one."""
    sink = TokenInbox()
    sink.closed = {"a"}
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1"))
        await anyio.sleep(60)
        for token in ("a", "b"):
            await submit(watcher, submission("t1", token))
            await anyio.sleep(10)
        assert sink.answered() == ["b"]
        (letter,) = await letters(w)
        assert letter.reason == "TaskTimedOut"
        await w.store.retry([letter.id])
        await anyio.sleep(5)
        assert await letters(w) == []


async def test_an_answer_is_not_repeated_because_another_one_failed(world: MakeWorld) -> None:
    """Each token is dropped when it is answered; the others are tried again."""
    sink = TokenInbox()
    failures = iter([Throttled("ThrottlingException")] * 3)
    sink.before = lambda token: next(failures, None) if token == "b" else None
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"), submission("t1", "b"), submission("t1", "c"))
        await anyio.sleep(60)
    assert sorted(sink.answered()) == ["a", "b", "c"]
    assert await letters(w) == []


async def test_a_heartbeat_is_not_repeated_because_another_one_failed(world: MakeWorld) -> None:
    """Only the tokens without the heartbeat of an event are tried again: else many tokens could delay their answer for ever."""
    sink = TokenInbox()
    failures = {token: iter([Throttled("ThrottlingException")]) for token in "bcd"}
    sink.before = lambda token: next(failures.get(token, iter(())), None)
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(60)")
    async with w.running() as watcher:
        await submit(watcher, *(submission("t1", token) for token in "abcd"))
        await anyio.sleep(50)
        assert sorted(call.token for call in sink.calls) == ["a", "b", "c", "d"]
        await anyio.sleep(60)
    assert sorted(sink.answered()) == ["a", "b", "c", "d"]


async def test_an_answer_whose_reply_was_lost_is_no_dead_letter(world: MakeWorld) -> None:
    """The second attempt is refused because the first one arrived: that is a success, and the log says so."""
    sink = TokenInbox()
    failures = iter([LOST])
    sink.after = lambda token: next(failures, None)
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    with capture_logs() as logs:
        async with w.running() as watcher:
            await submit(watcher, submission("t1", "a"))
            await anyio.sleep(60)
    assert sink.answered() == ["a"]
    assert await letters(w) == []
    (line,) = [line for line in logs if line["event"] == "task_token_closed"]
    assert "a" not in (line["reason"], line["task"])


async def test_a_token_that_times_out_during_an_outage_is_a_dead_letter(world: MakeWorld) -> None:
    """No attempt of the outage can have arrived, so the execution got no answer: an operator must know."""
    sink = TokenInbox()
    sink.before = lambda token: Unavailable("503")
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(60)
        sink.before = lambda token: None
        sink.closed.add("a")
        await anyio.sleep(120)
        assert [letter.reason for letter in await letters(w)] == ["TaskTimedOut"]


@pytest.mark.parametrize("raises", [True, False])
async def test_a_token_without_a_call_cannot_have_been_answered(world: MakeWorld, raises: bool) -> None:
    """After a lost reply about one token, no call is made about the next one: if that one then times out, it is a dead letter."""
    tokens, sink = ["a", "b"] if raises else ["a", "b", "c"], StoppingInbox(raises=raises)
    failures = iter([LOST] if raises else [None, LOST])
    sink.after = lambda token: next(failures, None)
    sink.stops = lambda: sink.closed.add(tokens[-1])
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(0)")
    async with w.running() as watcher:
        await submit(watcher, *(submission("t1", token) for token in tokens))
        await anyio.sleep(300)
    assert sink.answered() == tokens[:-1]
    assert [letter.reason for letter in await letters(w)] == ["TaskTimedOut"]


async def test_an_answer_of_another_owner_is_no_dead_letter(world: MakeWorld) -> None:
    """No attempt here can have arrived, but one by the replica that owned the shard in the meantime can."""
    store, (name,) = SharedStore(), names_in(1, 1)
    sink = TokenInbox()
    sink.before = lambda token: Throttled("slow down")
    w = a_world(world, sink, store=store)
    await store.open([each.name for each in w.sinks])
    watch = new_watch(name)
    await store.admit([watch], {watch.key: ["a"]})
    await store.commit([moved(watch, "SUCCEEDED", at=EPOCH, end=True)], {1: store.content.shards[1].claim()})
    async with w.running():
        await anyio.sleep(30)
        store.take_over(1)
        await anyio.sleep(60)
        sink.closed.add("a")
        sink.before = lambda token: None
        store.hand_back(1)
        await anyio.sleep(300)
    assert await store.task_tokens([watch.key]) == {}
    assert await letters(w) == []


async def test_an_answer_before_a_crash_is_no_dead_letter(world: MakeWorld) -> None:
    """The process ends between the answer and its record. The next one is refused by Step Functions, and settles the event."""
    store = MemoryStore(MemoryStoreSettings())
    sink = TokenInbox()
    w = a_world(world, sink, store=store, durations="queue=fixed(0),run=fixed(0)")

    async def never(tokens: object) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        store.drop_tokens = never  # type: ignore[method-assign]
        async with w.watcher() as watcher:
            tasks.start_soon(watcher.run)
            await submit(watcher, submission("t1", "a"))
            await anyio.sleep(30)
            tasks.cancel_scope.cancel()
    del store.drop_tokens  # type: ignore[method-assign]
    assert sink.answered() == ["a"]
    again = a_world(world, sink, store=store)
    async with again.running():
        await anyio.sleep(30)
        assert await store.task_tokens([key("t1")]) == {}
    assert sink.answered() == ["a"]
    assert await letters(again) == []


async def test_heartbeats_go_on_while_a_task_runs(world: MakeWorld) -> None:
    """Each open watch with a token gets a heartbeat at the interval, also after a restart; one without a token gets none."""
    store = MemoryStore(MemoryStoreSettings())
    sink = TokenInbox(heartbeat_s=10.0)
    async with a_world(world, sink, store=store, durations="run=never").running() as watcher:
        await submit(watcher, submission("t1", "a"), submission("t2"))
        await anyio.sleep(100)
        first = [call.at for call in sink.calls]
        assert len(first) >= 10
        assert max(late - early for early, late in itertools.pairwise(first)) <= 10.1
    sink.calls.clear()
    async with a_world(world, sink, store=store, durations="run=never").running():
        await anyio.sleep(100)
    assert len(sink.calls) >= 9
    assert {(call.token, call.terminal) for call in sink.calls} == {("a", False)}


async def test_a_heartbeat_that_is_refused_is_not_repeated(world: MakeWorld) -> None:
    """One warning without the token; if the answer is refused too, the last event becomes a dead letter."""
    sink = TokenInbox(heartbeat_s=10.0)
    w = a_world(world, sink, durations="queue=fixed(0),run=fixed(300)")
    with capture_logs() as logs:
        async with w.running() as watcher:
            await submit(watcher, submission("t1", "secret-token"))
            await anyio.sleep(100)
            sink.closed.add("secret-token")
            await anyio.sleep(100)
            assert await letters(w) == []
            await anyio.sleep(300)
            assert [letter.reason for letter in await letters(w)] == ["TaskTimedOut"]
    lines = [line for line in logs if line["event"] == "task_token_refused"]
    assert [(line["task"], line["reason"]) for line in lines] == [(key("t1"), "TaskTimedOut")]
    assert "secret-token" not in str(logs)


async def test_without_a_sink_that_answers_no_token_is_stored(world: MakeWorld) -> None:
    """The task is watched, and the log warns one time what to configure."""
    w = world(finite=False, durations="run=fixed(5)")
    with capture_logs() as logs:
        async with w.running() as watcher:
            await submit(watcher, submission("t1", "a"))
            await submit(watcher, submission("t2", "b"))
            assert await w.store.task_tokens([key("t1"), key("t2")]) == {}
            await anyio.sleep(60)
    assert {event.key for event in w.inbox.events if event.terminal} == {key("t1"), key("t2")}
    (line,) = [line for line in logs if line["event"] == "task_token_without_sink"]
    assert "stepfunctions" in line["hint"]


async def test_a_sink_that_is_configured_again_answers_what_ended_meanwhile(world: MakeWorld) -> None:
    """Without the sink, the task ended, and no event of it was kept for the sink. The execution still waits."""
    store = MemoryStore(MemoryStoreSettings())
    w = a_world(world, TokenInbox(), store=store, durations="run=fixed(30)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
    settings = ServiceSettings(drop_sinks=frozenset({"tokens"}))
    without = world(settings=settings, store=store, finite=False, partial=0, durations="run=fixed(30)")
    async with without.running():
        await anyio.sleep(60)
    sink = TokenInbox()
    again = a_world(world, sink, store=store)
    async with again.running():
        await anyio.sleep(60)
    assert sink.answered() == ["a"]
    assert await letters(again) == []


async def test_an_erased_task_is_not_answered(world: MakeWorld) -> None:
    """Its tokens are erased with it."""
    sink = TokenInbox()
    w = a_world(world, sink, durations="run=fixed(60)")
    async with w.running() as watcher:
        await submit(watcher, submission("t1", "a"))
        await anyio.sleep(10)
        await w.store.forget(Selection(key=key("t1")))
        await anyio.sleep(120)
    assert sink.answered() == []


def test_a_token_is_in_no_text_of_a_submission_or_an_event() -> None:
    """Whatever logs one of them logs no secret."""
    assert "secret-token" not in repr(submission("t1", "secret-token"))
    event = Event("id", "k", "kind", "type", "A", False, 1.0, b"{}", task_tokens=("secret-token",))
    assert "secret-token" not in repr(event)
