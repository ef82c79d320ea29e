"""Stored events of all tasks, page by page, for readers."""

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
    """The filter of a reader. A field that is None matches all events."""

    key: str | None = None
    kind: str | None = None
    terminal: bool | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event passes the filter."""
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
    """Return the next events that pass the filter, at most `limit`.

    The positions also cover events that do not pass the filter: after the last page, they are those of the whole store.
    """
    passed = await store.positions()  # read before the events, so that an event that is committed in between is in the next page
    events = await store.events(EventQuery(after, wanted.key, wanted.kind, wanted.terminal, limit))
    positions = dict(after)
    for event in events:
        positions[event.shard] = event.position
    last = len(events) < limit
    if last:
        for shard, position in passed.items():
            positions[shard] = max(position, positions.get(shard, 0))
    return EventPage(events, positions, last)
