"""An adaptive rate limiter for the calls that count against one quota.

It finds the rate at which the service just does not throttle, and stays close below it. AIMD and CUBIC cut a rate by a
fixed share of it. Here a cut is proportional to the square root of the rate, which is the random variation of a count of
calls, so one throttled call does not cost a large part of a large quota. The form of the rule and its constants were
chosen by simulation against a token bucket (docs/architecture.md, "Pace").

Times are monotonic seconds, rates are calls per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import Field

from watcher.core.polling.pace_memory import PaceMemory
from watcher.section import Section

START = 1.0
"""The rate at the start, unless one is configured."""
SEARCH_STEP = 0.5
"""What each success adds to the rate while the rate is unknown."""
GROWTH, DROP = 0.005, 0.35
"""c and d: a success adds c (1 + min(x^3, 50)), where x = n c / (d sqrt(r)) for the n-th success in a row; a throttled call
subtracts d sqrt(r), at most half of r."""
FLOOR = 1 / 30
"""The lowest rate: one call in 30 s is enough to notice that the quota was raised."""
BLEND = 0.5
"""How far a rate moves toward the mean of all replicas."""
LOST = 5
"""After so many cuts with no call accepted in between, the quota was not merely exceeded: it is gone, and the rate is unknown."""
REFUSED_S = 60.0
"""The time in seconds for which every call must be throttled until the quota counts as unusable, if earlier calls were accepted."""


class PaceSettings(Section):
    """The rate of calls, for each quota of the service."""

    rate: float | None = Field(default=None, gt=0, le=100_000)
    """The maximum calls per second for each quota. The watcher starts at this rate, and slows down when the service throttles. Unset:
    the watcher finds the rate. It starts at the rate that an earlier run found, or else at 1 call per second."""
    burst: float = Field(default=1, ge=1, le=10_000)
    """The maximum number of calls at once after a pause."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The permission for one call."""

    at: float
    """When it was granted."""
    limited: bool
    """The call had to wait for it, so a success shows that the rate could be higher."""


class Pace:
    """Gives permits at a rate, and adapts the rate to what the service answers."""

    def __init__(self, settings: PaceSettings, now: float = 0.0) -> None:
        self._granted = settings.rate is not None
        """Whether a rate is configured. This granted rate needs no search, and replaces what an earlier process found."""
        self._configured = math.inf if settings.rate is None else settings.rate
        self.ceiling = self._configured
        """The highest rate that is allowed: the configured one, divided by the number of replicas that share it."""
        self.sharers = 1
        """Among how many replicas the configured rate is divided."""
        self.burst = settings.burst
        self.rate = self.ceiling if self._granted else START
        self.throttles = 0
        """Calls that were throttled."""
        self.accepted = 0
        """Calls that were not throttled."""
        self._refused_since = math.inf
        """The time of the first throttled call after the last call that was not throttled."""
        self._searching = not self._granted
        """The rate is unknown, and no call was throttled since one was accepted: the rate grows fast."""
        self._cuts = 0 if self._granted else LOST
        """Cuts since a call was last accepted. At a start without a configured rate, the rate counts as lost."""
        self._credit = 1.0
        """The number of calls that may go at once, as of `_credit_at`."""
        self._credit_at = now
        self._successes = 0
        """Successes since the last cut."""
        self._cut_at = -math.inf
        self._memory = PaceMemory(now)

    def start(self, now: float) -> None:
        """Count credit from now on. For an object that was made before its clock was running."""
        self._credit_at = now
        self._memory.start(now)

    def wait(self, now: float) -> float:
        """Seconds until the next call may go; 0: now."""
        return max(0.0, (1.0 - self._credit_by(now)) / self.rate)

    def take(self, now: float) -> Permit:
        """Spend one call. Only valid when `wait` returned 0."""
        credit = self._credit_by(now)
        limited = self._credit + max(0.0, now - self._credit_at) * self.rate < 1.5
        self._credit, self._credit_at = credit - 1.0, now
        return Permit(now, limited)

    def success(self, permit: Permit, now: float) -> None:
        """Learn that a call was not throttled: any other answer of the service counts."""
        self.accepted += 1
        self._cuts, self._refused_since = 0, math.inf
        self._note(permit, now, throttled=False)
        if not permit.limited:
            return
        self._successes += 1
        if self._successes >= self.rate:  # a second of calls: fewer may only have used up a full bucket
            self._memory.accepted(self.rate, now)
        if self._searching:
            self._set(self.rate + SEARCH_STEP, now)
            return
        x = self._successes * GROWTH / (DROP * math.sqrt(self.rate))  # 1 when what the last cut took has been regained
        self._set(self.rate + GROWTH * (1 + min(x**3, 50.0)), now)

    def throttled(self, permit: Permit, now: float) -> bool:
        """Learn that a call was throttled. False where that cut nothing: the call was in flight when the rate was last cut."""
        self.throttles += 1
        self._refused_since = min(self._refused_since, now)
        self._note(permit, now, throttled=True)
        if permit.at <= self._cut_at:
            return False
        self._cuts += 1
        self._searching = self._cuts >= LOST
        self._successes = 0
        self._cut_at = now
        lower = max(self.rate - DROP * math.sqrt(self.rate), self.rate / 2)
        self._set(self._memory.limit_cut(self.rate, lower, now), now)
        return True

    @property
    def refused_from_the_start(self) -> bool:
        """Every call so far was throttled, so the quota may be 0."""
        return self.accepted == 0 and self.throttles >= 3

    def refused_for_long(self, now: float) -> bool:
        """Whether every call for a minute was throttled, although earlier calls were not: other clients may use the whole quota."""
        return self.accepted > 0 and now - self._refused_since >= REFUSED_S

    def share(self, replicas: int, now: float) -> None:
        """Divide the rate among this many replicas. The sum of their rates stays the same when one comes or goes."""
        if replicas != self.sharers:
            rate = self.rate * self.sharers / replicas
            self._memory.scale(self.sharers / replicas)
            self.ceiling, self.sharers = self._configured / replicas, replicas
            self._set(rate, now)

    def blend(self, mean: float, now: float) -> None:
        """Move halfway toward the mean rate of all replicas, so that their shares become equal."""
        if math.isfinite(mean) and mean > 0:
            self._set(self.rate + BLEND * (mean - self.rate), now)

    def join(self, rate: float, now: float) -> None:
        """Take the rate of the replicas that make calls already, up to the ceiling. For a replica that has no tasks yet."""
        if math.isfinite(rate):
            unknown = not self._granted and rate <= START
            self._searching, self._cuts = unknown, LOST if unknown else 0
            self._set(rate, now)

    def restore(self, rate: float, now: float) -> None:
        """Continue at the rate of an earlier process, unless one is configured. No accepted maximum is remembered.

        The rate of an earlier process may be low for a reason that no longer exists, such as another client, and takes a
        minute to rise. If the service still allows no more than that, the configured rate falls within seconds.
        """
        if not self._granted:
            self.join(rate, now)

    def _set(self, rate: float, now: float) -> None:
        self._credit, self._credit_at = self._credit_by(now), now
        self.rate = min(self.ceiling, max(FLOOR, rate))

    def _credit_by(self, now: float) -> float:
        return min(self.burst, self._credit + max(0.0, now - self._credit_at) * self.rate)

    def _note(self, permit: Permit, now: float, *, throttled: bool) -> None:
        rate = self._memory.note(self.rate, throttled=throttled, permitted=permit.at, now=now)
        if rate is not None:
            self._searching, self._cuts, self._successes = False, 0, 0
            self._set(rate, now)
