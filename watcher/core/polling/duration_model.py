"""The learned distribution of the time that tasks spend in one status, and the lag that accrues between two polls.

Let T be the time that a task spends in its status, F its distribution function, and G the integral of F from 0. A task
that was last seen unchanged at age s and is polled next at age t has an expected lag of

    A(s, t) = E[(t - T)+ | T > s] = (G(t) - G(s) - F(s)(t - s)) / (1 - F(s))

F is the distribution of the last samples, piecewise linear, blended with a prior P: F = (1 - e) samples + e P, where
e = 8 / (8 + n) for n samples. The formula uses F through its integral only, so no density is estimated.

A task that never left the status is a sample at infinity: the samples' part of F then ends below 1, and the expected lag
of a task that has outlived all other samples grows by the prior alone. All times are in seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from watcher.kinds.kind import UsualDuration

SAMPLES = 256
"""The number of samples kept: the newest ones."""
KNOTS = 64
"""The most points of the piecewise linear distribution."""
PRIOR_S = 30.0
"""The median of the general prior t / (t + 30 s): what is assumed about a status of which nothing is known."""
GENERAL_SHARE = 0.1
"""The weight of the general prior in one that a kind declares, so that a wrong declaration cannot exclude a duration."""
PRIOR_SAMPLES = 8
"""The number of samples that weigh as much as the prior."""
SAMPLES_PER_S = 5.0
"""The most samples learned per second, so that a burst of tasks does not replace all earlier samples."""
NEWTON_STEPS = 30


class Prior:
    """What is assumed about a status before any task has left it.

    With `at_least` = d seconds, `median` = d + m seconds, and u = max(0, t - d), as the kind declares them,
    P(t) = 0.9 u / (u + m) + 0.1 t / (t + 30 s). Without a declaration, P(t) = t / (t + 30 s).
    """

    def __init__(self, usual: UsualDuration | None = None) -> None:
        self._delay, self._scale, self._weight = 0.0, PRIOR_S, 0.0
        if usual is not None:
            self._delay, self._scale, self._weight = usual.at_least_s, usual.median_s - usual.at_least_s, 1 - GENERAL_SHARE

    def integral_and_level(self, t: float) -> tuple[float, float]:
        """The integral of P from 0 to t, and P(t)."""
        area, level = t - PRIOR_S * math.log1p(t / PRIOR_S), t / (t + PRIOR_S)
        if self._weight == 0:
            return area, level
        u, own, general = max(0.0, t - self._delay), self._weight, 1 - self._weight
        return own * (u - self._scale * math.log1p(u / self._scale)) + general * area, own * u / (u + self._scale) + general * level


GENERAL_PRIOR = Prior()


class DurationModel:
    """The distribution F of the time spent in one status, learned from samples. A sample is infinite if the task never left it."""

    def __init__(self, samples: Iterable[float] = (), prior: Prior = GENERAL_PRIOR) -> None:
        self._prior = prior
        self._samples: deque[float] = deque((s for s in samples if _is_duration(s)), maxlen=SAMPLES)
        self._credit, self._credit_at = SAMPLES_PER_S, -math.inf
        self._fit()

    @property
    def samples(self) -> list[float]:
        """The samples kept, oldest first."""
        return list(self._samples)

    def add(self, duration_s: float, now: float) -> bool:
        """Learn one sample, at most five per second; infinity for a task that never leaves the status.

        False where it was ignored. `now` is monotonic seconds.
        """
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

    def accrued(self, s: float, t: float, changed: float = 0.0) -> float:
        """A(s, t): the expected lag at age t of a task last seen unchanged at age s. Increasing and convex in t.

        If the task was not seen at age s, `changed` = c is the chance that it had left the status by then. The expected lag
        is then c (t - s) + (1 - c) A(s, t).
        """
        if t <= s:
            return 0.0
        (base, before), (area, _) = self._integral_and_level(s), self._integral_and_level(t)
        return changed * (t - s) + (1 - changed) * max(0.0, (area - base - before * (t - s)) / (1 - before))

    def gap(self, s: float, price: float, low: float, high: float, changed: float = 0.0) -> float:
        """The time after age s until a lag of `price` is expected to have accrued, within [low, high]. `changed` as in `accrued`.

        Newton's method from above: the lag is convex in t, so no step goes below the root.
        """
        base, before = self._integral_and_level(s)
        target = price * (1 - before)
        at_once = changed * (1 - before)
        gap = high
        for _ in range(NEWTON_STEPS):
            area, level = self._integral_and_level(s + gap)
            excess = at_once * gap + (1 - changed) * (area - base - before * gap) - target
            slope = at_once + (1 - changed) * (level - before)
            if excess <= 0 or slope <= 0:
                break
            step = excess / slope
            gap -= step
            if gap <= low or step < 0.001 + 0.001 * gap:
                break
        return max(low, gap)

    def _fit(self) -> None:
        """Place the knots of the distribution function at evenly spaced ranks of the samples."""
        n = len(self._samples)
        self._prior_weight = PRIOR_SAMPLES / (PRIOR_SAMPLES + n)
        ordered = sorted(sample for sample in self._samples if sample < math.inf)
        finite, count = len(ordered), min(len(ordered), KNOTS)
        self._knots, self._levels, self._areas, self._slopes = [0.0], [0.0], [0.0], [0.0]
        if finite:
            self._add_knot(ordered[0], 0.0)  # no sample is shorter than the first; the prior covers the shorter times
        for k in range(1, count + 1):
            rank = math.ceil(k * finite / count)
            self._add_knot(ordered[rank - 1], rank / n)

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
        prior_area, prior_level = self._prior.integral_and_level(t)
        area = weight * (self._areas[i] + width * (level + slope * width / 2)) + prior * prior_area
        return area, weight * (level + slope * width) + prior * prior_level


def _is_duration(seconds: float) -> bool:
    return seconds >= 0  # also False for NaN
