"""Stored events of all tasks, page by page, for readers that own no queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watcher.model import Event
from watcher.ports import Queries
from watcher.query import EventQuery

Positions = Mapping[int, int]
"""By shard, the last position that a reader has seen."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a reader wants. A filter that is None matches all."""

    key: str | None = None
    kind: str | None = None
    terminal: bool | None = None

    def matches(self, event: Event) -> bool:
        """Whether the reader wants this event."""
        return (
            self.key in (None, event.key) and self.kind in (None, event.kind) and (self.terminal is None or self.terminal == event.terminal)
        )


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order for each task, the positions after them, and whether the store has no more at the moment."""

    events: Sequence[Event]
    positions: Positions
    last: bool


async def read_event_page(store: Queries, after: Positions, wanted: EventFilter, limit: int) -> EventPage:
    """Return the next events that a reader wants, at most `limit`.

    The positions also pass the events that the reader does not want: after the last page, they are those of the whole store.
    """
    passed = await store.positions()  # before the events: what is committed in between may be in neither, and is in the next page
    events = await store.events(EventQuery(after, wanted.key, wanted.kind, wanted.terminal, limit))
    positions = dict(after)
    for event in events:
        positions[event.shard] = event.position
    last = len(events) < limit
    if last:
        for shard, position in passed.items():
            positions[shard] = max(position, positions.get(shard, 0))
    return EventPage(events, positions, last)
