"""The cursors of readers, and the blocks of a stream, which contain cursors."""

from __future__ import annotations

from collections.abc import Callable

from watcher.api.problems import Problem
from watcher.model import Event
from watcher.ports import Queries
from watcher.queries.event_cursor import EventCursor, ForeignCursorError, decode_event_cursor, seen_until
from watcher.queries.event_pages import Positions


class Cursors:
    """Reads and writes the cursors of one store. `wall` returns seconds since the epoch.

    Call `positions` before all other methods: it reads the identity of the store, which never changes.
    """

    def __init__(self, store: Queries, retention_s: float, wall: Callable[[], float]) -> None:
        self._store = store
        self._retention_s = retention_s
        self._wall = wall
        self._identity = ""

    async def positions(self, after: str) -> Positions:
        """Return the positions after which a reader starts. Raises Problem (400, 410) and StoreError."""
        if not self._identity:
            self._identity = await self._store.identity()
        if after == "start":
            return {}
        if after == "now":
            return await self._store.positions()
        try:
            return decode_event_cursor(after, self._identity, self._wall(), self._retention_s).positions
        except ForeignCursorError as error:
            raise Problem(410, f"{error}.") from None
        except ValueError as error:
            raise Problem(400, f"A parameter is invalid: after: {error}.") from None

    def after(self, event: Event, positions: Positions) -> str:
        """Return the cursor after an event. `positions` are those after the event."""
        return EventCursor(self._identity, seen_until(event.at, self._wall(), self._retention_s), positions).encode()

    def now(self, positions: Positions) -> str:
        """Return the cursor of a reader that has received all events up to now."""
        return EventCursor(self._identity, self._wall(), positions).encode()

    def frame(self, event: Event, positions: Positions) -> bytes:
        """Return the event as one block of a stream. The CloudEvent has no line break: it is JSON in ASCII."""
        return b"id: %b\ndata: %b\n\n" % (self.after(event, positions).encode(), event.body)

    def first(self, after: str, positions: Positions) -> bytes:
        """Return the first block for a reader that starts here. It repeats the cursor unchanged, so that its age still counts."""
        if after == "start":
            return b"\n"
        return self.mark(positions) if after == "now" else b"id: %b\n\n" % after.encode()

    def mark(self, positions: Positions) -> bytes:
        """Return a block without an event, which only gives the reader a newer cursor."""
        return b"id: %b\n\n" % self.now(positions).encode()
