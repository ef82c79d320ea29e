"""How far AWS's own notifications are trusted: the share of transitions that are announced, and how late, by kind and status.

An *announcement* is the notification of one transition. Which transitions are announced, and when, is learned from the
service's timestamps, never from the time of detection. Silence counts too: if announcements stop, they are no longer
trusted after a few missing ones. The module `silence` computes the next poll from this. All times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.core.polling.silence import NO_TRUST, Trust

MEMORY = 128.0
"""The number of transitions that are remembered: each new one reduces the weight of all earlier ones by 1/128."""
PRIOR = 19.0
"""Transitions without an announcement that are assumed before anything is learned. They lose weight as others do."""
ALWAYS = 1.0
"""One more such transition, which never loses weight. It keeps the share below 1."""
LEAST_SHARE = 0.5
"""Below this share, waiting for announcements saves nothing, because most transitions need a poll anyway."""
LATE_S = 30.0
"""An announcement that comes later than this, in seconds, counts as none: no gap waits that long for it."""
STOPS = 0.001
"""The assumed chance that announcements have stopped since the last one."""
MISSING_MAX = 50.0
"""More missing announcements than this change nothing."""
BURST = 10.0
"""A silence adds at most this many mean intervals to the exposure, so that an outage does not look like a low rate."""


@dataclass(slots=True)
class StatusAnnouncements:
    """What is known about the announcements of transitions out of one status."""

    announced: float = 0.0
    """The weight of the transitions that were announced."""
    unannounced: float = PRIOR
    """The weight of those that were not."""
    exposure: float = 0.0
    """The time that open tasks spent in the status while these were announced, in task-seconds."""
    delay_s: float = 0.0
    """d: the mean delay of an announcement after its transition."""
    silent_s: float = 0.0
    """The same time, since the last announcement."""
    missing_found: float = 0.0
    """The part of `missing` that comes from unannounced transitions since then."""
    interrupted: bool = False
    """An announcement has come since the last call of `pass_time`."""

    @property
    def share(self) -> float:
        """p: the chance that a transition is announced, as long as announcements come at all."""
        return self.announced / (self.announced + self.unannounced + ALWAYS)

    @property
    def missing(self) -> float:
        """About how many announcements should have come since the last one: by the time of open tasks, and by the transitions found."""
        expected = self.silent_s * self.announced / self.exposure if self.exposure > 0 else 0.0
        return min(MISSING_MAX, expected + self.missing_found)

    @property
    def current_share(self) -> float:
        """p, times the probability that announcements have not stopped, given the silence (two states, Bayes)."""
        return self.share / (1 + STOPS * math.expm1(self.missing))

    @property
    def trust(self) -> Trust:
        """What the next poll may rely on."""
        share = self.current_share
        return Trust.of(share, self.delay_s) if share >= LEAST_SHARE else NO_TRUST

    def learn_announced(self, delay_s: float) -> None:
        """Learn that a transition was announced, this long after it."""
        self._forget()
        self._add(1.0, delay_s)

    def learn_unannounced(self, lag_s: float) -> float:
        """Learn that a poll found an unannounced transition, this long after it.

        Returns the weight with which the transition counts as announced nevertheless.

        The announcement may still be on its way. With w the probability that it would be here, the chance that it comes is
        p (1 - w) / (1 - p w): one step of expectation maximization.
        """
        arrived = -math.expm1(-lag_s / self.delay_s) if self.delay_s > 0 else 1.0
        share = self.share
        coming = share * (1 - arrived) / (1 - share * arrived)
        self._forget()
        self.announced += coming
        self.unannounced += 1 - coming
        self.missing_found -= math.log1p(-share * arrived)
        return coming

    def correct(self, coming: float, delay_s: float) -> None:
        """Learn that the announcement of a transition came later. `coming` is what `learn_unannounced` returned for it."""
        self.unannounced = max(0.0, self.unannounced - (1 - coming))
        self._add(1 - coming, delay_s)

    def pass_time(self, task_seconds: float) -> None:
        """Note that open tasks have spent this time in the status. It is no silence if an announcement came in it."""
        if self.interrupted:
            self.exposure += task_seconds
        else:
            self.silent_s += task_seconds
        self.interrupted = False

    def _add(self, weight: float, delay_s: float) -> None:
        """Count an announcement: it ends the silence."""
        mean = self.exposure / self.announced if self.announced > 0 else math.inf
        self.exposure += min(self.silent_s, BURST * mean) if self.exposure > 0 else self.silent_s
        self.silent_s, self.missing_found, self.interrupted = 0.0, 0.0, True
        self.announced += weight
        if self.announced > 0:
            self.delay_s += (delay_s - self.delay_s) / max(1.0, self.announced)

    def _forget(self) -> None:
        keep = 1 - 1 / MEMORY
        self.announced *= keep
        self.unannounced *= keep
        self.exposure *= keep


class Announcements:
    """What is known about the announcements of each kind and status. A status without announcements has no entry."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], StatusAnnouncements] = {}

    def __iter__(self) -> Iterator[tuple[tuple[str, str], StatusAnnouncements]]:
        return iter(self._known.items())

    def get(self, kind: str, status: str | None) -> StatusAnnouncements | None:
        """What is known about this status; None: no transition out of it was announced yet."""
        return self._known.get((kind, status or ""))

    def trust(self, kind: str, status: str | None) -> Trust:
        """What the next poll of a task in this status may rely on."""
        known = self._known.get((kind, status or ""))
        return NO_TRUST if known is None else known.trust

    def learn_announced(self, kind: str, status: str, delay_s: float) -> None:
        """Learn that a transition out of this status was announced, this long after it."""
        self._known.setdefault((kind, status), StatusAnnouncements()).learn_announced(min(LATE_S, max(0.0, delay_s)))

    def learn_unannounced(self, kind: str, status: str, lag_s: float) -> float | None:
        """Learn that a poll found an unannounced transition. Returns what `correct` needs if the announcement comes later.

        None: nothing was announced yet in this status, so there is nothing to correct.
        """
        known = self._known.get((kind, status))
        return None if known is None else known.learn_unannounced(max(0.0, lag_s))

    def correct(self, kind: str, status: str, coming: float, delay_s: float) -> None:
        """Learn that the announcement of a transition came after the poll that found it. `coming` is what `learn_unannounced` returned."""
        known = self._known.get((kind, status))
        if known is not None:
            known.correct(coming, min(LATE_S, max(0.0, delay_s)))

    def pass_time(self, counts: Mapping[tuple[str, str | None], int], seconds: float) -> None:
        """Note that this many open tasks have been in each status for this time, in which announcements of them could come."""
        for status, known in self._known.items():
            known.pass_time(counts.get(status, 0) * seconds)

    def dump(self) -> dict[str, list[float]]:
        """All of it as JSON data, by `KIND STATUS`: announced, unannounced, exposure, delay, and missing."""
        return {
            f"{kind} {status}": [round(x, 4) for x in (each.announced, each.unannounced, each.exposure, each.delay_s, each.missing)]
            for (kind, status), each in self._known.items()
        }

    def restore(self, data: Any) -> None:
        """Continue from the data of an earlier `dump`. An entry that cannot be read is ignored."""
        for name, numbers in data.items() if isinstance(data, dict) else ():
            kind, _, status = str(name).partition(" ")
            if status and (known := _read(numbers)) is not None:
                self._known[kind, status] = known


def _read(numbers: Any) -> StatusAnnouncements | None:
    """One entry of a dump; None if it is not valid."""
    try:
        announced, unannounced, exposure, delay_s, missing = (float(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        return None
    sane = all(math.isfinite(x) and x >= 0 for x in (announced, unannounced, exposure, delay_s, missing))
    if not sane or announced + unannounced > 2 * MEMORY or delay_s > LATE_S:
        return None
    return StatusAnnouncements(announced, unannounced, exposure, delay_s, missing_found=missing)
