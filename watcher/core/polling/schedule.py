"""Which call goes next, and when: the pending set, the cadence, the pace and the circuits combined.

The polling loop waits as long as `wait` says and then does what `take` returns. The benchmarks run the same decisions on
virtual time. `now` is monotonic seconds; the ages of tasks come from the service's timestamps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from watcher.core.polling.cadence import STEER_S, Cadence, Load
from watcher.core.polling.circuits import CallCircuits
from watcher.core.polling.first_looks import was_further
from watcher.core.polling.lane import ADOPTED, ANNOUNCEMENTS, MISSING
from watcher.core.polling.notified_tasks import NotifiedTasks
from watcher.core.polling.observed_durations import durations
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending import PendingSet, review_after
from watcher.core.polling.pending_entry import PLANNED, PendingEntry, age
from watcher.core.polling.riders import Riders
from watcher.core.polling.silence import NO_TRUST
from watcher.core.polling.target_quota import TargetQuota
from watcher.kinds.kind import Kind, Quota
from watcher.model import DEFAULT_TARGET, EventType, Observation, Step, Watch

UNPLANNED_S = 10.0
"""The time constant, in seconds, of the average rate of calls that no gap planned."""
FIRST_LOOK_LEAD_S = 1.0
"""A first look that is due at once counts as due since this time if calls are scarce, in seconds. It is slightly longer than tasks
are usually late while calls are scarce."""
IDLE_SHARE = 0.5
"""While less than this share of the pace is wanted, calls are not scarce, whatever the price is."""
BATCH_CALLS = 20.0
"""The time constant, in calls, of the average number of tasks in a call."""
BEHIND_CALLS = 6.0
"""The backlog is overdue when its first watch has been due for longer than this many calls take. Less is usual while calls are scarce."""
NO_CALLS = 1e-6
"""A smaller average rate of calls, in calls per second, counts as none: it would go on to fall until its logarithm has no value."""
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
    """The recent rate, in calls per second, of calls that no gap planned: first looks that are due at once, `poll_now`, retries
    without a wait. First polls of the backlog do not count."""
    tasks_per_call: float = 1.0
    """The recent average number of planned polls that a call makes (`planned_polls`)."""
    ridden: float = 0.0
    """The recent rate, in polls per second, of planned polls that such calls make too, because their tasks ride along."""
    _unplanned_calls: float = 0.0
    """Such calls since the last `steer`."""
    _ridden_polls: float = 0.0
    """Planned polls that rode in them."""
    _notified: NotifiedTasks = field(init=False)
    _riders: Riders = field(init=False)

    def __post_init__(self) -> None:
        self._notified = NotifiedTasks(self.cadence.announcements)
        self._riders = Riders(self.cadence)

    def wait(self, now: float) -> float:
        """Seconds until the next call may go: it is due, the pace and the circuits allow it, and not too many are in flight.

        Infinite where that depends on another event: a new watch, `poll_now`, or the end of a call.
        """
        held = self.circuits.wait_for_missing(now, self)
        held = max(held, HELD_S) if held else 0.0
        self._review(now, missing=not held)
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
        missing = not self.circuits.wait_for_missing(now, self)
        entries = self.pending.take(limit, now=now, missing=missing, choose=self._riders.choose)
        if not entries:
            return None
        if entries[0].reason == MISSING:
            self.circuits.probe_missing(now, self)
        self._count(entries, now)
        return entries, self.pace.take(now)

    def first_gap(self, kind: Kind, source: str, now: float) -> float:
        """Seconds from the submission of a task of which only the id is known to the first look at it. 0 while calls are not scarce.

        Negative if the first look is due at once although calls are scarce. Each second of delay is probably a second of lag,
        so it goes before tasks that have been due for less than that time.
        """
        if self.circuits.wait_for_missing(now, self):
            return 0.0  # only a task that is found ends that, and missing tasks that wait make calls look scarce
        wanted = self._calls_wanted()
        spare = self.cadence.has_spare_calls or wanted < IDLE_SHARE * self.pace.rate  # after a burst, the price falls for a while
        if spare and self.pace.wait(now) <= 0 and self.pending.lateness(now) <= 0:
            return 0.0
        return self.cadence.first_gap(kind.name, source) or -FIRST_LOOK_LEAD_S

    def gap(self, kind: Kind, watch: Watch) -> tuple[float, str]:
        """Seconds from a successful poll to the next one, and the reason."""
        unexplained = self._notified.unexplained(watch)
        trust = NO_TRUST if unexplained else self.cadence.trust(kind.name, watch.status)
        gap = self.cadence.gap(kind.name, watch.status, age(watch), polls=watch.polls, trust=trust)
        return gap, ANNOUNCEMENTS if trust.share else "cadence"

    def poll_now(self, key: str, now: float, at: float) -> bool:
        """AWS sent a notification about this task, which arrived at the wall-clock time `at`: poll it before all others.

        Returns False when it is not polled here.
        """
        polled = self.pending.poll_now(key, now)
        self._notified.note(key, at, polled=polled)
        return polled

    def learn(self, kind: Kind, before: Watch, seen: Observation, step: Step, now: float) -> None:
        """Learn what a step shows: whether AWS announced its transition, and how long the task was in its statuses."""
        if any(each.type is EventType.TRANSITION for each in step.transitions):
            self._notified.learn(kind, before, seen)
        for status, duration_s in durations(kind, before, seen, step):
            self.cadence.learn(kind.name, status, duration_s, now)

    def learn_first_look(self, kind: Kind, source: str, before: Watch, seen: Observation) -> None:
        """Learn whether a task that was never seen before had left its first status when it was submitted."""
        further = was_further(kind, before, seen)
        if further is not None:
            for each in {source, ""}:  # a watch that comes from another replica has no source
                self.cadence.first_looks.learn(kind.name, each, further)

    def steer(self, now: float) -> float:
        """Adjust the price so that the calls wanted match the pace. Call it every `STEER_S` seconds. Returns the lateness in seconds.

        Watches of the backlog that wait for their first poll do not count as late: they become fewer at any price.
        """
        self.cadence.announcements.pass_time(self.pending.counts, STEER_S)
        self.unplanned = _mean_rate(self.unplanned, self._unplanned_calls)
        self.ridden = _mean_rate(self.ridden, self._ridden_polls)
        self._unplanned_calls = self._ridden_polls = 0.0
        pending, each, pace = self.pending, self.tasks_per_call, self.pace.rate
        late, overdue = pending.lateness(now, backlog=False), pending.lateness(now, fresh=False)
        wanted, tasks = self._calls_wanted(), len(pending) / each
        fresh = Load(wanted - pending.backlog_wanted / each, tasks - pending.backlog / each, late)
        self.cadence.steer(
            wanted,
            tasks,
            pace,
            late if pending.draining else max(late, overdue),
            fresh=fresh if overdue > BEHIND_CALLS / pace else None,
        )
        return max(late, overdue)

    def _calls_wanted(self) -> float:
        """Calls per second: those for planned polls that do not ride along in others, and those others."""
        return max(0.0, self.pending.wanted - self.ridden) / self.tasks_per_call + self.unplanned

    def _count(self, entries: Sequence[PendingEntry], now: float) -> None:
        """Count a call about these tasks, for the number of calls that are wanted."""
        first = entries[0]
        if first.rate == 0 and first.reason != ADOPTED:
            self._unplanned_calls += 1
            self._ridden_polls += sum(_part(entry, now) for entry in entries[1:])
            return
        self._unplanned_calls += _unplanned(first, now) if first.rate else 0.0
        self.tasks_per_call += (planned_polls(entries, now) - self.tasks_per_call) / BATCH_CALLS

    def _review(self, now: float, *, missing: bool) -> None:
        """Review the gaps that rely on announcements and are due for a review. A call follows only if a gap has become too long."""
        while (first := self.pending.first(now, missing=missing)) is not None and first.due <= now and first.reason == ANNOUNCEMENTS:
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
        if self.cadence.settings.type != "accrual" or entry.reason not in PLANNED or self.circuits.open:
            return math.inf
        if entry.reason == "new":
            gap = self.cadence.spare_first_gap(watch.ref.kind, entry.source)
        else:
            gap = self.cadence.spare_gap(watch.ref.kind, watch.status, age(watch))
        return max(0.0, entry.placed_at + gap - now)


def planned_polls(entries: Sequence[PendingEntry], now: float) -> float:
    """How many planned polls a call makes, the first of which is due or early.

    A rider that is polled after a tenth of its gap saves a tenth of a planned poll only: it rides nine times more until its gap
    is over. The parts are relative to that of the first task, because a spare call is early for all of them. Of the backlog,
    whose polls no gap planned, each task counts as one.
    """
    first = entries[0]
    if first.rate == 0:
        return sum(entry.rate == 0 for entry in entries)
    whole = max(1e-3, _part(first, now))
    return sum(min(1.0, _part(entry, now) / whole) for entry in entries)


def _part(entry: PendingEntry, now: float) -> float:
    """The part of its planned gap after which a task is polled now, from 0 to 1. 0 for a poll that no gap planned."""
    return min(1.0, max(0.0, (now - entry.placed_at) * entry.rate))


def _unplanned(entry: PendingEntry, now: float) -> float:
    """The part of a call about a task with a planned gap that was not planned, from 0 to 1.

    For a call that a notification caused, it is the rest of the gap: in the time that has passed, the rate of the watch was part
    of the calls wanted.
    """
    return 1 - _part(entry, now) if entry.reason == "poll_now" else 0.0


def _mean_rate(before: float, since_last_steer: float) -> float:
    """The recent average of a rate per second, with what was counted since the last `steer`."""
    rate = before + STEER_S / UNPLANNED_S * (since_last_steer / STEER_S - before)
    return rate if rate >= NO_CALLS else 0.0


def state_name(what: Literal["pace", "cadence", "progress"], quota: Quota, target: str = DEFAULT_TARGET) -> str:
    """The name under which the store keeps what was learned about this quota of this target."""
    return f"{what} {TargetQuota(quota, target).name}"
