"""Which call goes next, and when: the pending set, the cadence, the pace and the circuits combined.

The polling loop waits as long as `wait` says and then does what `take` returns. The benchmarks run the same decisions on
virtual time. `now` is monotonic seconds; the ages of tasks come from the service's timestamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from watcher.core.polling.cadence import STEER_S, Cadence
from watcher.core.polling.circuits import CallCircuits
from watcher.core.polling.notified_tasks import NotifiedTasks
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending import ANNOUNCEMENTS, MISSING, PendingSet, review_after
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.silence import NO_TRUST
from watcher.kinds.kind import Kind, Phase, Quota
from watcher.model import Observation, Watch

UNPLANNED_S = 10.0
"""The time constant, in seconds, of the average rate of calls that no gap planned."""
BATCH_CALLS = 20.0
"""The time constant, in calls, of the average number of tasks in a call."""
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
    """The recent rate, in calls per second, of calls that no gap planned: first polls, `poll_now`, retries without a wait."""
    tasks_per_call: float = 1.0
    """The recent average number of tasks in a call."""
    _unplanned_calls: float = 0.0
    """Such calls since the last `steer`."""
    _notified: NotifiedTasks = field(init=False)

    def __post_init__(self) -> None:
        self._notified = NotifiedTasks(self.cadence.announcements)

    def wait(self, now: float) -> float:
        """Seconds until the next call may go: it is due, the pace and the circuits allow it, and not too many are in flight.

        Infinite where that depends on another event: a new watch, `poll_now`, or the end of a call.
        """
        self._review(now)
        held = self.circuits.wait_for_missing(now, self)
        held = max(held, HELD_S) if held else 0.0
        first = self.pending.first(missing=not held)
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
        return self.pending.first(missing=not self.circuits.wait_for_missing(now, self))

    def take(self, now: float, limit: int = 1) -> tuple[list[PendingEntry], Permit] | None:
        """The next call: its tasks, at most `limit`, and its permit. None when nothing waits. Only valid when `wait` returned 0."""
        entries = self.pending.take(limit, now=now, missing=not self.circuits.wait_for_missing(now, self))
        if not entries:
            return None
        if entries[0].reason == MISSING:
            self.circuits.probe_missing(now, self)
        self._unplanned_calls += _unplanned(entries[0], now)
        self.tasks_per_call += (len(entries) - self.tasks_per_call) / BATCH_CALLS
        return entries, self.pace.take(now)

    def gap(self, kind: Kind, watch: Watch, *, transient: bool = False) -> tuple[float, str]:
        """Seconds from a successful poll to the next one, and the reason. `transient`: treat a provisional status as any other."""
        provisional = not transient and watch.status is not None and kind.phase(watch.status) is Phase.PROVISIONAL
        unexplained = self._notified.unexplained(watch)
        trust = NO_TRUST if provisional or unexplained else self.cadence.trust(kind.name, watch.status)
        gap = self.cadence.gap(kind.name, watch.status, age(watch), polls=watch.polls, provisional=provisional, trust=trust)
        return gap, "provisional" if provisional else ANNOUNCEMENTS if trust.share else "cadence"

    def poll_now(self, key: str, now: float, at: float) -> bool:
        """AWS sent a notification about this task, which arrived at the wall-clock time `at`: poll it before all others.

        Returns False when it is not polled here.
        """
        polled = self.pending.poll_now(key, now)
        self._notified.note(key, at, polled=polled)
        return polled

    def learn(self, kind: Kind, before: Watch, seen: Observation, now: float) -> None:
        """Learn from a transition whether AWS announced it, and the durations that it shows: created to started, and started to ended."""
        self._notified.learn(kind, before, seen)
        if seen.created_at is not None and seen.started_at is not None and before.started_at is None:
            self.cadence.learn(kind.name, kind.first_status, seen.started_at - seen.created_at, now)
        ended = kind.phase(seen.status) is not Phase.OPEN
        if ended and kind.running_status is not None and seen.started_at is not None and seen.updated_at is not None:
            self.cadence.learn(kind.name, kind.running_status, seen.updated_at - seen.started_at, now)

    def steer(self, now: float) -> float:
        """Adjust the price so that the calls wanted match the pace. Call it every `STEER_S` seconds. Returns the lateness in seconds."""
        lateness = self.pending.lateness(now)
        self.cadence.announcements.pass_time(self.pending.counts, STEER_S)
        self.unplanned += STEER_S / UNPLANNED_S * (self._unplanned_calls / STEER_S - self.unplanned)
        self._unplanned_calls = 0.0
        wanted = self.pending.wanted / self.tasks_per_call + self.unplanned
        self.cadence.steer(wanted, len(self.pending) / self.tasks_per_call, self.pace.rate, lateness)
        return lateness

    def _review(self, now: float) -> None:
        """Look again at the gaps that rely on announcements and are due for it: without a call, unless they have become too long."""
        while (first := self.pending.first()) is not None and first.due <= now and first.reason == ANNOUNCEMENTS:
            watch, planned = first.watch, 1 / first.rate if first.rate else 0.0
            gap = min(planned, self.cadence.gap(watch.ref.kind, watch.status, age(watch), polls=watch.polls))
            left = first.placed_at + gap - now
            if left > HELD_S:
                self.pending.postpone(watch.key, now + min(left, review_after(gap)), ANNOUNCEMENTS)
            else:
                self.pending.postpone(watch.key, first.due, "cadence")

    def _spare_in(self, entry: PendingEntry, now: float) -> float:
        """Seconds until the first entry is worth a spare call. Infinite where it must wait until it is due."""
        watch = entry.watch
        if self.cadence.settings.type != "accrual" or entry.reason not in ("cadence", "provisional", ANNOUNCEMENTS) or self.circuits.open:
            return math.inf
        gap = self.cadence.spare_gap(watch.ref.kind, watch.status, age(watch), provisional=entry.reason == "provisional")
        return max(0.0, entry.placed_at + gap - now)


def _unplanned(entry: PendingEntry, now: float) -> float:
    """Which part of a call that goes now was not planned.

    All of one that no gap planned. Of one that a notification caused, the rest of the gap: for the time that has passed, the
    rate of the watch was part of the calls wanted, as if the call at the end of the gap were still to come.
    """
    if entry.rate == 0:
        return 1.0
    return max(0.0, 1 - (now - entry.placed_at) * entry.rate) if entry.reason == "poll_now" else 0.0


def state_name(what: Literal["pace", "cadence", "progress"], quota: Quota) -> str:
    """The name under which the store keeps what was learned about this quota."""
    return f"{what} {quota.name}"


def age(watch: Watch) -> float:
    """The age of the status in seconds when it was last seen."""
    if watch.seen_at is None or watch.status_since is None:
        return 0.0
    return watch.seen_at - watch.status_since
