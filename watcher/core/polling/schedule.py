"""Which call goes next, and when: the pending set, the cadence, the pace and the circuits combined.

The polling loop waits as long as `wait` says and then does what `take` returns. The benchmarks run the same decisions on
virtual time. `now` is monotonic seconds; the ages of tasks come from the service's timestamps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from watcher.core.polling.cadence import STEER_S, Cadence, Load
from watcher.core.polling.circuits import CallCircuits
from watcher.core.polling.first_looks import was_further
from watcher.core.polling.lane import ADOPTED, MISSING
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.kinds.kind import Kind, Phase, Quota
from watcher.model import Observation, Step, Watch

UNPLANNED_S = 10.0
"""The time constant, in seconds, of the average rate of calls that no gap planned."""
FIRST_LOOK_LEAD_S = 1.0
"""How far before its time a first look at a task that has probably changed is placed, in seconds. Little more than tasks are
usually late while calls are scarce."""
BATCH_CALLS = 20.0
"""The time constant, in calls, of the average number of tasks in a call."""
BEHIND_CALLS = 6.0
"""A backlog is behind when it has been due for longer than so many calls take. Less is usual while calls are scarce."""
HELD_S = 0.001
"""The shortest wait for missing tasks to be let go, in seconds: a shorter one would count as none, before they may be taken."""


@dataclass(slots=True)
class Schedule:
    """Decides which call goes next under one quota. The four parts are also used by the caller; this class only combines them."""

    pending: PendingSet
    cadence: Cadence
    pace: Pace
    circuits: CallCircuits
    max_in_flight: int
    """The maximum number of calls in flight."""
    unplanned: float = 0.0
    """The recent rate, in calls per second, of calls that no gap planned: first polls, `poll_now`, retries without a wait. Without those
    of the backlog."""
    tasks_per_call: float = 1.0
    """The recent average number of tasks in a call."""
    _unplanned_calls: int = 0
    """Such calls since the last `steer`."""

    def wait(self, now: float) -> float:
        """Seconds until the next call may go: it is due, the pace and the circuits allow it, and not too many are in flight.

        Infinite where that depends on another event: a new watch, `poll_now`, or the end of a call.
        """
        held = self.circuits.wait_for_missing(now, self)
        held = max(held, HELD_S) if held else 0.0
        first = self.pending.first(now, missing=not held)
        if self.pending.calls_in_flight >= self.max_in_flight:
            return math.inf
        if first is None:
            return held if held and self.pending.first() is not None else math.inf
        allowed = max(self.pace.wait(now), self.circuits.wait(now, self.pending.in_flight))
        due = first.due - now
        wait = allowed if due <= allowed else max(allowed, min(due, self._spare_in(first, now)))
        return min(wait, held) if held else wait

    def first(self, now: float) -> PendingEntry | None:
        """The entry that `take` takes first."""
        return self.pending.first(now, missing=not self.circuits.wait_for_missing(now, self))

    def take(self, now: float, limit: int = 1) -> tuple[list[PendingEntry], Permit] | None:
        """The next call: its tasks, at most `limit`, and its permit. None when nothing waits. Only valid when `wait` returned 0."""
        entries = self.pending.take(limit, now=now, missing=not self.circuits.wait_for_missing(now, self))
        if not entries:
            return None
        if entries[0].reason == MISSING:
            self.circuits.probe_missing(now, self)
        if entries[0].reason != ADOPTED:
            self._unplanned_calls += entries[0].rate == 0 or entries[0].reason == "poll_now"
        self.tasks_per_call += (len(entries) - self.tasks_per_call) / BATCH_CALLS
        return entries, self.pace.take(now)

    def first_gap(self, kind: Kind, source: str, now: float) -> float:
        """Seconds from the submission of a task of which only the id is known to the first look at it. 0 with calls to spare.

        Negative where it goes at once although calls are scarce: each second costs it a second of lag, so it goes before tasks
        that have been due for less than that time.
        """
        if self.cadence.has_spare_calls and self.pace.wait(now) <= 0 and self.pending.lateness(now) <= 0:
            return 0.0
        return self.cadence.first_gap(kind.name, source) or -FIRST_LOOK_LEAD_S

    def gap(self, kind: Kind, watch: Watch) -> float:
        """Seconds from a successful poll to the next one."""
        return self.cadence.gap(kind.name, watch.status, age(watch), polls=watch.polls)

    def learn(self, kind: Kind, before: Watch, seen: Observation, step: Step, now: float) -> None:
        """Add to the cadence the durations that a step shows: of the first status, the running one, and a provisional one."""
        for status, duration_s in durations(kind, before, seen, step):
            self.cadence.learn(kind.name, status, duration_s, now)

    def learn_first_look(self, kind: Kind, source: str, before: Watch, seen: Observation) -> None:
        """Learn whether a task that was never seen before had left its first status when it was submitted."""
        further = was_further(kind.first_status, before, seen)
        if further is not None:
            for each in {source, ""}:  # a watch that comes from another replica has no source
                self.cadence.first_looks.learn(kind.name, each, further)

    def steer(self, now: float) -> float:
        """Adjust the price so that the calls wanted match the pace. Call it every `STEER_S` seconds. Returns the lateness in seconds.

        A backlog of first polls does not count: it becomes smaller at any price. Polls that come too late after them do.
        """
        self.unplanned += STEER_S / UNPLANNED_S * (self._unplanned_calls / STEER_S - self.unplanned)
        self._unplanned_calls = 0
        pending, each, pace = self.pending, self.tasks_per_call, self.pace.rate
        late, overdue = pending.lateness(now, backlog=False), pending.lateness(now, fresh=False)
        wanted, tasks = pending.wanted / each + self.unplanned, len(pending) / each
        fresh = Load(wanted - pending.backlog_wanted / each, tasks - pending.backlog / each, late)
        self.cadence.steer(
            wanted,
            tasks,
            pace,
            late if pending.draining else max(late, overdue),
            fresh=fresh if overdue > BEHIND_CALLS / pace else None,
        )
        return max(late, overdue)

    def _spare_in(self, entry: PendingEntry, now: float) -> float:
        """Seconds until the first entry is worth a spare call. Infinite where it must wait until it is due."""
        watch = entry.watch
        if self.cadence.settings.type != "accrual" or entry.reason not in ("new", "cadence") or self.circuits.open:
            return math.inf
        if entry.reason == "new":
            gap = self.cadence.spare_first_gap(watch.ref.kind, entry.source)
        else:
            gap = self.cadence.spare_gap(watch.ref.kind, watch.status, age(watch))
        return max(0.0, entry.placed_at + gap - now)


def state_name(what: Literal["pace", "cadence", "progress"], quota: Quota) -> str:
    """The name under which the store keeps what was learned about this quota."""
    return f"{what} {quota.name}"


def durations(kind: Kind, before: Watch, seen: Observation, step: Step) -> Iterator[tuple[str, float]]:
    """Statuses that a task has left, each with how long it was in it by the service's timestamps, in seconds.

    A provisional status counts as left when its result changes, too: that is the other thing that its polls wait for. One
    that settles with nothing changed lasts for ever.
    """
    if not step.transitions:
        return
    if seen.created_at is not None and seen.started_at is not None and before.started_at is None:
        yield kind.first_status, seen.started_at - seen.created_at
    if before.status is not None and kind.phase(before.status) is Phase.PROVISIONAL:
        duration_s = _provisional(before, seen, step)
        if duration_s is not None:
            yield before.status, duration_s
        return
    ended = kind.phase(seen.status) is not Phase.OPEN
    if ended and kind.running_status is not None and seen.started_at is not None and seen.updated_at is not None:
        yield kind.running_status, seen.updated_at - seen.started_at


def _provisional(before: Watch, seen: Observation, step: Step) -> float | None:
    """How long a provisional status lasted; infinity if it settled, None if it goes on, or if the service's times do not tell."""
    if step.watch.status == before.status and step.watch.result_digest == before.result_digest:
        return math.inf if step.watch.end_reason == "settled" else None
    if before.status_since is None or before.updated_at is None or seen.updated_at is None:
        return None
    return seen.updated_at - before.status_since


def age(watch: Watch) -> float:
    """The age of the status in seconds when it was last seen."""
    if watch.seen_at is None or watch.status_since is None:
        return 0.0
    return watch.seen_at - watch.status_since
