"""The store in memory: the whole contract of `watcher/ports.py` without a disk. No call waits for anything."""

# ruff: noqa: D102 - watcher/ports.py says what each method promises

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import Literal

from watcher.adapters.stores.memory.dead_letters import DeadLetters
from watcher.adapters.stores.memory.shard import MemoryShard, total
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.errors import Fenced, StoreRefused
from watcher.model import Backlog, Change, DeadLetter, Event, Lease, Leftover, Pruned, Watch, shard_of
from watcher.ports import Requests
from watcher.query import DeadLetterQuery, EventQuery, Page, Selection, TaskQuery, decode_cursor, page
from watcher.section import Section

LOAD_BATCH = 1000
"""Watches in one piece of `load`."""


class MemoryStoreSettings(Section):
    """Writes nothing to disk. A message stays in its source until the last event of its tasks is delivered."""

    type: Literal["memory"] = "memory"


class MemoryStore:
    """A `Store`. Ended watches and their events stay until they are pruned. More than one shard is for tests."""

    durable = False
    renew_s: float | None = None

    def __init__(self, settings: MemoryStoreSettings, shards: int = 1) -> None:
        self.shards = shards
        self._shards = [MemoryShard(number) for number in range(shards)]
        self._open = False
        self._watches: dict[str, Watch] = {}
        """By key, in order of admission."""
        self._numbers: dict[str, int] = {}
        """By key, the number of the admission, which orders the pages of `tasks`."""
        self._admitted = 0
        self._task_events: dict[str, list[Event]] = {}
        """By key, in order."""
        self._dead_letters = DeadLetters()
        self._forgotten: list[str] = []
        self._state: dict[str, str] = {}

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        dropped = to_drop(leftovers(sinks, self._backlog(), self._dead_letters.count()), drop)
        for sink in dropped:
            self._dead_letters.drop(sink)
        for shard in self._shards:
            shard.release()
            shard.set_sinks(sinks)
        self._forgotten.clear()
        self._open = True
        return dropped

    async def attach(self) -> None:
        if not self._open:
            raise StoreRefused("a memory store can be read only inside its own process: set store.type to sqlite to use this command")

    async def close(self) -> None:
        self._open = False

    async def check(self) -> str:
        return f"memory, {len(self._watches)} watches"

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self) -> Sequence[Lease]:
        return [shard.claim() for shard in self._shards]

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if self._shards[lease.shard].is_valid(lease):
                self._shards[lease.shard].release()

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        watches = [watch for key, watch in self._watches.items() if watch.open and self._shard_of(key) == lease.shard]
        for start in range(0, len(watches), LOAD_BATCH):
            yield watches[start : start + LOAD_BATCH]

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        return [self._admit(watch) for watch in watches]

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        self._check_leases({self._shard_of(change.watch.key) for change in changes}, leases)
        return [change.watch.key for change in changes if not self._commit(change)]

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        self._add_dead_letters(dead_letters)

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        ended = [key for key, watch in self._watches.items() if watch.ended_at is not None and watch.ended_at < before]
        old = [key for key in ended if not self._undelivered(key)]
        for key in old:
            self._erase(key)
        inputs = self._dead_letters.prune("input", before)
        return Pruned(len(old), inputs, 0 if events_before is None else self._dead_letters.prune("event", events_before))

    async def save_state(self, name: str, text: str) -> None:
        self._state[name] = text

    async def load_state(self, name: str) -> str | None:
        return self._state.get(name)

    # --- outbox ----------------------------------------------------------------------------------

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        return list(islice(self._shards[shard].unsettled(sink, after), limit))

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        places = [(item.shard, item.position) for items in (delivered, dead_letters) for item in items]
        self._check_leases({shard for shard, _ in places}, leases)
        for shard, position in places:
            self._shards[shard].settle(sink, position)
        self._add_dead_letters(dead_letters)

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        return self._shards[shard].backlog()

    # --- queries ---------------------------------------------------------------------------------

    async def task(self, key: str) -> Watch | None:
        return self._watches.get(key)

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        before = (self._admitted + 1,) if query.after is None else decode_cursor(query.after, 1)
        newest_first = (((self._numbers[key],), watch) for key, watch in reversed(self._watches.items()))
        return page(((place, watch) for place, watch in newest_first if place < before and _matches(watch, query)), query.limit)

    async def count_open(self, kinds: Collection[str] | None = None) -> int:
        return sum(watch.open and (kinds is None or watch.ref.kind in kinds) for watch in self._watches.values())

    async def task_events(self, key: str) -> Sequence[Event]:
        return list(self._task_events.get(key, ()))

    async def events(self, query: EventQuery) -> Sequence[Event]:
        by_shard = [shard.events(query.after.get(number, 0)) for number, shard in enumerate(self._shards)]
        # merged by time, so that the events of one busy shard do not keep those of the others from being read
        events = merge(*by_shard, key=lambda event: event.at)
        return list(islice((event for event in events if _event_matches(event, query)), query.limit))

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return self._undelivered(key)

    async def backlog(self) -> Mapping[str, Backlog]:
        return self._backlog()

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return self._dead_letters.find(query)

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return self._dead_letters.count()

    # --- operations ------------------------------------------------------------------------------

    async def retry(self, ids: Sequence[str]) -> int:
        return self._dead_letters.mark(ids)

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return self._dead_letters.purge(ids)

    async def forget(self, selection: Selection) -> int:
        candidates = list(self._watches) if selection.key is None else self._watches.keys() & {selection.key}
        refs = ((key, self._watches[key].ref) for key in candidates)
        selected = [key for key, ref in refs if selection.matches(key, ref.kind, ref.params)]
        for key in selected:
            self._erase(key)
        self._forgotten += selected
        self._dead_letters.forget(selection)
        return len(selected)

    async def requests(self, after: str | None = None) -> Requests:
        forgotten, self._forgotten = self._forgotten, []
        retries = self._dead_letters.to_retry(after)
        return Requests(forgotten, retries.items, retries.next)

    # --- how it is kept --------------------------------------------------------------------------

    def _backlog(self) -> dict[str, Backlog]:
        by_shard = [shard.backlog() for shard in self._shards]
        return {sink: total([backlog[sink] for backlog in by_shard]) for sink in by_shard[0]}

    def _shard_of(self, key: str) -> int:
        return shard_of(key, self.shards)

    def _check_leases(self, shards: Iterable[int], leases: Mapping[int, Lease]) -> None:
        if lost := [shard for shard in shards if not self._shards[shard].is_valid(leases.get(shard))]:
            raise Fenced(lost)

    def _admit(self, watch: Watch) -> Watch:
        existing = self._watches.get(watch.key)
        if existing is not None:
            return existing
        self._admitted += 1
        self._numbers[watch.key] = self._admitted
        return self._watches.setdefault(watch.key, _stored(watch))

    def _commit(self, change: Change) -> bool:
        watch = change.watch
        existing = self._watches.get(watch.key)
        if existing is None or existing.id != watch.id:
            return False
        if existing.sequence <= watch.sequence:
            self._watches[watch.key] = _stored(watch)
        for event in change.events:
            self._add_event(event)
        return True

    def _add_event(self, event: Event) -> None:
        earlier = self._task_events.setdefault(event.key, [])
        if all(event.id != each.id for each in earlier):
            earlier.append(self._shards[self._shard_of(event.key)].add(event))

    def _add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        for dead_letter in dead_letters:
            if not self._is_erased(dead_letter):  # else it would bring back the result of an erased task
                watch = None if dead_letter.key is None else self._watches.get(dead_letter.key)
                self._dead_letters.add(dead_letter, None if watch is None else watch.ref)

    def _is_erased(self, dead_letter: DeadLetter) -> bool:
        of_event = dead_letter.what == "event" and dead_letter.position > 0
        return of_event and dead_letter.position not in self._shards[dead_letter.shard] and dead_letter.id not in self._dead_letters

    def _undelivered(self, key: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        shard = self._shards[self._shard_of(key)]
        for event in self._task_events.get(key, ()):
            for sink in shard.sinks_without(event.position):
                counts[sink] = counts.get(sink, 0) + 1
        return counts

    def _erase(self, key: str) -> None:
        del self._watches[key], self._numbers[key]
        for event in self._task_events.pop(key, ()):
            self._shards[event.shard].erase(event.position)


def _stored(watch: Watch) -> Watch:
    """The fields that a store keeps; the others are in the memory of the process that polls the task."""
    return watch._replace(seen_at=None, failures=0, failing_since=None)


def _matches(watch: Watch, query: TaskQuery) -> bool:
    return query.open in (None, watch.open) and query.kind in (None, watch.ref.kind) and query.status in (None, watch.status)


def _event_matches(event: Event, query: EventQuery) -> bool:
    return query.key in (None, event.key) and query.kind in (None, event.kind) and query.terminal in (None, event.terminal)
