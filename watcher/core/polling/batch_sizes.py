"""How many tasks a call may be about: fewer than the kind allows, while calls about more fail because of their size.

A reply about many tasks can be larger than the watcher reads, or take longer than the call deadline. Then the limit of the kind is
halved. After some good calls of the full size it is doubled, as a trial. If the trial fails, the limit is again what it was before, and
the next trial is smaller and later, so that a service with a lasting limit fails one call in some hundreds. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from watcher.errors import RemoteError, Unreadable
from watcher.kinds.kind import Kind

GOOD_CALLS, MOST_GOOD_CALLS = 5, 320
"""The number of good calls of the full size before a trial: the first, and the largest. Each failed trial doubles it."""
LEAST_STEP = 0.125
"""The smallest growth of the limit in a trial, as a part of it. Each failed trial halves the growth."""


@dataclass(frozen=True, slots=True)
class LimitChange:
    """A new limit and the reason: `lowered` by a call that failed, `raised` as a trial, `returned` after it failed, or `restored`: there
    is no other limit than that of the kind."""

    limit: int
    reason: Literal["lowered", "raised", "returned", "restored"]


@dataclass(slots=True)
class _Limit:
    """The limit of a kind."""

    tasks: int
    before: int | None = None
    """The limit before the trial. None: there is no trial."""
    good: int = 0
    """The good calls of the full size since the last change."""
    needed: int = GOOD_CALLS
    step: float = 1.0
    """The growth in the next trial, as a part of the limit."""


class BatchSizes:
    """The limits of the kinds whose calls count against one quota of one target."""

    def __init__(self) -> None:
        self._limits: dict[str, _Limit] = {}
        """By the name of the kind, where it is not that of the kind."""

    def limit(self, kind: Kind) -> int:
        """The most tasks in the next call."""
        known = self._limits.get(kind.name)
        return kind.batch_size if known is None else known.tasks

    def learn(self, kind: Kind, tasks: int, error: RemoteError | None) -> LimitChange | None:
        """Learn from a call about so many tasks. `error` is set when the call as a whole failed. None: the limit has not changed."""
        if error is None:
            return self._succeeded(kind, tasks)
        if not error.oversized or tasks > self.limit(kind):
            return None  # or the call was in flight when the limit was lowered
        if tasks > 1:
            return self._failed(kind, tasks)
        if isinstance(error, Unreadable) and kind.name in self._limits and self.limit(kind) == 1:
            return self._restore(kind)  # the calls failed because of this task, not because of their number of tasks
        return None

    def _failed(self, kind: Kind, tasks: int) -> LimitChange:
        known = self._limits.setdefault(kind.name, _Limit(kind.batch_size))
        if known.before is None or tasks <= known.before:
            self._limits[kind.name] = _Limit(tasks // 2)
            return LimitChange(tasks // 2, "lowered")
        needed, step = min(MOST_GOOD_CALLS, 2 * known.needed), max(LEAST_STEP, known.step / 2)
        self._limits[kind.name] = _Limit(known.before, needed=needed, step=step)
        return LimitChange(known.before, "returned")

    def _succeeded(self, kind: Kind, tasks: int) -> LimitChange | None:
        known = self._limits.get(kind.name)
        if known is None or tasks < known.tasks:
            return None
        if known.before is not None:
            known.before, known.good, known.needed = None, 0, GOOD_CALLS
        if known.tasks >= kind.batch_size:
            return self._restore(kind)
        known.good += 1
        if known.good < known.needed:
            return None
        larger = min(kind.batch_size, known.tasks + max(1, int(known.tasks * known.step)))
        self._limits[kind.name] = _Limit(larger, known.tasks, needed=known.needed, step=known.step)
        return LimitChange(larger, "raised")

    def _restore(self, kind: Kind) -> LimitChange:
        del self._limits[kind.name]
        return LimitChange(kind.batch_size, "restored")
