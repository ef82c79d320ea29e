"""How fast the calls under one quota may go: a controller for each, a handful of floats.

It finds the rate at which the service just does not throttle, and stays close under it. Neither AIMD nor CUBIC: the step
down is in proportion to the square root of the rate, which is the noise of a rate, so a large quota is not given away for
one throttle. Constants and rules: docs/architecture.md, "Pace".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import Field

from watcher.section import Section

START = 1.0
GROWTH, DROP = 0.005, 0.35
FLOOR = 1 / 30
"""Calls per second when every call is throttled: enough to notice that the quota was raised."""
MEMORY_HALF_LIFE_S = 600.0
MEMORY_SHARE = 0.25
BLEND = 0.5
LOST = 5
"""Cuts with nothing accepted in between after which the quota is gone, not merely exceeded: what comes back is sought as at the start."""


class PaceSettings(Section):
    """How fast calls may go, for each quota of the service."""

    rate: float | None = Field(default=None, gt=0, le=100_000)
    """The calls per second granted to this watcher, for each quota: a ceiling, less is found by itself. Unset: found from 1/s up."""
    burst: float = Field(default=1, ge=1, le=10_000)
    """How many calls may go at once after a pause."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call. `limited`: it had to wait, so its success tells that the rate could be higher."""

    at: float
    limited: bool


class Pace:
    """Hands out permits. Times are monotonic seconds, rates calls per second."""

    def __init__(self, settings: PaceSettings, now: float) -> None:
        self.ceiling = math.inf if settings.rate is None else settings.rate
        self.burst = settings.burst
        self.rate = min(self.ceiling, START)
        self.throttles = 0
        self.accepted = 0
        self._seeking = True
        """The rate is not known, or was lost, and no call that followed an accepted one was throttled since: it grows fast."""
        self._refused = LOST
        """Cuts since a call was last accepted. A rate that is not known counts as lost."""
        self._credit = 1.0
        self._credit_at = now
        self._calm = 0
        """Successes since the last throttle."""
        self._cut_at = -math.inf
        self._best = 0.0
        """The highest rate that was accepted, decaying."""
        self._best_at = now

    def wait(self, now: float) -> float:
        """Seconds until the next call may go; 0: now."""
        return max(0.0, (1.0 - self._credit_by(now)) / self.rate)

    def take(self, now: float) -> Permit:
        """Spend one call. Ask `wait` first."""
        credit = self._credit_by(now)
        limited = self._credit + max(0.0, now - self._credit_at) * self.rate < 1.5
        self._credit, self._credit_at = credit - 1.0, now
        return Permit(now, limited)

    def success(self, permit: Permit, now: float) -> None:
        """The call was not throttled. Anything the service answers counts."""
        self.accepted += 1
        self._refused = 0
        if not permit.limited:
            return
        self._calm += 1
        if self._calm >= self.rate:  # a second of it: fewer say only that a bucket was full
            self._remember(now)
        if self._seeking:
            self._set(self.rate + 0.5, now)
            return
        calm = self._calm * GROWTH / (DROP * math.sqrt(self.rate))  # 1 when what the last throttle took has been won back
        self._set(self.rate + GROWTH * (1 + min(calm**3, 50.0)), now)

    def throttled(self, permit: Permit, now: float) -> bool:
        """The call was one too many. Calls already under way when the rate was last cut tell nothing new: False for them."""
        self.throttles += 1
        if permit.at <= self._cut_at:
            return False
        self._refused += 1
        self._seeking = self._refused >= LOST
        self._calm = 0
        self._cut_at = now
        lower = max(self.rate - DROP * math.sqrt(self.rate), self.rate / 2)
        self._set(max(lower, MEMORY_SHARE * self._best_by(now)), now)
        return True

    @property
    def refused_from_the_start(self) -> bool:
        """Every call so far was throttled: the quota may be 0."""
        return self.accepted == 0 and self.throttles >= 3

    def blend(self, mean: float, now: float) -> None:
        """Half way to the mean estimate of all replicas: shares become equal, and none is left behind by bad luck."""
        if math.isfinite(mean) and mean > 0:
            self._set(self.rate + BLEND * (mean - self.rate), now)

    def restore(self, rate: float, now: float) -> None:
        """Go on from the rate of an earlier life, carefully: no faster than the ceiling, nothing remembered as accepted."""
        if math.isfinite(rate):
            self._seeking, self._refused = rate <= START, LOST if rate <= START else 0
            self._set(rate, now)

    def _set(self, rate: float, now: float) -> None:
        self._credit, self._credit_at = self._credit_by(now), now
        self.rate = min(self.ceiling, max(FLOOR, rate))

    def _credit_by(self, now: float) -> float:
        return min(self.burst, self._credit + max(0.0, now - self._credit_at) * self.rate)

    def _remember(self, now: float) -> None:
        self._best, self._best_at = max(self._best_by(now), self.rate), now

    def _best_by(self, now: float) -> float:
        return self._best * math.exp2(-max(0.0, now - self._best_at) / MEMORY_HALF_LIFE_S)
