"""The learned distribution of the time that tasks spend in one status, and the lag that accrues between two polls.

Let T be the time that a task spends in its status, F its distribution function, and G the integral of F from 0. A task
that was last seen unchanged at age s and is polled next at age t has an expected lag of

    A(s, t) = E[(t - T)+ | T > s] = (G(t) - G(s) - F(s)(t - s)) / (1 - F(s))

F is the distribution of the last samples, piecewise linear, blended with a prior: F = (1 - e) samples + e t / (t + 30 s),
where e = 8 / (8 + n) for n samples. The formula uses F through its integral only, so no density is estimated.
All times are in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

SAMPLES = 256
"""The number of samples kept: the newest ones."""
KNOTS = 64
"""The most points of the piecewise linear distribution."""
PRIOR_S = 30.0
"""The median of the prior t / (t + 30 s): what is assumed about a status before any task has left it."""
PRIOR_SAMPLES = 8
"""The number of samples that weigh as much as the prior."""
SAMPLES_PER_S = 5.0
"""The most samples learned per second, so that a burst of tasks does not replace all earlier samples."""
NEWTON_STEPS = 30


class DurationModel:
    """The distribution F of the time spent in one status, learned from samples."""

    def __init__(self, samples: Iterable[float] = ()) -> None:
        self._samples: deque[float] = deque((s for s in samples if _is_duration(s)), maxlen=SAMPLES)
        self._credit, self._credit_at = SAMPLES_PER_S, -math.inf
        self._fit()

    @property
    def samples(self) -> list[float]:
        """The samples kept, oldest first."""
        return list(self._samples)

    def add(self, duration_s: float, now: float) -> bool:
        """Learn one sample, at most five per second. False where it was ignored. `now` is monotonic seconds."""
        if not _is_duration(duration_s):
            return False
        elapsed = max(0.0, now - self._credit_at)
        self._credit, self._credit_at = min(SAMPLES_PER_S, self._credit + elapsed * SAMPLES_PER_S), now
        if self._credit < 1:
            return False
        self._credit -= 1
        self._samples.append(duration_s)
        self._fit()
        return True

    def probability(self, t: float) -> float:
        """F(t): the probability that a task has left the status by age t."""
        return self._integral_and_level(t)[1]

    def integral(self, t: float) -> float:
        """G(t): the integral of F from 0 to t."""
        return self._integral_and_level(t)[0]

    def accrued(self, s: float, t: float) -> float:
        """A(s, t): the expected lag at age t of a task last seen unchanged at age s. Increasing and convex in t."""
        if t <= s:
            return 0.0
        (base, before), (area, _) = self._integral_and_level(s), self._integral_and_level(t)
        return max(0.0, (area - base - before * (t - s)) / (1 - before))

    def gap(self, s: float, price: float, low: float, high: float) -> float:
        """The time after age s until a lag of `price` is expected to have accrued, within [low, high].

        Newton's method from above: A is convex in t, so no step goes below the root.
        """
        base, before = self._integral_and_level(s)
        target = price * (1 - before)
        gap = high
        for _ in range(NEWTON_STEPS):
            area, level = self._integral_and_level(s + gap)
            excess = area - base - before * gap - target
            if excess <= 0 or level <= before:
                break
            step = excess / (level - before)
            gap -= step
            if gap <= low or step < 0.001 + 0.001 * gap:
                break
        return max(low, gap)

    def _fit(self) -> None:
        """Place the knots of the distribution function at evenly spaced ranks of the samples."""
        n = len(self._samples)
        self._prior_weight = PRIOR_SAMPLES / (PRIOR_SAMPLES + n)
        ordered = sorted(self._samples)
        count = min(n, KNOTS)
        self._knots, self._levels, self._areas, self._slopes = [0.0], [0.0], [0.0], [0.0]
        if n:
            self._add_knot(ordered[0], 0.0)  # no sample is shorter than the first; the prior covers the shorter times
        for k in range(1, count + 1):
            self._add_knot(ordered[math.ceil(k * n / count) - 1], math.ceil(k * n / count) / n)

    def _add_knot(self, t: float, level: float) -> None:
        width = t - self._knots[-1]
        self._slopes[-1] = (level - self._levels[-1]) / width if width > 0 else 0.0
        self._slopes.append(0.0)
        self._areas.append(self._areas[-1] + width * (level + self._levels[-1]) / 2)
        self._knots.append(t)
        self._levels.append(level)

    def _integral_and_level(self, t: float) -> tuple[float, float]:
        """G(t) and F(t), from one lookup: each gap needs several pairs of them."""
        i = bisect_right(self._knots, t) - 1
        width, slope, level = t - self._knots[i], self._slopes[i], self._levels[i]
        weight, prior = 1 - self._prior_weight, self._prior_weight
        prior_area = t - PRIOR_S * math.log1p(t / PRIOR_S)
        area = weight * (self._areas[i] + width * (level + slope * width / 2)) + prior * prior_area
        return area, weight * (level + slope * width) + prior * t / (t + PRIOR_S)


def _is_duration(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0
