"""Measures for how long the service has given no answer that shows a task, for `watcher watch`."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from watcher.core.hints import hint
from watcher.errors import Busy, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import DEFAULT_TARGET, Observation, TaskRef
from watcher.ports import Probe

TRIES = 2
"""The rejection of the credentials, at the start, after which trying again does not help."""
NO_ANSWER = (Throttled, Unavailable, CredentialsRejected, Unreadable)
"""Errors that say nothing about the task: the call had no answer."""
STATES: Mapping[type[RemoteError], str] = {NotFound: "not found yet", Denied: "access denied", Busy: "busy"}
"""What an error says about a task, in words."""


@dataclass(slots=True)
class _TargetAnswers:
    """What the calls to one target showed."""

    error: RemoteError | None = None
    """Why the last call had no answer; None if it had one."""
    own_kind: str | None = None
    """The kind of that call, if the configuration declares it."""
    no_answer_since: float = 0.0
    rejections: int = 0
    """Calls in a row that the setup made impossible or whose credentials were rejected, each begun after the one before had ended."""
    rejected_at: float = -math.inf
    answered: bool = False
    """Whether a call ever had an answer."""

    @property
    def setup_is_wrong(self) -> bool:
        """Whether the credentials or the setup failed at the start, and again when tried once more."""
        return not self.answered and self.rejections >= TRIES

    def no_answer_s(self, now: float) -> float:
        """Seconds since the first of the calls without an answer; 0 after an answer."""
        return 0.0 if self.error is None else now - self.no_answer_since

    def trouble(self, target: str, now: float) -> str | None:
        """That there is no answer, and for how long, in words."""
        if self.error is None:
            return None
        unsent = isinstance(self.error, CredentialsRejected | Unreadable) and self.error.unsent
        what = "no call possible" if unsent else "no answer"
        where = "" if target == DEFAULT_TARGET else f"target {target}: "
        return f"{where}{what} for {self.no_answer_s(now):.0f} s: {self.error.code}"


class AnswerMonitor:
    """A `Probe` that notes what each call showed. `clock` returns monotonic seconds. `own_kinds` are those of the configuration.

    `targets` has the target of each task by its key. A target without answers ends nothing while another one shows its tasks.
    """

    def __init__(
        self,
        probe: Probe,
        clock: Callable[[], float] = time.monotonic,
        *,
        own_kinds: Collection[str] = (),
        targets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.open = probe.open
        self.close = probe.close
        self.check = probe.check
        self.refresh = probe.refresh
        self.errors: dict[str, RemoteError] = {}
        """By key, the last error of each task that was not seen since."""
        self.calls = 0
        self._own_kinds = own_kinds
        self._probe = probe
        self._clock = clock
        self._targets = targets
        self._answers = {name: _TargetAnswers() for name in sorted({*targets.values()} or {DEFAULT_TARGET})}
        self._failing_since: dict[str, float] = {}
        self._seen: set[str] = set()
        self._seen_at = clock()

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Observe the tasks with the probe."""
        self.calls += 1
        began = self._clock()
        try:
            outcomes = await self._probe.observe(refs)
        except RemoteError as error:
            self._note(refs, [error] * len(refs))
            self._note_setup(refs[0].target, error, began)
            raise
        self._note(refs, outcomes)
        self._note_setup(refs[0].target, None, began)
        return outcomes

    @property
    def error(self) -> RemoteError | None:
        """Why the last call to a target had no answer, for the first such target; None if there is none."""
        return self._failing.error

    @property
    def own_kind(self) -> str | None:
        """The kind of that call, if the configuration declares it."""
        return self._failing.own_kind

    @property
    def setup_is_wrong(self) -> bool:
        """Whether a person must change the credentials or the setup: they failed twice at the start, in each target."""
        return all(answers.setup_is_wrong for answers in self._answers.values())

    def failing_s(self, open_keys: Collection[str]) -> float:
        """For how many seconds no call has shown one of the open tasks; 0 while the last call about one of them did."""
        of_target = {name: [key for key in open_keys if self._target(key) == name] for name in self._answers}
        return min(self._failing_s(name, keys) for name, keys in of_target.items() if keys or not open_keys)

    def trouble(self, open_keys: Collection[str]) -> list[str]:
        """What is wrong with the open tasks, in words: how many are not found yet or denied, and for how long there is no answer."""
        states = Counter(self.state(key) for key in open_keys)
        found = [f"{states[state]} {state}" for state in STATES.values() if states[state]]
        now = self._clock()
        return found + [text for name, answers in self._answers.items() if (text := answers.trouble(name, now)) is not None]

    def advice(self, open_keys: Collection[str]) -> str | None:
        """What to check or change about what is wrong. None: nothing is wrong, or only time helps."""
        errors = [self.errors[key] for key in open_keys if isinstance(self.errors.get(key), NotFound | Denied)]
        error = next(iter(errors), None) if self.error is None else self.error
        return None if error is None else hint(error, kind=self.own_kind)

    def state(self, key: str) -> str | None:
        """What the last call about a task said, in words; None: it showed the task, or had no answer."""
        return next((state for error, state in STATES.items() if isinstance(self.errors.get(key), error)), None)

    @property
    def _failing(self) -> _TargetAnswers:
        """The first target whose last call had no answer; any target if there is none."""
        return next((answers for answers in self._answers.values() if answers.error is not None), next(iter(self._answers.values())))

    def _target(self, key: str) -> str:
        return self._targets.get(key, DEFAULT_TARGET)

    def _failing_s(self, target: str, open_keys: Collection[str]) -> float:
        now = self._clock()
        no_answer_s = self._answers[target].no_answer_s(now)
        if any(key in self._seen for key in open_keys):
            return no_answer_s
        since = [self._failing_since[key] for key in open_keys if key in self._failing_since]
        return max(no_answer_s, now - max(min(since), self._seen_at) if since else 0.0)

    def _note_setup(self, target: str, error: RemoteError | None, began: float) -> None:
        """Count a call whose credentials were rejected, and start again after any other one that the service answered."""
        answers = self._answers[target]
        if isinstance(error, CredentialsRejected):
            if began > answers.rejected_at:  # not one that was in flight together with the one before
                answers.rejections += 1
                answers.rejected_at = self._clock()
        elif not isinstance(error, Unavailable):
            answers.rejections, answers.answered = 0, True

    def _note(self, refs: Sequence[TaskRef], outcomes: Sequence[Observation | RemoteError]) -> None:
        """Note the outcomes of one call. All of its tasks have the same target."""
        now, answers = self._clock(), self._answers[refs[0].target]
        errors = [outcome for outcome in outcomes if isinstance(outcome, NO_ANSWER)]
        if len(errors) < len(outcomes):
            answers.error = None
        elif errors:
            answers.no_answer_since = now if answers.error is None else answers.no_answer_since
            answers.error = errors[0]
            answers.own_kind = refs[0].kind if refs[0].kind in self._own_kinds else None
        for ref, outcome in zip(refs, outcomes, strict=True):
            if isinstance(outcome, RemoteError):
                self._seen.discard(ref.key)
                self._failing_since.setdefault(ref.key, now)
                self.errors[ref.key] = outcome
            else:
                self._seen.add(ref.key)
                self._seen_at = now
                self._failing_since.pop(ref.key, None)
                self.errors.pop(ref.key, None)
