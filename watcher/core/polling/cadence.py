"""When to poll a task again: the accrual rule, with one price for all tasks.

A task is polled at the first age t at which the expected lag A(s, t) since its last poll at age s reaches a price in
seconds (`duration_model` has the formula). One price for all tasks makes every call save the same lag. For one object
this is optimum checking (Barlow, Hunter & Proschan, "Optimum Checking Procedures", J. SIAM 11, 1963); here many tasks
share a rate of calls, and the price is adjusted until the calls wanted match that rate.

The durations come from the service's own timestamps, never from when a change was detected: a model that learned from
its own lateness would become later and later. docs/cadence.md derives the rule and shows what it saves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pydantic import Field

from watcher.core.polling import silence
from watcher.core.polling.announcements import Announcements
from watcher.core.polling.duration_model import GENERAL_PRIOR, DurationModel, Prior
from watcher.core.polling.first_looks import FirstLooks
from watcher.core.polling.silence import NO_TRUST, Trust
from watcher.kinds.kind import Kind
from watcher.section import Seconds, Section

FIRST_LOOK_S = 45.0
"""The longest time from a submission to the first look at the task, in seconds, so that a task that does not exist is noticed."""
STEER_S = 0.5
"""The price is adjusted this often, in seconds."""
PRICE_MIN_S = 1e-3
"""The lowest price in seconds. The price changes by factors, so from 0 it could never rise."""
OVERLOAD_GAPS = 3.0
"""The longest gap in units of the mean gap, where that is more than `max_gap`. With so many tasks, nearly all calls would
otherwise only enforce `max_gap`, and tasks that change soon would wait for tasks that hardly change."""
STEP, STEP_FROM_SPARE = 0.1, 0.5
"""The largest change of the logarithm of the price in one step; and the largest rise below `SHARED_FLOOR_S`. A price floor of 1 ms is
far below any price at which calls are scarce, so the price must rise faster from there."""
SHARED_FLOOR_S = 0.1
"""The default of `price_floor` in seconds if `pace.rate` is not set: other clients may need the calls that are left over."""
AGE_MAX_S = 7 * 86_400.0
"""The highest age in seconds: wrong timestamps must not make the integrals larger than a float can resolve."""
SPARE = 1.05
"""While the price is at most this multiple of the price floor, calls are not scarce."""
SCARCE_GAPS = 6.0
"""While calls are scarce, the longest gap in units of the mean gap, so that a wrong model cannot neglect a task."""


class CadenceSettings(Section):
    """When a task is polled again."""

    type: Literal["accrual", "fixed", "backoff"] = "accrual"
    """`accrual`: the next call goes where it saves the most lag. `fixed`: a poll every `every`. `backoff`: the interval starts
    at `every` and doubles up to `max_gap`."""
    every: Seconds = Field(default=5, ge=0.2, le=3600)
    """The interval of `fixed`, and the first interval of `backoff`. In seconds."""
    min_gap: Seconds = Field(default=0.2, ge=0.05, le=60)
    """The shortest time between two polls of a task. In seconds."""
    max_gap: Seconds = Field(default=60, ge=0.2, le=3600)
    """The longest time between two polls of a task, as far as the rate of calls allows it. In seconds."""
    price_floor: Seconds | None = Field(default=None, ge=0)
    """The price floor: the least lag that a call must be expected to save, also a spare call. In seconds. Unset: 1 ms if `pace.rate`
    is set, because the calls up to that rate are granted to the watcher; otherwise 0.1 s, because other clients may need them."""

    def floor(self, *, granted: bool) -> float:
        """The price floor in seconds. `granted`: whether `pace.rate` is set."""
        if self.price_floor is None:
            return PRICE_MIN_S if granted else SHARED_FLOOR_S
        return max(PRICE_MIN_S, self.price_floor)


class Load(NamedTuple):
    """The calls that some tasks want."""

    wanted: float
    """Calls per second."""
    tasks: float
    lateness_s: float
    """How long the most overdue task has been due, in seconds."""


class Cadence:
    """Computes the gap to the next poll of each task, under one price for all of them."""

    def __init__(self, settings: CadenceSettings, kinds: Iterable[Kind] = (), *, granted: bool = False) -> None:
        """Create a cadence that has learned nothing. `granted`: whether `pace.rate` is set (`CadenceSettings.floor`)."""
        self.settings = settings
        self.first_looks = FirstLooks()
        self.floor = settings.floor(granted=granted)
        """The price floor in seconds."""
        self.price = max(self.floor, SHARED_FLOOR_S) if settings.type == "accrual" else 0.0
        """The expected lag in seconds at which a task is polled. It starts above a very low price floor. A price that is too high costs
        little at the start, because spare calls are made down to the price floor; while a price that is too low rises, calls are late."""
        self.share_gap = settings.max_gap
        """The longest gap while calls are scarce, in seconds."""
        self._price_max = settings.max_gap
        """The mean gap that the rate of calls allows, in seconds. A gap cannot accrue more lag than its own length, so above
        this price fewer calls are wanted than are allowed."""
        kinds = list(kinds)
        self._first_status = {kind.name: kind.first_status for kind in kinds}
        self._priors = {(kind.name, status): Prior(usual) for kind in kinds for status, usual in kind.usual.items()}
        self._common: float | None = None
        """While the backlog is overdue, the price that all tasks need."""
        self._models: dict[tuple[str, str], DurationModel] = {}
        self.announcements = Announcements()
        """Which share of the transitions AWS announces, and so how long a gap may be while no notification comes."""

    def gap(self, kind: str, status: str | None, age_s: float, *, polls: int = 0, trust: Trust | None = None) -> float:
        """Seconds from a poll of a task, at this age of its status, to the next poll.

        `polls`: the number of polls so far. `trust`: the trust in announcements of this task, if it differs from that of its status.
        """
        low, longest = self.settings.min_gap, self.settings.max_gap
        if self.settings.type == "fixed":
            return max(self.settings.every, low)
        if self.settings.type == "backoff":
            return max(low, min(longest, self.settings.every * 2.0 ** min(max(0, polls - 1), 20)))
        model, age, trust = self.durations(kind, status), _bounded(age_s), self.trust(kind, status) if trust is None else trust
        gap = self._gap(model, age, trust)
        return min(gap, max(silence.LONGEST_S, self._gap(model, age, NO_TRUST))) if trust.share else gap

    def _gap(self, model: DurationModel, age: float, trust: Trust) -> float:
        low = self.settings.min_gap
        scarce, longest = max(low, self.share_gap), max(low, self.settings.max_gap, self.share_gap)
        saved = silence.accrued(model, age, age + scarce, trust)
        if saved >= self.price:
            return silence.gap(model, age, self.price, low, scarce, trust)
        # the scarce gap must not cause a call that saves less than the price floor: an idle watcher makes few calls
        return scarce if saved >= self.floor else silence.gap(model, age, self.floor, scarce, longest, trust)

    def first_gap(self, kind: str, source: str) -> float:
        """Seconds from the submission of a task of which only the id is known to the first look at it.

        With the chance c that the task has left its first status already, the lag that is expected to have accrued after t
        seconds is c t + (1 - c) A(0, t). The first look is due when that reaches the price, as any other poll.

        The first look is due at once where that is cheaper than at t*, the time at which it would be due if c were 0. At once
        it costs a second call for each task that has not changed, (1 - c) price; at t* it costs c t* of lag.
        """
        if self.settings.type != "accrual":
            return 0.0
        model, longest = self.durations(kind, None), min(FIRST_LOOK_S, self.settings.max_gap)
        changed = self.first_looks.chance(kind, source)
        price, scarce = max(self.price, self.floor), min(longest, self.share_gap)
        if changed * model.gap(0.0, price, 0.0, scarce) >= (1 - changed) * price:
            return 0.0
        return model.gap(0.0, price, 0.0, scarce, changed)

    def spare_gap(self, kind: str, status: str | None, age_s: float) -> float:
        """Seconds from a poll until a spare call is worth spending on this task; infinite where it never is."""
        low, age, model = self.settings.min_gap, _bounded(age_s), self.durations(kind, status)
        trust = self.trust(kind, status)
        gap = silence.gap(model, age, self.floor, low, max(low, self.settings.max_gap), trust)
        return gap if silence.accrued(model, age, age + gap, trust) >= self.floor else math.inf

    def spare_first_gap(self, kind: str, source: str) -> float:
        """As `spare_gap`, for a task of which only the id is known: seconds from its submission."""
        model, changed = self.durations(kind, None), self.first_looks.chance(kind, source)
        gap = model.gap(0.0, self.floor, 0.0, self.settings.max_gap, changed)
        return gap if model.accrued(0.0, gap, changed) >= self.floor else math.inf

    @property
    def has_spare_calls(self) -> bool:
        """Whether the price is at the price floor: fewer calls are wanted than are allowed."""
        return self.price <= self.floor * SPARE

    def worth(self, kind: str, status: str | None, age_s: float, since_poll_s: float) -> float:
        """The lag in seconds that is expected to accrue within `since_poll_s` after a poll at this age."""
        age = _bounded(age_s)
        return silence.accrued(self.durations(kind, status), age, age + since_poll_s, self.trust(kind, status))

    def first_worth(self, kind: str, source: str, since_s: float) -> float:
        """As `worth`, for a task of which only the id is known, this long after its submission."""
        return self.durations(kind, None).accrued(0.0, since_s, self.first_looks.chance(kind, source))

    def trust(self, kind: str, status: str | None) -> Trust:
        """The trust in announcements of transitions out of this status. Only the accrual rule waits for announcements."""
        return self.announcements.trust(kind, status) if self.settings.type == "accrual" else NO_TRUST

    def steer(self, wanted: float, tasks: float, pace: float, lateness_s: float, *, fresh: Load | None = None) -> None:
        """Adjust the price so that the calls wanted per second match the pace. Call it every `STEER_S` seconds.

        With R calls wanted, N tasks, a pace of Q calls per second, and over = max(0, lateness - 3/Q), the price is multiplied
        by exp(clip(0.5 / max(0.5, N / min(R, Q)) ln((R + over Q / max(N/R, 2)) / Q), -0.1, 0.1)); below 0.1 s, it may rise by
        exp(0.5). A new price has reached all tasks after N / min(R, Q) seconds only; a faster loop oscillates.

        `fresh`: while the backlog is overdue, the load of the fresh tasks, which get half of the pace. Then there are two prices,
        one that all tasks need and one that the fresh tasks need, and the higher one applies.
        """
        if self.settings.type != "accrual" or tasks == 0 or wanted <= 0:
            return
        self.share(tasks, pace)
        before = self.price if fresh is None or self._common is None else self._common
        common = self._changed(before, Load(wanted, tasks, lateness_s), pace)
        self.price = common if fresh is None else max(common, self._changed(self.price, fresh, pace / 2))
        self._common = None if fresh is None else common

    def share(self, tasks: float, pace: float) -> None:
        """Set the upper bounds of gaps and price from the number of tasks that share a pace in calls per second."""
        mean_gap = tasks / pace
        longest = max(self.settings.max_gap, OVERLOAD_GAPS * mean_gap)
        self.share_gap = max(self.settings.min_gap, min(longest, SCARCE_GAPS * mean_gap))
        self._price_max = min(self.settings.max_gap, mean_gap)

    def learn(self, kind: str, status: str, duration_s: float, now: float) -> bool:
        """Learn how long one task spent in this status, by the service's own timestamps; infinity if it never left it.

        False where it was ignored.
        """
        if self.settings.type != "accrual":
            return False
        return self.durations(kind, status).add(duration_s, now)

    def durations(self, kind: str, status: str | None) -> DurationModel:
        """The model of the time that tasks of this kind spend in this status. None: in their first one."""
        name = (kind, self._first_status.get(kind, "") if status is None else status)
        if name not in self._models:
            self._models[name] = DurationModel(prior=self._priors.get(name, GENERAL_PRIOR))
        return self._models[name]

    def dump(self) -> str:
        """The price, all samples, and what is known about announcements as JSON, for the store."""
        samples = {
            f"{kind} {status}": [round(s, 3) for s in model.samples] for (kind, status), model in self._models.items() if model.samples
        }
        state = {"price": self.price, "samples": samples}
        learned = {"first_looks": self.first_looks.dump(), "announcements": self.announcements.dump()}
        return json.dumps(state | {name: rows for name, rows in learned.items() if rows}, separators=(",", ":"))

    def restore(self, text: str) -> None:
        """Continue from the text of an earlier `dump`. A text that cannot be read is ignored."""
        try:
            data = json.loads(text)
            samples = {tuple(name.split(" ", 1)): [float(s) for s in durations] for name, durations in data["samples"].items()}
            price = float(data["price"])
            self.first_looks.restore(data.get("first_looks", ()))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return
        if self.settings.type == "accrual" and math.isfinite(price):
            self.price = self._within_bounds(price)
        for name, durations in samples.items():
            if len(name) == 2:
                self._models[name] = DurationModel(durations, self._priors.get(name, GENERAL_PRIOR))
        self.announcements.restore(data.get("announcements"))

    def _changed(self, price: float, load: Load, pace: float) -> float:
        """The price after one step toward the one at which this load wants as many calls as this pace allows."""
        if load.tasks <= 0 or load.wanted <= 0:
            return self.floor
        over = max(0.0, load.lateness_s - 3 / pace)
        drive = math.log((load.wanted + over * pace / max(load.tasks / load.wanted, 2.0)) / pace)
        settling_s = max(STEER_S, load.tasks / min(load.wanted, pace))
        rise = STEP if price >= SHARED_FLOOR_S else STEP_FROM_SPARE
        changed = price * math.exp(min(rise, max(-STEP, STEER_S / settling_s * drive)))
        return self._within_bounds(min(changed, load.tasks / pace))

    def _within_bounds(self, price: float) -> float:
        """The price between the price floor and its maximum: a higher one would only take long to fall again."""
        return max(self.floor, min(self._price_max, price))


def _bounded(age_s: float) -> float:
    return min(AGE_MAX_S, max(0.0, age_s))
