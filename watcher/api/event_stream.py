"""Server-sent events: first stored events after the reader's cursor, then new events, on one connection without a gap or an overlap.

A reader catches up from the store, then takes the events that the tail keeps. Between the two, the tail reads the store once more,
so every event is in at least one of them. An event that is in both is recognized by its position.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import anyio

from watcher.api.cursors import Cursors
from watcher.ports import Queries
from watcher.queries.event_pages import EventFilter, Positions, read_event_page
from watcher.runtime.event_tail import EventTail, TailEvent

HEARTBEAT_S = 15.0
"""Seconds without an event after which the reader gets a new cursor, so that no proxy times out and the cursor does not get old."""
PAGE = 200
"""Events in one read of the store, while a reader catches up."""
CHUNK = 100
"""Events in one write to a reader."""
RETRY = b"retry: 1000\n"
"""The time that a browser waits before it connects again, in milliseconds."""


@dataclass(frozen=True, slots=True)
class EventStream:
    """The stream of one reader. `follow` ends when the reader is too slow, or when the watcher shuts down."""

    store: Queries
    tail: EventTail
    cursors: Cursors
    wanted: EventFilter

    async def follow(self, after: Positions, first: bytes = b"\n") -> AsyncIterator[bytes]:
        """Yield blocks of the stream; `first` is the first one. Raises ReaderTooSlowError, and a StoreError of the store.

        Call it inside `EventTail.reader`.
        """
        yield RETRY + first
        positions, number = dict(after), -1
        while not self.tail.closed and not (number >= 0 and self.tail.keeps(number)):
            number = await self.tail.join()
            async for stored in self._catch_up(positions):
                yield stored
            await self.tail.refresh()
        settled = self.tail.end
        while number < settled and not self.tail.closed:  # skip what this reader has already read from the store
            batch = self.tail.after(number, min(CHUNK, settled - number))
            number += len(batch)
            if frames := self._frames_of(batch, positions):
                yield frames
        if self.tail.closed:
            return  # the reader may have missed events, so its cursor must stay
        yield self.cursors.mark(positions)  # not those of the tail, which may already be ahead of this reader
        async for live in self._live(number):
            yield live

    async def _catch_up(self, positions: dict[int, int]) -> AsyncIterator[bytes]:
        """Yield stored events, and update the positions."""
        last = False
        while not last and not self.tail.closed:
            page = await read_event_page(self.store, positions, self.wanted, PAGE)
            frames = []
            for event in page.events:
                positions[event.shard] = event.position
                frames.append(self.cursors.frame(event, positions))
            positions.update(page.positions)
            last = page.last
            if frames:
                yield b"".join(frames)

    async def _live(self, number: int) -> AsyncIterator[bytes]:
        """Yield the events from this number on, as the tail has rendered them for all readers."""
        sent_at = anyio.current_time()
        while not self.tail.closed:
            batch = self.tail.after(number, CHUNK)
            number += len(batch)
            frames = b"".join(each.frame for each in batch if self.wanted.matches(each.event))
            if not frames and number == self.tail.end and anyio.current_time() >= sent_at + HEARTBEAT_S:
                frames = self.cursors.mark(self.tail.positions)
            if frames:
                sent_at = anyio.current_time()
                yield frames
            elif not batch:
                await self.tail.wait(number, sent_at + HEARTBEAT_S - anyio.current_time())

    def _frames_of(self, batch: Sequence[TailEvent], positions: dict[int, int]) -> bytes:
        frames = []
        for event in (each.event for each in batch):
            if event.position > positions.get(event.shard, 0):
                positions[event.shard] = event.position
                if self.wanted.matches(event):
                    frames.append(self.cursors.frame(event, positions))
        return b"".join(frames)
