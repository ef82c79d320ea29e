"""When to ask a task again: the accrual rule.

Let T be the time a task spends in its present status and F its distribution function. A task last seen unchanged at age s
is asked again at the first age t at which the lag expected to have accrued since that look reaches a price:

    A(s, t) = E[(t - T)+ | T > s] = (G(t) - G(s) - F(s)(t - s)) / (1 - F(s)),    G(t) = integral of F from 0 to t

One price for all tasks makes every call worth the same (optimum checking: Barlow, Hunter & Proschan, "Optimum checking
procedures", J. SIAM 11, 1963, here under a shared budget). F is learned from the service's own timestamps, never from the
time of detection: learning from one's own lateness reinforces itself. It enters only integrated, so no density is estimated.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from watcher.section import Seconds, Section

SAMPLES, KNOTS = 256, 64
PRIOR_S = 30.0
"""The median of the prior t / (t + 30 s): what is believed of a status nobody has seen end."""
SAMPLES_PER_S = 5.0
PROVISIONAL_GAP_S = 15.0
"""The least gap in a provisional status, of which AWS does not say whether it ends."""
STEER_S = 0.5
NEWTON_STEPS = 30
PRICE_MIN_S = 1e-3
"""The price moves by factors, so it must never be 0."""
AGE_MAX_S = 7 * 86_400.0
"""Older than this is as old as this: the service's bad timestamps must not take the sums beyond what a float resolves."""


class CadenceSettings(Section):
    """When a task is asked about again."""

    type: Literal["accrual", "fixed", "backoff"] = "accrual"
    """`accrual` asks where a call saves most lag; `fixed` every `every`; `backoff` from `every` doubling up to `max_gap`."""
    every: Seconds = Field(default=5, ge=0.2, le=3600)
    """The interval of `fixed`, and the first one of `backoff`. In seconds."""
    min_gap: Seconds = Field(default=0.2, ge=0.05, le=60)
    """Never sooner than this after the last call about a task. In seconds."""
    max_gap: Seconds = Field(default=60, ge=0.2, le=3600)
    """Never later than this, as far as the pace allows. In seconds."""
    price_floor: Seconds = Field(default=0.1, ge=0)
    """With calls to spare, one goes only where it is expected to save this much lag. In seconds."""


class DurationModel:
    """The distribution of the time spent in one status: the last samples, blended with the prior."""

    def __init__(self, samples: Iterable[float] = ()) -> None:
        self._samples: deque[float] = deque((s for s in samples if _is_duration(s)), maxlen=SAMPLES)
        self._credit, self._credit_at = SAMPLES_PER_S, -math.inf
        self._learn()

    @property
    def samples(self) -> list[float]:
        """The durations it knows, oldest first, in seconds."""
        return list(self._samples)

    def add(self, duration_s: float, now: float) -> bool:
        """Take one duration, at most five a second so that a burst does not wash out the past. False: passed over."""
        if not _is_duration(duration_s):
            return False
        gone = max(0.0, now - self._credit_at)
        self._credit, self._credit_at = min(SAMPLES_PER_S, self._credit + gone * SAMPLES_PER_S), now
        if self._credit < 1:
            return False
        self._credit -= 1
        self._samples.append(duration_s)
        self._learn()
        return True

    def probability(self, t: float) -> float:
        """F(t): that it has ended by age t."""
        return self._both(t)[1]

    def integral(self, t: float) -> float:
        """G(t): the integral of F from 0 to t, in seconds."""
        return self._both(t)[0]

    def accrued(self, s: float, t: float) -> float:
        """A(s, t): the lag in seconds expected at age t of a task seen unchanged at age s. Increasing and convex in t."""
        if t <= s:
            return 0.0
        (base, before), (area, _) = self._both(s), self._both(t)
        return max(0.0, (area - base - before * (t - s)) / (1 - before))

    def gap(self, s: float, price: float, low: float, high: float) -> float:
        """The time after age s until `price` of lag has accrued, within [low, high]. All in seconds."""
        base, before = self._both(s)
        target = price * (1 - before)
        gap = high
        for _ in range(NEWTON_STEPS):
            area, level = self._both(s + gap)
            beyond = area - base - before * gap - target
            if beyond <= 0 or level <= before:
                break
            step = beyond / (level - before)  # from above, on a convex curve: never below the root
            gap -= step
            if gap <= low or step < 0.001 + 0.001 * gap:
                break
        return max(low, gap)

    def _learn(self) -> None:
        n = len(self._samples)
        self._doubt = 8 / (8 + n)
        ordered = sorted(self._samples)
        count = min(n, KNOTS)
        self._knots, self._levels, self._areas, self._slopes = [0.0], [0.0], [0.0], [0.0]
        if n:
            self._knot(ordered[0], 0.0)  # nothing has ended before the first that did, as far as samples go: the doubt covers it
        for k in range(1, count + 1):
            self._knot(ordered[math.ceil(k * n / count) - 1], math.ceil(k * n / count) / n)

    def _knot(self, t: float, level: float) -> None:
        width = t - self._knots[-1]
        self._slopes[-1] = (level - self._levels[-1]) / width if width > 0 else 0.0
        self._slopes.append(0.0)
        self._areas.append(self._areas[-1] + width * (level + self._levels[-1]) / 2)
        self._knots.append(t)
        self._levels.append(level)

    def _both(self, t: float) -> tuple[float, float]:
        """G(t) and F(t): one look-up for both, since every gap takes several."""
        i = bisect_right(self._knots, t) - 1
        width, slope, level = t - self._knots[i], self._slopes[i], self._levels[i]
        known, doubt = 1 - self._doubt, self._doubt
        area = known * (self._areas[i] + width * (level + slope * width / 2)) + doubt * (t - PRIOR_S * math.log1p(t / PRIOR_S))
        return area, known * (level + slope * width) + doubt * t / (t + PRIOR_S)


