"""One shard in memory: its lease, its events, and what each sink has not settled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from watcher.model import Backlog, Event, Lease


class MemoryShard:
    """Gives positions to events, starting at 1 in each shard, so that positions of two shards cannot be compared."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.epoch = 0
        """Of the current lease, or of the last one."""
        self.owner: str | None = None
        """The name of the replica that owns the shard; None: it is free."""
        self._newest = 0
        """The last position given, also when its event was erased since."""
        self._events: dict[int, Event] = {}
        """By position, in order."""
        self._unsettled: dict[str, dict[int, Event]] = {}
        """By sink and position, in order of position."""

    def __contains__(self, position: int) -> bool:
        return position in self._events

    @property
    def last(self) -> int | None:
        """The position of the newest event, None without events."""
        return next(reversed(self._events), None)

    def claim(self, owner: str = "") -> Lease:
        """The current lease, or a new one with the next epoch when the shard is free."""
        if self.owner is None:
            self.owner = owner
            self.epoch += 1
        return Lease(self.number, self.epoch)

    def release(self) -> None:
        """Make the lease invalid."""
        self.owner = None

    def is_valid(self, lease: Lease | None) -> bool:
        """Whether this is the current lease."""
        return self.owner is not None and lease is not None and (lease.shard, lease.epoch) == (self.number, self.epoch)

    def set_sinks(self, names: Collection[str]) -> None:
        """Deliver to these sinks: a new one starts after the newest event, a removed one is forgotten."""
        self._unsettled = {name: self._unsettled.get(name, {}) for name in names}

    def add(self, event: Event) -> Event:
        """Store an event under the next position, unsettled at each sink."""
        self._newest += 1
        placed = event.placed(self._newest, self.number)
        self._events[self._newest] = placed
        for unsettled in self._unsettled.values():
            unsettled[self._newest] = placed
        return placed

    def events(self, after: int) -> Iterator[Event]:
        """Events after this position, in order."""
        return self._from(self._events, after)

    def outbox(self, sink: str, after: int, limit: int) -> list[Event]:
        """At most `limit` events after this position that the sink has not settled, in order."""
        return list(islice(self._from(self._unsettled.get(sink, {}), after), limit))

    def settle(self, sink: str, position: int) -> None:
        """Record that the sink is done with this event. An unknown sink or position is ignored."""
        self._unsettled.get(sink, {}).pop(position, None)

    def backlog(self) -> dict[str, Backlog]:
        """For each sink, how many events it has not settled, and when the oldest of them was committed."""
        return {sink: Backlog(len(events), _oldest(events)) for sink, events in self._unsettled.items()}

    def sinks_without(self, position: int) -> list[str]:
        """The sinks that have not settled this event."""
        return [sink for sink, events in self._unsettled.items() if position in events]

    def erase(self, position: int) -> None:
        """Remove an event, also from what the sinks have not settled."""
        del self._events[position]
        for unsettled in self._unsettled.values():
            unsettled.pop(position, None)

    def _from(self, events: Mapping[int, Event], after: int) -> Iterator[Event]:
        first = next(iter(events), self._newest + 1)
        return (events[position] for position in range(max(after + 1, first), self._newest + 1) if position in events)


def _oldest(events: Mapping[int, Event]) -> float | None:
    return next((event.at for event in events.values()), None)


def total(backlogs: Sequence[Backlog]) -> Backlog:
    """The backlog of one sink over several shards."""
    oldest = [backlog.oldest_at for backlog in backlogs if backlog.oldest_at is not None]
    return Backlog(sum(backlog.events for backlog in backlogs), min(oldest, default=None))
