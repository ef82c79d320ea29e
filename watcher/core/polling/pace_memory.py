"""The highest rate that the service accepted, and how far the pace may fall below it.

No cut goes below a quarter of that rate: the floor. Many calls are throttled at the floor for one of two reasons. If the
quota fell for good, the highest rate must be forgotten. If another client takes the quota without a pace, the floor must
hold, because a client that slows down while another one never does ends with nothing. The share of throttled calls does not
show which: another client at five times the quota has the same effect as a fall of the quota to a twentieth. The effect of
a slower rate does show it. With a rate r, a quota q, and the rate R of another client,

    throttled calls for each accepted one = (r + R - q) / q

At the rate that is still accepted, this becomes nearly 0 if R is 0, and stays above half of its value if R is q or more. So
a trial at that rate decides.

Times are monotonic seconds, rates are calls per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHARE = 0.25
"""The floor as a part of the highest accepted rate. It is not `pace.FLOOR`, the lowest rate of all."""
HALF_LIFE_S = 600.0
"""The half-life of the highest accepted rate, in seconds."""
FEW = 0.1
"""At most this share of throttled calls at the floor causes no trial."""
THROTTLES = 40
"""A trial begins after this many throttled calls at the floor. It has at least as many calls as those among which these were."""
FLOOR_S, TRIAL_S = 10.0, 20.0
"""The shortest time for which calls are counted, at the floor and in a trial, in seconds. A trial is longer because replicas begin
their trials at slightly different times: until the last one has begun, each replica is another client for the others."""
TRIED, LEAST = 0.9, 1 / 8
"""The rate of a trial, as a part of the rate that was accepted at the floor; and the lowest one, as a part of the floor."""
FELL = 1 / 3
"""The quota fell if the throttled calls for each accepted one are fewer than this part of those at the floor. The part is at most 1/8
if the quota fell, and at least 1/2 if another client calls at the whole quota or more."""
NEAR = 1.25
"""A rate above this multiple of the floor does not count as the floor."""
HELD_S, HELD_MAX_S = 60.0, 600.0
"""For how long the floor holds after a trial that found another client, in seconds: after the first such trial, and at most. The time
doubles with each further one. The first time is short because replicas may find each other."""


@dataclass(slots=True)
class _Count:
    """Calls since a time."""

    since: float
    calls: int = 0
    throttled: int = 0

    @property
    def share(self) -> float:
        """The share of throttled calls."""
        return self.throttled / self.calls

    @property
    def odds(self) -> float:
        """Throttled calls for each accepted one."""
        return self.throttled / max(0.5, self.calls - self.throttled)


@dataclass(slots=True)
class _Trial:
    """A rate that is tried, and the calls at the floor before."""

    rate: float
    before: _Count


class PaceMemory:
    """Remembers the highest accepted rate, and forgets it if a trial shows that the quota fell."""

    def __init__(self, now: float = 0.0) -> None:
        self._best = 0.0
        """The highest rate that was accepted, as of `_best_at`. It fades after that."""
        self._best_at = now
        self._count: _Count | None = None
        """Calls at the floor, or in the trial if there is one."""
        self._trial: _Trial | None = None
        self._held_s = HELD_S
        """For how long the floor holds after the next trial that finds another client."""
        self._held_until = -math.inf

    def start(self, now: float) -> None:
        """Count time from now on. For an object that was made before its clock was running."""
        self._best_at = now

    def accepted(self, rate: float, now: float) -> None:
        """A second of calls was accepted at this rate."""
        if rate > self._best_by(now):
            self._best, self._best_at = rate, now

    def scale(self, factor: float) -> None:
        """Multiply all rates: the calls are divided among another number of replicas."""
        self._best *= factor
        if self._trial is not None:
            self._trial.rate *= factor

    def limit_cut(self, rate: float, lower: float, now: float) -> float:
        """The rate after a cut from `rate` to `lower`: not below the floor, and not above `rate`, which other replicas may have lowered."""
        floor = min(rate, self._floor(now))
        if lower < floor and self._count is None and now >= self._held_until:
            self._count = _Count(now)
        return max(lower, floor)

    def note(self, rate: float, *, throttled: bool, permitted: float, now: float) -> float | None:
        """Count the answer to a call that was permitted at this time. Returns the new rate when a trial begins or finds another client."""
        count = self._count
        if count is None or permitted < count.since:
            return None
        count.calls += 1
        count.throttled += throttled
        if self._trial is not None:
            return self._end_trial(self._trial, count, rate, now)
        return self._begin_trial(count, rate, now) if throttled else None

    def _begin_trial(self, count: _Count, rate: float, now: float) -> float | None:
        """Begin a trial if many calls are throttled at the floor. As long as nothing is accepted, there is no rate to try."""
        few = count.throttled < THROTTLES and count.calls < THROTTLES / FEW
        if now < count.since + FLOOR_S or few or count.throttled == count.calls:
            return None
        self._count, floor = None, self._floor(count.since)
        if count.share <= FEW or rate > NEAR * floor:
            return None
        self._best, self._best_at = self._best_by(count.since), now
        self._trial = _Trial(floor * max(TRIED * (1 - count.share), LEAST), count)
        self._count = _Count(now)
        return self._trial.rate

    def _end_trial(self, trial: _Trial, count: _Count, rate: float, now: float) -> float | None:
        if now < count.since + TRIAL_S or count.calls * trial.before.share < THROTTLES:
            return None
        self._trial = self._count = None
        if count.odds < FELL * trial.before.odds:
            self._best, self._best_at, self._held_s = trial.rate, now, HELD_S
            return None
        self._best_at = self._held_until = now + self._held_s
        self._held_s = min(2 * self._held_s, HELD_MAX_S)
        return max(rate, self._floor(now))

    def _floor(self, now: float) -> float:
        return SHARE * self._best_by(now) if self._trial is None else self._trial.rate

    def _best_by(self, now: float) -> float:
        """The highest accepted rate, faded. While the floor holds, `_best_at` is in the future, and it does not fade."""
        return self._best * math.exp2(-max(0.0, now - self._best_at) / HALF_LIFE_S)
