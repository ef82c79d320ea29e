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
from typing import Literal

from pydantic import Field

from watcher.core.polling import silence
from watcher.core.polling.announcements import Announcements
from watcher.core.polling.duration_model import DurationModel
from watcher.core.polling.silence import NO_TRUST, Trust
from watcher.section import Seconds, Section

PROVISIONAL_GAP_S = 15.0
"""The shortest gap in a provisional status, in seconds: AWS does not document whether such a status ever ends."""
STEER_S = 0.5
"""The price is adjusted this often, in seconds."""
PRICE_MIN_S = 1e-3
"""The lowest price in seconds. The price changes by factors, so from 0 it could never rise."""
AGE_MAX_S = 7 * 86_400.0
"""The highest age in seconds: wrong timestamps must not make the integrals larger than a float can resolve."""
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
    price_floor: Seconds = Field(default=0.1, ge=0)
    """The least lag that a call is expected to save, also for spare calls. In seconds."""


class Cadence:
    """Computes the gap to the next poll of each task, under one price for all of them."""

    def __init__(self, settings: CadenceSettings) -> None:
        self.settings = settings
        self._floor = max(PRICE_MIN_S, settings.price_floor)
        self.price = self._floor if settings.type == "accrual" else 0.0
        """The expected lag in seconds at which a task is polled."""
        self.share_gap = settings.max_gap
        """The longest gap while calls are scarce, in seconds."""
        self._price_max = settings.max_gap
        """The mean gap that the rate of calls allows, in seconds. A gap cannot accrue more lag than its own length, so above
        this price fewer calls are wanted than are allowed."""
        self._models: dict[tuple[str, str], DurationModel] = {}
        self.announcements = Announcements()
        """Which transitions AWS announces, and so for how long its silence is trusted."""

    def gap(
        self, kind: str, status: str | None, age_s: float, *, polls: int = 0, provisional: bool = False, trust: Trust | None = None
    ) -> float:
        """Seconds from a poll of a task, at this age of its status, to the next poll.

        `polls`: the number of polls so far. `trust` in announcements of this task, if it is not that of its status.
        """
        low = self._low(provisional)
        if self.settings.type == "fixed":
            return max(self.settings.every, low)
        if self.settings.type == "backoff":
            return max(low, min(self.settings.max_gap, self.settings.every * 2.0 ** min(max(0, polls - 1), 20)))
        model, age = self.durations(kind, status), _bounded(age_s)
        scarce, longest = max(low, self.share_gap), max(low, self.settings.max_gap)
        trust = self.trust(kind, status) if trust is None else trust
        saved = silence.accrued(model, age, age + scarce, trust)
        if saved >= self.price:
            return silence.gap(model, age, self.price, low, scarce, trust)
        # the scarce gap must not cause a call that saves less than the floor: an idle watcher makes few calls
        return scarce if saved >= self._floor else silence.gap(model, age, self._floor, scarce, longest, trust)

    def spare_gap(self, kind: str, status: str | None, age_s: float, *, provisional: bool = False) -> float:
        """Seconds from a poll until a spare call is worth spending on this task; infinite where it never is."""
        low, floor = self._low(provisional), self._floor
        model, age, trust = self.durations(kind, status), _bounded(age_s), self.trust(kind, status)
        gap = silence.gap(model, age, floor, low, max(low, self.settings.max_gap), trust)
        return gap if silence.accrued(model, age, age + gap, trust) >= floor else math.inf

    def worth(self, kind: str, status: str | None, age_s: float, since_poll_s: float) -> float:
        """The lag in seconds that is expected to accrue within `since_poll_s` after a poll at this age."""
        age = _bounded(age_s)
        return silence.accrued(self.durations(kind, status), age, age + since_poll_s, self.trust(kind, status))

    def trust(self, kind: str, status: str | None) -> Trust:
        """What a task in this status may rely on: none but the accrual rule waits for announcements."""
        return self.announcements.trust(kind, status) if self.settings.type == "accrual" else NO_TRUST

    def steer(self, wanted: float, tasks: float, pace: float, lateness_s: float) -> None:
        """Adjust the price so that the calls wanted per second match the pace. Call it every `STEER_S` seconds.

        With R calls wanted, N tasks, a pace of Q calls per second, and over = max(0, lateness - 3/Q), the price is multiplied
        by exp(clip(0.5 / max(0.5, N / min(R, Q)) ln((R + over Q / max(N/R, 2)) / Q), -0.1, 0.1)). A new price has reached all
        tasks after N / min(R, Q) seconds only; a faster loop oscillates.
        """
        if self.settings.type != "accrual" or tasks == 0 or wanted <= 0:
            return
        over = max(0.0, lateness_s - 3 / pace)
        drive = math.log((wanted + over * pace / max(tasks / wanted, 2.0)) / pace)
        settling_s = max(STEER_S, tasks / min(wanted, pace))
        self.share(tasks, pace)
        self.price = self._within_bounds(self.price * math.exp(min(0.1, max(-0.1, STEER_S / settling_s * drive))))

    def share(self, tasks: float, pace: float) -> None:
        """Set the upper bounds of gaps and price from the number of tasks that share a pace in calls per second."""
        self.share_gap = max(self.settings.min_gap, min(self.settings.max_gap, SCARCE_GAPS * tasks / pace))
        self._price_max = min(self.settings.max_gap, tasks / pace)

    def learn(self, kind: str, status: str, duration_s: float, now: float) -> bool:
        """Learn how long one task spent in this status, by the service's own timestamps. False where it was ignored."""
        if self.settings.type != "accrual":
            return False
        return self.durations(kind, status).add(duration_s, now)

    def durations(self, kind: str, status: str | None) -> DurationModel:
        """The model of the time that tasks of this kind spend in this status."""
        name = (kind, status or "")
        if name not in self._models:
            self._models[name] = DurationModel()
        return self._models[name]

    def dump(self) -> str:
        """The price, all samples, and what is known about announcements as JSON, for the store."""
        samples = {
            f"{kind} {status}": [round(s, 3) for s in model.samples] for (kind, status), model in self._models.items() if model.samples
        }
        announcements = self.announcements.dump()
        learned = {"price": self.price, "samples": samples} | ({"announcements": announcements} if announcements else {})
        return json.dumps(learned, separators=(",", ":"))

    def restore(self, text: str) -> None:
        """Continue from the text of an earlier `dump`. A text that cannot be read is ignored."""
        try:
            data = json.loads(text)
            models = {tuple(name.split(" ", 1)): DurationModel([float(s) for s in samples]) for name, samples in data["samples"].items()}
            price = float(data["price"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return
        if self.settings.type == "accrual" and math.isfinite(price):
            self.price = self._within_bounds(price)
        self._models.update({(name[0], name[1]): model for name, model in models.items() if len(name) == 2})
        self.announcements.restore(data.get("announcements"))

    def _low(self, provisional: bool) -> float:
        return max(self.settings.min_gap, PROVISIONAL_GAP_S) if provisional else self.settings.min_gap

    def _within_bounds(self, price: float) -> float:
        """The price between its floor and its maximum: a higher one would only take long to fall again."""
        return max(self._floor, min(self._price_max, price))


def _bounded(age_s: float) -> float:
    return min(AGE_MAX_S, max(0.0, age_s))
