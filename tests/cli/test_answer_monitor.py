from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import pytest

from watcher.cli.answer_monitor import AnswerMonitor
from watcher.errors import Busy, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, SimulatedProbe, VoiceService

A, B, C = (TaskRef("speaker-search", ("vc", name)) for name in "abc")
SEEN = Observation("IN_PROGRESS", 0.0)


class Answers(SimulatedProbe):
    """Answers each call as the test says."""

    def __init__(self) -> None:
        super().__init__(VoiceService(Scenario(), lambda: 0.0))
        self.next: Observation | RemoteError = SEEN

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        if isinstance(self.next, RemoteError):
            raise self.next
        return [self.next] * len(refs)


class Run:
    """A monitor, the time, and the answers."""

    def __init__(self, *refs: TaskRef) -> None:
        self.now = 100.0
        self.probe = Answers()
        self.monitor = AnswerMonitor(self.probe, lambda: self.now, targets={ref.key: ref.target for ref in refs})

    async def call(self, at: float, ref: TaskRef, answer: Observation | RemoteError) -> None:
        self.now, self.probe.next = 100.0 + at, answer
        with suppress(RemoteError):
            await self.monitor.observe([ref])

    def failing_s(self, at: float, *refs: TaskRef) -> float:
        self.now = 100.0 + at
        return round(self.monitor.failing_s([ref.key for ref in refs]), 3)


ERRORS = [Denied("x"), NotFound("x"), Busy("x"), Throttled("x"), Unavailable("x"), Unreadable("x"), CredentialsRejected("x")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.reason)
async def test_every_error_counts_against_the_patience(error: RemoteError) -> None:
    """From the first answer that shows no task, the time counts, whatever the answer is; also for a task that no call was about."""
    run = Run()
    await run.call(2, A, error)
    await run.call(9, A, error)
    assert run.failing_s(31, A, B) == 29
    await run.call(32, A, SEEN)
    assert run.failing_s(90, A, B) == 0


@pytest.mark.parametrize("error", [Denied("x"), NotFound("x"), Busy("x")], ids=lambda error: error.reason)
async def test_a_task_that_is_seen_is_waited_for(error: RemoteError) -> None:
    """While one open task is seen, an error about another one does not end the wait; when that one ends, the time counts from then."""
    run = Run()
    await run.call(1, A, SEEN)
    await run.call(3, B, error)
    assert run.failing_s(80, A, B) == 0
    await run.call(85, A, SEEN)
    assert run.failing_s(95, B) == 10


async def test_no_answer_at_all_counts_for_all_tasks() -> None:
    """Calls without an answer count from the first one, also when a task was seen before."""
    run = Run()
    await run.call(1, A, SEEN)
    await run.call(5, B, Unavailable("timeout"))
    await run.call(20, C, Throttled("slow"))
    assert run.failing_s(44, A, B, C) == 39
    assert run.monitor.trouble([A.key, B.key]) == ["no answer for 39 s: slow"]


async def test_trouble_is_counted_by_task() -> None:
    """What is wrong names how many open tasks are not found, and how many are denied; a task that is found again no longer counts."""
    run = Run()
    for ref, error in ((A, NotFound("404")), (B, NotFound("404")), (C, Denied("403"))):
        await run.call(1, ref, error)
    keys = [ref.key for ref in (A, B, C)]
    assert run.monitor.trouble(keys) == ["2 not found yet", "1 access denied"]
    await run.call(4, A, SEEN)
    assert run.monitor.trouble(keys) == ["1 not found yet", "1 access denied"]
    assert run.monitor.trouble(keys[2:]) == ["1 access denied"]
    assert run.monitor.calls == 4


async def test_credentials_are_tried_twice() -> None:
    """The setup is wrong once a second call was rejected that began after the first one had ended."""
    run = Run()
    await run.call(1, A, CredentialsRejected("x"))
    await run.call(1, B, CredentialsRejected("x"))
    assert not run.monitor.setup_is_wrong
    await run.call(6, A, CredentialsRejected("x"))
    assert run.monitor.setup_is_wrong


@pytest.mark.parametrize("answer", [SEEN, NotFound("x"), Throttled("x")], ids=repr)
async def test_credentials_that_worked_may_work_again(answer: Observation | RemoteError) -> None:
    """After any answer of the service, rejected credentials are waited for: they may have expired."""
    run = Run()
    await run.call(1, A, answer)
    for at in (5, 10, 15):
        await run.call(at, A, CredentialsRejected("x"))
    assert not run.monitor.setup_is_wrong


async def test_an_outage_says_nothing_about_credentials() -> None:
    """A call that got through to nothing neither counts as a rejection nor as an answer."""
    run = Run()
    for at, error in ((1, CredentialsRejected("x")), (5, Unavailable("timeout")), (10, CredentialsRejected("x"))):
        await run.call(at, A, error)
    assert run.monitor.setup_is_wrong


async def test_advice_follows_the_trouble() -> None:
    """While something is wrong that a person can change, there is advice; a call that was not sent had no missing answer."""
    run = Run()
    assert run.monitor.advice([A.key]) is None
    await run.call(1, A, CredentialsRejected("NoCredentialsError", unsent=True))
    assert run.monitor.trouble([A.key]) == ["no call possible for 0 s: NoCredentialsError"]
    assert "AWS_PROFILE" in (run.monitor.advice([A.key]) or "")
    await run.call(2, A, Denied("x"))
    assert "permission" in (run.monitor.advice([A.key]) or "")
    await run.call(3, A, SEEN)
    assert run.monitor.advice([A.key]) is None


async def test_the_advice_about_a_reply_names_a_kind_of_the_configuration() -> None:
    """A mistake in such a kind may be the cause; a shipped kind is not suspected."""
    run, ref = Run(), TaskRef("own", ("x",))
    for own_kinds, named in (((), False), (("own",), True)):
        run.monitor = AnswerMonitor(run.probe, lambda: run.now, own_kinds=own_kinds)
        await run.call(1, ref, Unreadable("no_task"))
        assert ("the kind own says" in str(run.monitor.advice([ref.key]))) == named


async def test_a_target_without_answers_ends_nothing_while_another_one_answers() -> None:
    """Neither rejected credentials of one target nor its silence end the wait for the tasks of another one; only its own tasks."""
    there = TaskRef("speaker-search", ("vc", "t"), "eu")
    run = Run(A, there)
    await run.call(1, there, CredentialsRejected("x"))
    await run.call(3, there, CredentialsRejected("x"))
    assert not run.monitor.setup_is_wrong, "no call to the other target was made"
    assert run.failing_s(40, A, there) == 0
    await run.call(41, A, SEEN)
    assert run.failing_s(90, A, there) == 0
    assert run.failing_s(90, there) == 89
    assert run.monitor.trouble([A.key, there.key]) == ["target eu: no answer for 89 s: x"]
    assert isinstance(run.monitor.error, CredentialsRejected)


async def test_rejected_credentials_of_all_targets_end_the_wait() -> None:
    """The setup is wrong once each target has rejected them twice."""
    there = TaskRef("speaker-search", ("vc", "t"), "eu")
    run = Run(A, there)
    for at, ref in ((1, there), (3, there), (5, A), (7, A)):
        assert not run.monitor.setup_is_wrong
        await run.call(at, ref, CredentialsRejected("x"))
    assert run.monitor.setup_is_wrong
