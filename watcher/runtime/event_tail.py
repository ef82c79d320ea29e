"""Reads the new events of all shards and replicas while there are readers, with one loop for all readers of this process.

It reads the store, not the feed, because another replica can own a shard. Events of a shard are committed in the order of their
positions, whichever replica owns it. The feed only triggers a read. Neither another reader nor the watcher waits for a reader.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import anyio
import anyio.lowlevel

from watcher.model import Event
from watcher.ports import Queries
from watcher.query import EventQuery
from watcher.runtime.feed import Feed
from watcher.runtime.wakeup import Wakeup

POLL_S = 0.5
"""Seconds between two reads on a store that other replicas write to: their commits are announced in their own processes."""
SINGLE_POLL_S = 5.0
"""The same on a store with a single owner, where the feed announces every commit."""
GAP_S, GAP_FOR_EACH_READER_S = 0.05, 0.0005
"""The minimum time between two reads, and the time that each reader adds, in seconds. A write to 1,000 readers takes 0.1 s."""
PAGE = 1000
"""Events in one read."""
MAX_EVENTS, MAX_BYTES = 20_000, 16 * 1024 * 1024
"""The limits of the events that are kept for the readers: their number, and the size of their frames in bytes."""
WOKEN_AT_ONCE = 32
"""The number of readers that are woken before the event loop runs other work."""

Render = Callable[[Event, Mapping[int, int]], bytes]
"""Renders an event, with the positions after it, as the frame for all readers."""


@dataclass(frozen=True, slots=True)
class TailEvent:
    """One event, and the frame for every reader that has received all earlier events."""

    event: Event
    frame: bytes


class ReaderTooSlowError(Exception):
    """The next event of a reader is no longer kept."""


class EventTail:
    """The newest events. Numbers of events count from the first one that this object has read, and are never used again."""

    def __init__(self, store: Queries, feed: Feed, render: Render) -> None:
        self.closed = False
        """Whether all readers must end, because the process shuts down."""
        self.readers = 0
        self.store = store
        """Its calls are retried: while it is away, readers wait for it, and do not all come again and again."""
        self._render = render
        self._wanted = anyio.Event()
        self._wake = Wakeup()
        self._positions: dict[int, int] = {}
        self._events: deque[TailEvent] = deque()
        self._bytes = 0
        self._first = 0
        """The number of the first event that is kept."""
        self._begun = self._done = 0
        """Reads of the store that have begun, and that have ended."""
        self._following = False
        """Whether the loop has positions from which it reads."""
        self._waiting: set[anyio.Event] = set()
        """Readers that wait for an event."""
        self._joining: set[anyio.Event] = set()
        """Readers that wait for the end of a read."""
        feed.on_events(lambda shard, events: self._wake.set() if self.readers else None)

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self._first + len(self._events)

    @property
    def positions(self) -> Mapping[int, int]:
        """By shard, the position of the last event that was read."""
        return self._positions

    @contextmanager
    def reader(self) -> Iterator[None]:
        """Count as a reader. The store is read while there are readers."""
        self.readers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self.readers -= 1

    async def join(self) -> int:
        """Wait until the loop reads the store. Returns the number of the next event. Events from it on are kept for this reader."""
        while not self._following and not self.closed:
            await _woken(self._joining)
        return self.end

    async def refresh(self) -> None:
        """Wait until all events that are visible in the store now have been read."""
        target = self._begun + 1
        while self._done < target and not self.closed:
            self._wake.set()
            await _woken(self._joining)

    async def wait(self, number: int, seconds: float = math.inf) -> None:
        """Wait until there is an event with this number, at most `seconds`."""
        with anyio.move_on_after(seconds):
            while self.end <= number and not self.closed:
                await _woken(self._waiting)

    def after(self, number: int, limit: int) -> Sequence[TailEvent]:
        """The events from this number on, at most `limit`. Raises ReaderTooSlowError when the first of them is no longer kept."""
        start = number - self._first
        if start < 0:
            raise ReaderTooSlowError
        if start == len(self._events):
            return ()
        return list(islice(self._events, start, start + limit))

    def keeps(self, number: int) -> bool:
        """Whether the events from this number on are still kept."""
        return number >= self._first

    async def close(self) -> None:
        """End all readers."""
        self.closed = True
        await self._announce(events=True)

    async def run(self) -> None:
        """Follow the store while there are readers, until cancelled."""
        poll_s = SINGLE_POLL_S if self.store.renew_s is None else POLL_S
        while True:
            await self._wanted.wait()
            self._positions = dict(await self.store.positions())
            self._following = True
            await self._announce(events=False)
            while self.readers:
                before = self.end
                await self._read()
                await self._announce(events=self.end > before)
                await anyio.sleep(GAP_S + GAP_FOR_EACH_READER_S * self.readers)
                await self._wake.wait(poll_s)
            self._wanted = anyio.Event()
            self._following = False
            self._drop(len(self._events))

    async def _read(self) -> None:
        self._begun += 1
        while True:
            events = await self.store.events(EventQuery(self._positions, limit=PAGE))
            for event in events:
                self._positions[event.shard] = event.position
                frame = self._render(event, self._positions)
                self._events.append(TailEvent(event, frame))
                self._bytes += len(frame)
            while len(self._events) > MAX_EVENTS or self._bytes > MAX_BYTES:
                self._drop(1)
            if len(events) < PAGE:
                break
            await self._announce(events=True)
        self._done = self._begun

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._events.popleft().frame)
        self._first += count

    async def _announce(self, *, events: bool) -> None:
        """Wake the readers a few at a time, so that polls and deliveries do not wait for all of them."""
        waiting, self._joining = list(self._joining), set()
        if events:
            waiting += self._waiting
            self._waiting = set()
        for number, woken in enumerate(waiting, 1):
            woken.set()
            if number % WOKEN_AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()


async def _woken(among: set[anyio.Event]) -> None:
    woken = anyio.Event()
    among.add(woken)
    try:
        await woken.wait()
    finally:
        among.discard(woken)  # a wait can end without an event, and in an idle watcher thousands of waits do
