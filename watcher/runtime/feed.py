"""Announces, inside the process, what was committed: admitted watches, changed tasks, and events.

Subscribers are called in the order in which they subscribed, right after the commit, and must not wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from watcher.model import Event, Observation, Watch

NOTHING_OBSERVED: Mapping[str, Observation] = MappingProxyType({})

OnAdmitted = Callable[[Sequence[Watch], Mapping[str, Observation], str], None]


class Feed:
    """The one place where commits are announced."""

    def __init__(self) -> None:
        self._on_admitted: list[OnAdmitted] = []
        self._on_notified: list[Callable[[str], bool]] = []
        self._on_events: list[Callable[[int, Sequence[Event]], None]] = []

    def on_admitted(self, subscriber: OnAdmitted) -> None:
        """Call `subscriber` with new watches, with what their messages say about the state of their tasks, by key, and with the name
        of the source."""
        self._on_admitted.append(subscriber)

    def on_notified(self, subscriber: Callable[[str], bool]) -> None:
        """Call `subscriber` with the key of a task about which AWS sent a notification. It returns whether it polls that task."""
        self._on_notified.append(subscriber)

    def on_events(self, subscriber: Callable[[int, Sequence[Event]], None]) -> None:
        """Call `subscriber` with a shard and the events that were committed to it, in their order."""
        self._on_events.append(subscriber)

    def admitted(self, watches: Sequence[Watch], observed: Mapping[str, Observation] = NOTHING_OBSERVED, source: str = "") -> None:
        """Announce watches that are new in the store, and of which nothing can have changed since.

        `observed` is not stored: after a crash, the task is polled as if its message had named the id alone.
        """
        for subscriber in self._on_admitted:
            subscriber(watches, observed, source)

    def notified(self, key: str) -> bool:
        """Announce that AWS sent a notification about this task, or that its message has a status that only a poll can confirm.

        Returns whether the task is polled.
        """
        polled = [subscriber(key) for subscriber in self._on_notified]
        return any(polled)

    def events(self, shard: int, events: Sequence[Event]) -> None:
        """Announce events that are new in the outbox of a shard."""
        for subscriber in self._on_events:
            subscriber(shard, events)
