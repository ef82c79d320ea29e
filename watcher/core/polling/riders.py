"""Which tasks ride along in a call that is made anyway: those from which the call is expected to save the most lag.

A rider costs no permit of the pace, only the bytes of its part of the reply. So it rides if the call is expected to save a
millisecond of its lag, even if its lag has not reached the price. A task that cannot have changed yet does not ride: the
call would show what is known.

Riding makes no later poll too late. Under the accrual rule, the next gap depends on the lag that can accrue after this
poll. If no lag could accrue before it, the gap ends at the same time as without it. Under a fixed interval or a backoff,
the interval counts from this poll, and no interval is longer than configured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from watcher.core.polling.cadence import PRICE_MIN_S, Cadence
from watcher.core.polling.pending_entry import PLANNED, PendingEntry, age

LEAST_S = PRICE_MIN_S
"""The least lag that a poll of a rider must be expected to save, in seconds: the lowest price that a call can have."""


@dataclass(frozen=True, slots=True)
class Riders:
    """Chooses the riders of a call. Times are monotonic seconds."""

    cadence: Cadence

    def choose(self, waiting: Sequence[PendingEntry], room: int, now: float) -> list[PendingEntry]:
        """Return at most `room` of these entries, those with the most lag. With equal lag, the order of `waiting` decides: by due time.

        Entries that are due come before the others, because each of them would otherwise need a call of its own.
        """
        ranked = [(lag, entry) for entry in waiting if (lag := self.lag(entry, now)) >= LEAST_S]
        ranked.sort(key=lambda each: (each[1].due > now, -each[0]))
        return [entry for _, entry in ranked[:room]]

    def lag(self, entry: PendingEntry, now: float) -> float:
        """The lag in seconds that a poll now is expected to save. Infinite for a poll that is due for another reason than expected lag.

        0 for a task that was polled less than `min_gap` ago. Without the accrual rule it is the time since the last poll.
        """
        cadence, watch, since = self.cadence, entry.watch, now - entry.placed_at
        is_due = entry.due <= now
        if is_due and entry.reason not in PLANNED:
            return math.inf
        if entry.reason == "new" and cadence.settings.type != "accrual":
            return math.inf
        if entry.reason == "new":
            lag = cadence.first_worth(watch.ref.kind, entry.source, since)
            return max(lag, cadence.price, LEAST_S) if is_due else lag
        if not is_due and since < cadence.settings.min_gap:
            return 0.0
        if cadence.settings.type != "accrual":
            return since
        return cadence.worth(watch.ref.kind, watch.status, age(watch), since)
