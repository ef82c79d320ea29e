"""How far AWS's own notifications are trusted: the share of transitions that are announced, and how late, by kind and status.

An *announcement* is the notification of one transition. Which transitions are announced, and when, is learned from the
service's timestamps, never from the time of detection. Silence is evidence, too: announcements that stop are distrusted
after a few that should have come. `silence` says what follows for the next poll. All times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.core.polling.silence import NO_TRUST, Trust

MEMORY = 128.0
"""The number of transitions that are remembered: each new one takes 1/128 of the weight of all earlier ones."""
PRIOR = 19.0
"""Transitions without an announcement that are assumed before anything is learned. They are forgotten as others are."""
ALWAYS = 1.0
"""One more, which is never forgotten: however long no announcement is missing, the next one may be."""
LEAST_SHARE = 0.5
"""Below this share announcements are not waited for: that saves nothing, because most changes need a poll anyway."""
LATE_S = 30.0
"""An announcement that comes later than this, in seconds, counts as none: no poll can wait so long for it."""
STOPS = 0.001
"""The assumed chance that announcements have stopped since the last one."""
DOUBT_MAX = 50.0
"""More missing announcements than this change nothing."""
BURST = 10.0
"""A silence counts at most as this many mean intervals in the mean, so that an outage does not look like a low rate."""


@dataclass(slots=True)
class StatusAnnouncements:
    """What is known about the announcements of transitions out of one status."""

    announced: float = 0.0
    """The weight of the transitions that were announced."""
    missed: float = PRIOR
    """The weight of those that were not."""
    exposure: float = 0.0
    """The time that open tasks spent in this status per `announced`: task-seconds, of the same weight."""
    delay_s: float = 0.0
    """d: the mean delay of an announcement after its transition."""
    silence: float = 0.0
    """Task-seconds since the last announcement."""
    misses: float = 0.0
    """What the unannounced transitions since then add to the doubt."""
    heard: bool = False
    """An announcement came since time was counted last."""

    @property
    def share(self) -> float:
        """p: the chance that a transition is announced, as long as announcements come at all."""
        return self.announced / (self.announced + self.missed + ALWAYS)

    @property
    def doubt(self) -> float:
        """About how many announcements should have come since the last one: by the time of open tasks, and by the transitions found."""
        expected = self.silence * self.announced / self.exposure if self.exposure > 0 else 0.0
        return min(DOUBT_MAX, expected + self.misses)

    @property
    def believed(self) -> float:
        """p, times the probability that announcements have not stopped, given the silence (two states, Bayes)."""
        return self.share / (1 + STOPS * math.expm1(self.doubt))

    @property
    def trust(self) -> Trust:
        """What the next poll may rely on."""
        believed = self.believed
        return Trust.of(believed, self.delay_s) if believed >= LEAST_SHARE else NO_TRUST

    def hear(self, delay_s: float) -> None:
        """Learn that a transition was announced, this long after it."""
        self._forget()
        self._add(1.0, delay_s)

    def miss(self, lag_s: float) -> float:
        """Learn that a transition was found, this long after it, that nothing had announced. Returns the weight of "it will be".

        The announcement may still be on its way. With w the probability that it would be here, the chance that it comes is
        p (1 - w) / (1 - p w): one step of expectation maximization.
        """
        arrived = -math.expm1(-lag_s / self.delay_s) if self.delay_s > 0 else 1.0
        share = self.share
        coming = share * (1 - arrived) / (1 - share * arrived)
        self._forget()
        self.announced += coming
        self.missed += 1 - coming
        self.misses -= math.log1p(-share * arrived)
        return coming

    def correct(self, coming: float, delay_s: float) -> None:
        """Learn that the announcement came after all of a transition for which `miss` returned `coming`."""
        self.missed = max(0.0, self.missed - (1 - coming))
        self._add(1 - coming, delay_s)

    def pass_time(self, task_seconds: float) -> None:
        """Note that open tasks have spent this time in the status. Of a time in which an announcement came, no part was silent."""
        if self.heard:
            self.exposure += task_seconds
        else:
            self.silence += task_seconds
        self.heard = False

    def _add(self, weight: float, delay_s: float) -> None:
        """Count an announcement: it ends the silence."""
        mean = self.exposure / self.announced if self.announced > 0 else math.inf
        self.exposure += min(self.silence, BURST * mean) if self.exposure > 0 else self.silence
        self.silence, self.misses, self.heard = 0.0, 0.0, True
        self.announced += weight
        if self.announced > 0:
            self.delay_s += (delay_s - self.delay_s) / max(1.0, self.announced)

    def _forget(self) -> None:
        keep = 1 - 1 / MEMORY
        self.announced *= keep
        self.missed *= keep
        self.exposure *= keep


class Announcements:
    """What is known about the announcements of each kind and status. A status of which none came has no entry, and no cost."""

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

    def hear(self, kind: str, status: str, delay_s: float) -> None:
        """Learn that a transition out of this status was announced, this long after it."""
        self._known.setdefault((kind, status), StatusAnnouncements()).hear(min(LATE_S, max(0.0, delay_s)))

    def miss(self, kind: str, status: str, lag_s: float) -> float | None:
        """Learn that a poll found a transition that nothing had announced. Returns what `correct` needs if its announcement comes late.

        None: nothing was announced yet in this status, so there is nothing to correct.
        """
        known = self._known.get((kind, status))
        return None if known is None else known.miss(max(0.0, lag_s))

    def correct(self, kind: str, status: str, coming: float, delay_s: float) -> None:
        """Learn that the announcement of a transition came after the poll that found it. `coming` is what `miss` returned."""
        known = self._known.get((kind, status))
        if known is not None:
            known.correct(coming, min(LATE_S, max(0.0, delay_s)))

    def pass_time(self, counts: Mapping[tuple[str, str | None], int], seconds: float) -> None:
        """Note that this many open tasks have been in each status for so long: announcements of them were to be expected."""
        for status, known in self._known.items():
            known.pass_time(counts.get(status, 0) * seconds)

    def dump(self) -> dict[str, list[float]]:
        """All of it as JSON data, by `KIND STATUS`: announced, missed, exposure, delay and doubt."""
        return {
            f"{kind} {status}": [round(x, 4) for x in (each.announced, each.missed, each.exposure, each.delay_s, each.doubt)]
            for (kind, status), each in self._known.items()
        }

    def restore(self, data: Any) -> None:
        """Continue from the data of an earlier `dump`. An entry that cannot be read is ignored."""
        for name, numbers in data.items() if isinstance(data, dict) else ():
            kind, _, status = str(name).partition(" ")
            if status and (known := _read(numbers)) is not None:
                self._known[kind, status] = known


def _read(numbers: Any) -> StatusAnnouncements | None:
    """One entry of a dump; None where it is none."""
    try:
        announced, missed, exposure, delay_s, doubt = (float(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        return None
    sane = all(math.isfinite(x) and x >= 0 for x in (announced, missed, exposure, delay_s, doubt))
    if not sane or announced + missed > 2 * MEMORY or delay_s > LATE_S:
        return None
    return StatusAnnouncements(announced, missed, exposure, delay_s, misses=doubt)
