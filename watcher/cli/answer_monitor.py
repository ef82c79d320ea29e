"""Measures for how long the service has given no answer that shows a task, for `watcher watch`."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from watcher.core.hints import hint
from watcher.errors import Busy, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Observation, TaskRef
from watcher.ports import Probe

TRIES = 2
"""The rejection of the credentials, at the start, after which trying again does not help."""
NO_ANSWER = (Throttled, Unavailable, CredentialsRejected, Unreadable)
"""Errors that say nothing about the task: the call had no answer."""
STATES: Mapping[type[RemoteError], str] = {NotFound: "not found yet", Denied: "access denied", Busy: "busy"}
"""What an error says about a task, in words."""


class AnswerMonitor:
    """A `Probe` that notes what each call showed. `clock` returns monotonic seconds. `own_kinds` are those of the configuration."""

    def __init__(self, probe: Probe, clock: Callable[[], float] = time.monotonic, *, own_kinds: Collection[str] = ()) -> None:
        self.open = probe.open
        self.close = probe.close
        self.check = probe.check
        self.refresh = probe.refresh
        self.error: RemoteError | None = None
        """Why the last call had no answer; None if it had one."""
        self.own_kind: str | None = None
        """The kind of that call, if the configuration declares it."""
        self.errors: dict[str, RemoteError] = {}
        """By key, the last error of each task that was not seen since."""
        self.calls = 0
        self.rejections = 0
        """Calls in a row that the setup made impossible or whose credentials were rejected, each begun after the one before had ended."""
        self.answered = False
        """Whether a call ever had an answer."""
        self._rejected_at = -math.inf
        self._own_kinds = own_kinds
        self._probe = probe
        self._clock = clock
        self._no_answer_since = 0.0
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
            self._note_setup(error, began)
            raise
        self._note(refs, outcomes)
        self._note_setup(None, began)
        return outcomes

    @property
    def setup_is_wrong(self) -> bool:
        """Whether a person must change the credentials or the setup: they failed at the start, and again when tried once more."""
        return not self.answered and self.rejections >= TRIES

    def no_answer_s(self) -> float:
        """Seconds since the first of the calls without an answer; 0 after an answer."""
        return 0.0 if self.error is None else self._clock() - self._no_answer_since

    def failing_s(self, open_keys: Collection[str]) -> float:
        """For how many seconds no call has shown one of the open tasks; 0 while the last call about one of them did."""
        if any(key in self._seen for key in open_keys):
            return self.no_answer_s()
        since = [self._failing_since[key] for key in open_keys if key in self._failing_since]
        unseen = self._clock() - max(min(since), self._seen_at) if since else 0.0
        return max(self.no_answer_s(), unseen)

    def trouble(self, open_keys: Collection[str]) -> list[str]:
        """What is wrong with the open tasks, in words: how many are not found yet or denied, and for how long there is no answer."""
        states = Counter(self.state(key) for key in open_keys)
        found = [f"{states[state]} {state}" for state in STATES.values() if states[state]]
        if self.error is not None:
            unsent = isinstance(self.error, CredentialsRejected | Unreadable) and self.error.unsent
            what = "no call possible" if unsent else "no answer"
            found.append(f"{what} for {self.no_answer_s():.0f} s: {self.error.code}")
        return found

    def advice(self, open_keys: Collection[str]) -> str | None:
        """What to check or change about what is wrong. None: nothing is wrong, or only time helps."""
        errors = [self.errors[key] for key in open_keys if isinstance(self.errors.get(key), NotFound | Denied)]
        error = next(iter(errors), None) if self.error is None else self.error
        return None if error is None else hint(error, kind=self.own_kind)

    def state(self, key: str) -> str | None:
        """What the last call about a task said, in words; None: it showed the task, or had no answer."""
        return next((state for error, state in STATES.items() if isinstance(self.errors.get(key), error)), None)

    def _note_setup(self, error: RemoteError | None, began: float) -> None:
        """Count a call whose credentials were rejected, and start again after any other one that the service answered."""
        if isinstance(error, CredentialsRejected):
            if began > self._rejected_at:  # not one that was in flight together with the one before
                self.rejections += 1
                self._rejected_at = self._clock()
        elif not isinstance(error, Unavailable):
            self.rejections, self.answered = 0, True

    def _note(self, refs: Sequence[TaskRef], outcomes: Sequence[Observation | RemoteError]) -> None:
        now = self._clock()
        errors = [outcome for outcome in outcomes if isinstance(outcome, NO_ANSWER)]
        if len(errors) < len(outcomes):
            self.error = None
        elif errors:
            self._no_answer_since = now if self.error is None else self._no_answer_since
            self.error = errors[0]
            self.own_kind = refs[0].kind if refs[0].kind in self._own_kinds else None
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
