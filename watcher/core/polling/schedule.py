"""Which call goes next, and when: the pending set, the cadence, the pace and the circuits, asked in one place.

The polling loop waits as long as this says and then does what this says; the benchmarks drive the same decisions on virtual
time. It reads no clock: `now` is monotonic seconds, the ages of tasks come from their own timestamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from watcher.core.polling.cadence import STEER_S, Cadence
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending import PendingEntry, PendingSet
from watcher.kinds import Kind, Phase, Quota
from watcher.model import Observation, Watch

UNPLANNED_S = 10.0
"""Over how long first looks and other calls that no gap planned are averaged."""


@dataclass(slots=True)
class Schedule:
    """The four that decide about a call. They are the caller's too: this only combines them."""

    pending: PendingSet
    cadence: Cadence
    pace: Pace
    circuits: Circuits
    max_in_flight: int
    unplanned: float = 0.0
    """Calls per second that no gap asked for, lately: first looks, hints, second tries."""
    _unplanned_since: int = 0
    """How many of those since the last steer."""

    def wait(self, now: float) -> float:
        """Seconds until the next call may go: what is due, the pace, the circuits, the calls in flight. Infinite: wait to be told."""
        first = self.pending.first()
        if first is None or self.pending.in_flight >= self.max_in_flight:
            return math.inf
        leave = max(self.pace.wait(now), self.circuits.wait(now, self.pending.in_flight))
        due = first.due - now
        return leave if due <= leave else max(leave, min(due, self._spare_in(first, now)))

    def take(self, now: float) -> tuple[PendingEntry, Permit] | None:
        """The next call: about whom, and the leave for it. None when nothing waits. Ask `wait` first."""
        entry = self.pending.take()
        if entry is None:
            return None
        self._unplanned_since += entry.rate == 0 or entry.why == "hint"
        return entry, self.pace.take(now)

    def gap(self, kind: Kind, watch: Watch, *, transient: bool = False) -> tuple[float, str]:
        """Seconds from a look that told nothing unusual until the next, and the reason. `transient`: no status is provisional."""
        provisional = not transient and watch.status is not None and kind.phase(watch.status) is Phase.PROVISIONAL
        gap = self.cadence.gap(kind.name, watch.status, age(watch), polls=watch.polls, provisional=provisional)
        return gap, "provisional" if provisional else "cadence"

    def learn(self, kind: Kind, before: Watch, seen: Observation, now: float) -> None:
        """What a transition teaches the cadence. DurationModel come from the service's timestamps only, never from our own lateness."""
        if seen.created_at is not None and seen.started_at is not None and before.started_at is None:
            self.cadence.learn(kind.name, next(iter(kind.statuses)), seen.started_at - seen.created_at, now)
        ended = kind.phase(seen.status) is not Phase.OPEN
        if ended and seen.started_at is not None and seen.updated_at is not None:
            self.cadence.learn(kind.name, kind.running, seen.updated_at - seen.started_at, now)

    def steer(self, now: float) -> float:
        """Move the price so that the calls wanted meet the pace; every half second. Returns the lateness in seconds."""
        lateness = self.pending.lateness(now)
        self.unplanned += STEER_S / UNPLANNED_S * (self._unplanned_since / STEER_S - self.unplanned)
        self._unplanned_since = 0
        self.cadence.steer(self.pending.wanted + self.unplanned, len(self.pending), self.pace.rate, lateness)
        return lateness

    def _spare_in(self, entry: PendingEntry, now: float) -> float:
        """Seconds until the first in line is worth a call nobody else needs. Infinite where only its due time counts."""
        watch = entry.watch
        if self.cadence.settings.type != "accrual" or entry.why not in ("cadence", "provisional") or self.circuits.open:
            return math.inf
        gap = self.cadence.spare_gap(watch.ref.kind, watch.status, age(watch), provisional=entry.why == "provisional")
        return max(0.0, entry.looked + gap - now)


def noted(what: Literal["pace", "cadence"], quota: Quota) -> str:
    """The name under which the store keeps what was learned about this quota, for the next life."""
    return f"{what} {quota.name}"


def age(watch: Watch) -> float:
    """How old the status was, in seconds, when it was last seen."""
    if watch.seen_at is None or watch.status_since is None:
        return 0.0
    return watch.seen_at - watch.status_since