class Cadence:
    """Gaps for all tasks, under one price that is steered so that the calls wanted meet the pace granted."""

    def __init__(self, settings: CadenceSettings) -> None:
        self.settings = settings
        self._floor = max(PRICE_MIN_S, settings.price_floor)
        self.price = self._floor if settings.type == "accrual" else 0.0
        self.share_gap = settings.max_gap
        """The longest gap while calls are scarce, in seconds: six times the mean that the pace allows."""
        self._dearest = settings.max_gap
        """That mean. A gap accrues no more lag than its own length: at a higher price fewer calls are wanted than may go."""
        self._durations: dict[tuple[str, str], DurationModel] = {}

    def gap(self, kind: str, status: str | None, age_s: float, *, polls: int = 0, provisional: bool = False) -> float:
        """Seconds from a look at a task of this age in its status until the next. `polls`: calls it has had so far."""
        low = self._low(provisional)
        if self.settings.type == "fixed":
            return max(self.settings.every, low)
        if self.settings.type == "backoff":
            return max(low, min(self.settings.max_gap, self.settings.every * 2.0 ** min(max(0, polls - 1), 20)))
        durations, age = self.durations(kind, status), _age(age_s)
        scarce, longest = max(low, self.share_gap), max(low, self.settings.max_gap)
        saved = durations.accrued(age, age + scarce)
        if saved >= self.price:
            return durations.gap(age, self.price, low, scarce)
        # the pace bounds the gap from above, but never brings a call that would save less than the floor: an idle watcher is quiet
        return scarce if saved >= self._floor else durations.gap(age, self._floor, scarce, longest)

    def spare_gap(self, kind: str, status: str | None, age_s: float, *, provisional: bool = False) -> float:
        """Seconds after a look until a call that nobody else needs may go to this task; infinite where it never saves enough."""
        low, floor = self._low(provisional), self._floor
        durations, age = self.durations(kind, status), _age(age_s)
        gap = durations.gap(age, floor, low, max(low, self.settings.max_gap))
        return gap if durations.accrued(age, age + gap) >= floor else math.inf

    def worth(self, kind: str, status: str | None, age_s: float, since_look_s: float) -> float:
        """The lag in seconds expected to have accrued since a look at this age."""
        age = _age(age_s)
        return self.durations(kind, status).accrued(age, age + since_look_s)

    def steer(self, wanted: float, tasks: int, pace: float, lateness_s: float) -> None:
        """Move the price, every half second, so that the calls wanted per second meet the pace. Slowly: a gain of 1/s diverges."""
        if self.settings.type != "accrual" or tasks == 0 or wanted <= 0:
            return
        over = max(0.0, lateness_s - 3 / pace)
        drive = math.log((wanted + over * pace / max(tasks / wanted, 2.0)) / pace)
        relook = max(STEER_S, tasks / min(wanted, pace))  # until a price has reached all tasks: no faster than that
        self.share(tasks, pace)
        self.price = self._fair(self.price * math.exp(min(0.1, max(-0.1, STEER_S / relook * drive))))

    def share(self, tasks: int, pace: float) -> None:
        """How many tasks share how many calls a second: what bounds a gap and a price from above."""
        self.share_gap = max(self.settings.min_gap, min(self.settings.max_gap, 6 * tasks / pace))
        self._dearest = min(self.settings.max_gap, tasks / pace)

    def learn(self, kind: str, status: str, duration_s: float, now: float) -> bool:
        """One task spent this long in this status, by the service's own timestamps. False where it was passed over."""
        if self.settings.type != "accrual":
            return False
        return self.durations(kind, status).add(duration_s, now)

    def durations(self, kind: str, status: str | None) -> DurationModel:
        """What is known of the time a task of this kind spends in this status."""
        name = (kind, status or "")
        if name not in self._durations:
            self._durations[name] = DurationModel()
        return self._durations[name]

    def note(self) -> str:
        """What was learned, as JSON for the store."""
        models = {f"{kind} {status}": [round(s, 3) for s in d.samples] for (kind, status), d in self._durations.items() if d.samples}
        return json.dumps({"price": self.price, "samples": models}, separators=(",", ":"))

    def restore(self, note: str) -> None:
        """Go on from `note`. A note that cannot be read is worth nothing, and costs nothing: the prior stands."""
        try:
            data = json.loads(note)
            models = {tuple(name.split(" ", 1)): DurationModel([float(s) for s in samples]) for name, samples in data["samples"].items()}
            price = float(data["price"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return
        if self.settings.type == "accrual" and math.isfinite(price):
            self.price = self._fair(price)
        self._durations.update({(k[0], k[1]): d for k, d in models.items() if len(k) == 2})

    def _low(self, provisional: bool) -> float:
        return max(self.settings.min_gap, PROVISIONAL_GAP_S) if provisional else self.settings.min_gap

    def _fair(self, price: float) -> float:
        """Within the floor and what may be right: a price beyond would only take long to come down from."""
        return max(self._floor, min(self._dearest, price))


def _is_duration(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0


def _age(seconds: float) -> float:
    return min(AGE_MAX_S, max(0.0, seconds))
