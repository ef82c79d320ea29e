"""Reads the whole content of a store that no watcher uses, in portions, in an order in which another store can take it in.

It has the same order each time, and can begin in the middle, so that an interrupted copy continues.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from math import inf

from watcher.core.polling import open_circuits
from watcher.model import NO_TOKENS, DeadLetter, Event, StoredEvent, TaskTokens, Watch
from watcher.ports import RETRY_PAGE, PortableStore
from watcher.query import DeadLetterQuery, EventQuery, TaskQuery

WATCHES, EVENTS = 5000, 2000
"""The most in one portion. An event has a body of some kilobytes."""
DEAD_LETTERS = RETRY_PAGE
"""The most in one portion: a body may have 1 MiB."""
OUTBOX = 1000
"""Undelivered events in one read."""

Positions = Mapping[int, int]
"""By shard, the position of the last event that was read."""


class StoreReader:
    """The content of one store. `sinks` are those of the store."""

    def __init__(self, store: PortableStore, sinks: Sequence[str]) -> None:
        self.store = store
        self.sinks = sinks

    @classmethod
    async def of(cls, store: PortableStore) -> StoreReader:
        """A reader of this store."""
        return cls(store, list(await store.backlog()))

    async def task_tokens(self, watches: Sequence[Watch]) -> TaskTokens:
        """The task tokens of these watches that are not answered."""
        return await self.store.task_tokens([watch.key for watch in watches]) if watches else NO_TOKENS

    async def watches(self, after: str | None = None) -> AsyncIterator[tuple[Sequence[Watch], str | None]]:
        """Watches in order of admission, and the cursor after them; None after the last ones."""
        while True:
            page = await self.store.tasks(TaskQuery(after=after, limit=WATCHES, oldest_first=True))
            yield page.items, page.next
            if page.next is None:
                return
            after = page.next

    async def events(self, after: Positions | None = None) -> AsyncIterator[tuple[Sequence[StoredEvent], Positions]]:
        """Events in order of position within each shard, and the positions after them."""
        after = after or {}
        backlog = await self.store.backlog()
        unsettled = {sink: _Unsettled(self.store, sink) for sink in backlog if backlog[sink].events}
        while events := await self.store.events(EventQuery(after=after, limit=EVENTS)):
            newest = {event.shard: event.position for event in events}
            waiting = {
                shard: [(sink, await positions.between(shard, after.get(shard, 0), upto)) for sink, positions in unsettled.items()]
                for shard, upto in newest.items()
            }
            after = {**after, **newest}
            yield [_stored(event, waiting[event.shard]) for event in events], after

    async def dead_letters(self, after: str | None = None) -> AsyncIterator[tuple[Sequence[tuple[DeadLetter, str | None]], str | None]]:
        """Dead letters in order of time, each with the id of its event if the store has it, and the cursor after them."""
        while True:
            page = await self.store.dead_letters(DeadLetterQuery(after=after, limit=DEAD_LETTERS, oldest_first=True))
            yield [(letter, await self._event_id(letter)) for letter in page.items], page.next
            if page.next is None:
                return
            after = page.next

    async def states(self) -> Mapping[str, str]:
        """What was learned. What a watcher reports about itself while it runs is left out: the next one reports its own."""
        return {name: text for name, text in (await self.store.states()).items() if _is_learned(name)}

    async def cancelled(self) -> Sequence[str]:
        """The keys of cancelled watches that have not ended yet."""
        return await self.store.cancelled()

    async def place(self, letter: DeadLetter, event_id: str | None) -> tuple[int, int]:
        """The shard and the position of the event of a dead letter in this store; zeros without an event."""
        if event_id is None or letter.key is None:
            return 0, 0
        events = await self.store.task_events(letter.key)
        return next(((event.shard, event.position) for event in events if event.id == event_id), (0, 0))

    async def _event_id(self, letter: DeadLetter) -> str | None:
        if letter.key is None or letter.position <= 0:
            return None
        events = await self.store.task_events(letter.key)
        return next((event.id for event in events if (event.shard, event.position) == (letter.shard, letter.position)), None)


class _Unsettled:
    """The positions of the events that a sink has not settled, read one time in order, shard by shard."""

    def __init__(self, store: PortableStore, sink: str) -> None:
        self._store = store
        self._sink = sink
        self._read: dict[int, list[int]] = {}
        """By shard, positions that were read and not returned yet."""
        self._last: dict[int, float] = {}
        """By shard, up to which position the outbox was read; infinity at its end."""

    async def between(self, shard: int, after: int, upto: int) -> frozenset[int]:
        """Those after one position and up to another one."""
        positions = self._read.setdefault(shard, [])
        last = self._last.get(shard, after)
        while last < upto:
            events = await self._store.read_outbox(self._sink, shard, int(last), OUTBOX)
            positions += [event.position for event in events]
            last = positions[-1] if len(events) == OUTBOX else inf
        self._last[shard] = last
        end = bisect_right(positions, upto)
        found, self._read[shard] = positions[:end], positions[end:]
        return frozenset(found)


def _stored(event: Event, waiting: Iterable[tuple[str, frozenset[int]]]) -> StoredEvent:
    return StoredEvent(event, frozenset(sink for sink, positions in waiting if event.position in positions))


def _is_learned(name: str) -> bool:
    return name != open_circuits.STATE and not name.startswith("progress ")
