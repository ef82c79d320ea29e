"""Which notification announced which transition: pairs the arrivals of notifications with the transitions that polls find.

A notification says only that something changed. Which transition it announced, and how late it came, follows from the
service's timestamps in the reply of the poll, so a notification about something else, a repeated one, and a stale read
teach nothing. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from watcher.core.polling.announcements import LATE_S, Announcements
from watcher.core.polling.transitions import STALE_S
from watcher.kinds.kind import Kind
from watcher.model import Observation, Watch

SKEW_S = 2.0
"""How long before the time of its transition a notification may arrive, in seconds: the clocks of service and watcher differ."""
REPEATED_S = 5.0
"""A notification that arrives within this time after the status began is a repeated announcement of that. In seconds."""
KEPT_ARRIVALS = 4
"""Notifications that are kept for a task: the newest ones."""
KEPT_TASKS = 10_000
"""Tasks for which anything is kept: the newest ones."""


class Exit(NamedTuple):
    """A transition out of a status."""

    status: str
    at: float
    """When, by the service's timestamps."""


class _Found(NamedTuple):
    """An unannounced transition that a poll found."""

    kind: str
    exit: Exit
    coming: float
    """What `Announcements.learn_unannounced` returned."""


class NotifiedTasks:
    """The notifications that no transition explains yet, and the transitions that no notification announced yet."""

    def __init__(self, announcements: Announcements) -> None:
        self._announcements = announcements
        self._arrivals: OrderedDict[str, tuple[float, ...]] = OrderedDict()
        self._found: OrderedDict[str, tuple[_Found, ...]] = OrderedDict()

    def note(self, key: str, at: float, *, polled: bool) -> None:
        """Note that a notification about this task arrived at this time. `polled`: the task is still polled."""
        if polled:  # the poll shows what the notification announced
            self._arrivals[key] = (*self._arrivals.get(key, ()), at)[-KEPT_ARRIVALS:]
            _limit(self._arrivals)
        else:
            self._correct(key, at)

    def learn(self, kind: Kind, before: Watch, seen: Observation) -> None:
        """Learn from the transitions that a poll found which of them were announced.

        An unannounced transition counts only if this process watched the task before it.
        """
        arrivals, found = self._arrivals.pop(before.key, ()), []
        exits = list(_exits(kind, before, seen))
        announced = _announced(exits, arrivals)
        for number, exit_ in enumerate(exits):
            if number in announced:
                self._announcements.learn_announced(kind.name, exit_.status, announced[number] - exit_.at)
            elif before.seen_at is not None and exit_.at >= before.seen_at:
                coming = self._announcements.learn_unannounced(kind.name, exit_.status, seen.observed_at - exit_.at)
                if coming is not None:
                    found.append(_Found(kind.name, exit_, coming))
        self._found.pop(before.key, None)
        if found:
            self._found[before.key] = tuple(found)
            _limit(self._found)

    def unexplained(self, watch: Watch) -> bool:
        """Whether a notification has come for which the last poll of this watch showed no transition.

        Then the task does not wait for another one: the read was stale, or the notification was about something else.
        """
        arrivals = self._arrivals.pop(watch.key, None)
        if arrivals is None:
            return False
        begun, now = watch.status_since or 0.0, watch.seen_at or 0.0
        for at in arrivals:
            if at <= begun + REPEATED_S:
                self._correct(watch.key, at)
        kept = tuple(at for at in arrivals if at > begun + REPEATED_S and now - at < STALE_S)
        if kept:
            self._arrivals[watch.key] = kept
        return bool(kept)

    def _correct(self, key: str, at: float) -> None:
        """Correct what was learned from a transition that a poll had found before its announcement arrived at this time."""
        found = self._found.get(key, ())
        late = next((each for each in reversed(found) if _may_announce(at, each.exit)), None)
        if late is not None:
            self._announcements.correct(late.kind, late.exit.status, late.coming, at - late.exit.at)
            self._found[key] = tuple(each for each in found if each is not late)


def _exits(kind: Kind, before: Watch, seen: Observation) -> Iterator[Exit]:
    """The transitions between the last status of the watch and the observed one, as far as the service provides their times."""
    if before.status is None:
        return  # the status before the first observation is not known
    left = [before.status, *kind.skipped(before.status, seen.status)]
    running, started = kind.running_status, seen.started_at
    if running is not None and started is not None and before.started_at is None and running not in (*left, seen.status):
        left.append(running)  # it ran before it failed
    for status, following in pairwise((*left, seen.status)):
        at = started if following == running else seen.updated_at if following == seen.status else None
        if at is not None:
            yield Exit(status, at)


def _announced(exits: list[Exit], arrivals: tuple[float, ...]) -> dict[int, float]:
    """For each transition that was announced, by its number, the first arrival after it and not after the next one."""
    announced: dict[int, float] = {}
    for at in arrivals:
        fitting = [n for n in reversed(range(len(exits))) if _may_announce(at, exits[n])]
        number = next((n for n in fitting if exits[n].at <= at), next(iter(fitting), None))  # clocks differ only if nothing else fits
        if number is not None:
            announced.setdefault(number, at)
    return announced


def _may_announce(at: float, transition: Exit) -> bool:
    return -SKEW_S <= at - transition.at <= LATE_S


def _limit(kept: OrderedDict[str, tuple[float, ...]] | OrderedDict[str, tuple[_Found, ...]]) -> None:
    if len(kept) > KEPT_TASKS:
        kept.popitem(last=False)
