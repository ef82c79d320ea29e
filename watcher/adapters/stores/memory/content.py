"""What a store in memory keeps: watches, events, dead letters, and texts. No call waits for anything."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import merge
from itertools import islice

from watcher.adapters.stores.memory.dead_letters import DeadLetters
from watcher.adapters.stores.memory.shard import MemoryShard, total
from watcher.adapters.stores.memory.task_tokens import MemoryTokens
from watcher.errors import Fenced
from watcher.model import DEFAULT_TARGET, Backlog, Change, DeadLetter, Event, Lease, Portion, Pruned, TaskRef, TaskTokens, Watch, shard_of
from watcher.ports import IDENTITY
from watcher.query import AGE_BOUNDS_S, EventQuery, OpenCount, Page, Selection, TaskQuery, age_class, decode_cursor, page

LOAD_BATCH = 1000
"""Watches in one piece of `load`."""


class MemoryContent:
    """The content of a store with this number of shards. Ended watches and their events stay until they are pruned."""

    def __init__(self, shards: int = 1) -> None:
        self.shards = [MemoryShard(number) for number in range(shards)]
        self.watches: dict[str, Watch] = {}
        """By key, in order of admission."""
        self.admitted = 0
        """The number of the last admission."""
        self.dead_letters = DeadLetters()
        self.tokens = MemoryTokens()
        self.forgotten: list[tuple[int, str]] = []
        """The shards and keys of erasures that their owners have not read yet."""
        self.state: dict[str, dict[str, str]] = {IDENTITY: {"": secrets.token_hex(16)}}
        """By name, the common text (under an empty name) and those of replicas."""
        self._cancelled: dict[str, str] = {}
        """By key, the ids of watches that were cancelled and may have ended since."""
        self._numbers: dict[str, int] = {}
        """By key, the number of the admission, which orders the pages of `tasks`."""
        self._task_events: dict[str, list[Event]] = {}
        """By key, in order."""

    def shard_of(self, key: str) -> int:
        """The shard of a task."""
        return shard_of(key, len(self.shards))

    def load(self, shard: int, after: int = 0) -> list[Watch]:
        """The open watches of a shard that were admitted after that number of admissions."""
        return [watch for key, watch in self.watches.items() if watch.open and self._numbers[key] > after and self.shard_of(key) == shard]

    def admit(self, watch: Watch) -> Watch:
        """Add a watch. Returns the one that now exists under its key."""
        existing = self.watches.get(watch.key)
        if existing is not None:
            return existing
        self.admitted += 1
        self._numbers[watch.key] = self.admitted
        return self.watches.setdefault(watch.key, watch.stored)

    def add_tokens(self, tokens: TaskTokens) -> None:
        """Keep task tokens with their watches."""
        for key, given in tokens.items():
            self.tokens.add(key, given, late=not self.watches[key].open)

    def late_tokens(self, shards: Collection[int], limit: int) -> list[str]:
        """As `Outbox.late_tokens`."""
        return self.tokens.late(lambda key: self.shard_of(key) in shards, limit)

    def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        """As `Outbox.open_tokens`."""
        return self.tokens.waiting(lambda key: self.watches[key].open and self.shard_of(key) in shards, after, limit)

    def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> list[str]:
        """As `Shards.commit`."""
        self._check_leases({self.shard_of(change.watch.key) for change in changes}, leases)
        return [change.watch.key for change in changes if not self._commit(change)]

    def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        """As `Outbox.settle`."""
        places = [(item.shard, item.position) for items in (delivered, dead_letters) for item in items]
        self._check_leases({shard for shard, _ in places}, leases)
        for shard, position in places:
            self.shards[shard].settle(sink, position)
        self.add_dead_letters(dead_letters)

    def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        """As `Shards.add_dead_letters`, except that an event of an erased task is left out: it would bring back its result."""
        for dead_letter in dead_letters:
            if not self._is_erased(dead_letter):
                watch = None if dead_letter.key is None else self.watches.get(dead_letter.key)
                self.dead_letters.add(dead_letter, None if watch is None else watch.ref)

    def prune(self, before: float, events_before: float | None) -> Pruned:
        """As `Shards.prune`."""
        ended = [key for key, watch in self.watches.items() if watch.ended_at is not None and watch.ended_at < before]
        old = [key for key in ended if not self.undelivered(key)]
        for key in old:
            self.erase(key)
        inputs = self.dead_letters.prune("input", before)
        return Pruned(len(old), inputs, 0 if events_before is None else self.dead_letters.prune("event", events_before))

    def forget(self, selection: Selection) -> int:
        """As `Operations.forget`."""
        candidates = list(self.watches) if selection.key is None else self.watches.keys() & {selection.key}
        refs = ((key, self.watches[key].ref) for key in candidates)
        selected = [key for key, ref in refs if selection.matches(key, ref.kind, ref.params)]
        for key in selected:
            self.erase(key)
        self.forgotten += [(self.shard_of(key), key) for key in selected]
        self.dead_letters.forget(selection)
        return len(selected)

    def take_forgotten(self, shards: Collection[int]) -> list[str]:
        """The keys of these shards that were erased since the last call."""
        taken = [key for shard, key in self.forgotten if shard in shards]
        self.forgotten = [(shard, key) for shard, key in self.forgotten if shard not in shards]
        return taken

    def cancel(self, keys: Sequence[str]) -> int:
        """As `Operations.cancel`."""
        watches = [watch for key in set(keys) if (watch := self.watches.get(key)) is not None and watch.open]
        self._cancelled |= {watch.key: watch.id for watch in watches}
        return len(watches)

    def cancelled(self, shards: Collection[int]) -> dict[str, str]:
        """The keys and ids of all cancelled open watches of these shards. Removes those that are no longer open."""
        self._cancelled = {key: id_ for key, id_ in self._cancelled.items() if self._is_open(key, id_)}
        mine = sorted((key for key in self._cancelled if self.shard_of(key) in shards), key=self._numbers.__getitem__)
        return {key: self._cancelled[key] for key in mine}

    def count_by_state(self, now: float) -> list[OpenCount]:
        """As `Queries.count_by_state`."""
        counts = Counter((watch.ref.kind, watch.status, age_class(now - _since(watch))) for watch in self.watches.values() if watch.open)
        return [OpenCount(kind, status, AGE_BOUNDS_S[number], count) for (kind, status, number), count in counts.items()]

    def tasks(self, query: TaskQuery) -> Page[Watch]:
        """As `Queries.tasks`."""
        last = None if query.after is None else decode_cursor(query.after, 1)
        watches = self.watches.items() if query.oldest_first else reversed(self.watches.items())
        placed = (((self._numbers[key],), watch) for key, watch in watches)
        following = ((place, watch) for place, watch in placed if last is None or (place > last if query.oldest_first else place < last))
        return page(((place, watch) for place, watch in following if _matches(watch, query)), query.limit)

    def task_events(self, key: str) -> list[Event]:
        """All stored events of a task, in order."""
        return list(self._task_events.get(key, ()))

    def events(self, query: EventQuery) -> list[Event]:
        """As `Queries.events`, merged by time, so that the events of one busy shard do not keep those of the others from being read."""
        by_shard = [shard.events(query.after.get(shard.number, 0)) for shard in self.shards]
        events = merge(*by_shard, key=lambda event: event.at)
        return list(islice((event for event in events if _event_matches(event, query)), query.limit))

    def undelivered(self, key: str) -> dict[str, int]:
        """As `Queries.undelivered`."""
        counts: dict[str, int] = {}
        shard = self.shards[self.shard_of(key)]
        for event in self._task_events.get(key, ()):
            for sink in shard.sinks_without(event.position):
                counts[sink] = counts.get(sink, 0) + 1
        return counts

    def backlog(self) -> dict[str, Backlog]:
        """As `Queries.backlog`."""
        by_shard = [shard.backlog() for shard in self.shards]
        return {sink: total([backlog[sink] for backlog in by_shard]) for sink in by_shard[0]}

    def reset(self, sinks: Sequence[str]) -> None:
        """Forget texts, erasures, and sinks, before a copy of another store for these sinks comes in."""
        self.state.clear()
        self.state[IDENTITY] = {"": secrets.token_hex(16)}
        self.forgotten.clear()
        for shard in self.shards:
            shard.set_sinks([])
            shard.set_sinks(sinks)

    def restore(self, portion: Portion) -> None:
        """As `Copies.restore`. The task of a dead letter whose watch is gone is named by its key."""
        for admitted in portion.watches:
            self.admit(admitted)
        self.add_tokens(portion.task_tokens)
        for stored in portion.events:
            shard = self.shards[self.shard_of(stored.event.key)]
            placed = shard.add(stored.event)
            self._task_events.setdefault(placed.key, []).append(placed)
            for sink in [sink for sink in shard.backlog() if sink not in stored.unsettled]:
                shard.settle(sink, placed.position)
        for letter in portion.dead_letters:
            watch = None if letter.key is None else self.watches.get(letter.key)
            named = None if letter.key is None else TaskRef.of(letter.key, DEFAULT_TARGET)
            self.dead_letters.restore(letter, named if watch is None else watch.ref)
        for name, text in portion.states.items():
            self.state[name] = {"": text}
        self.cancel(portion.cancelled)

    def erase(self, key: str) -> None:
        """Remove a watch with its events."""
        del self.watches[key], self._numbers[key]
        self.tokens.erase(key)
        for event in self._task_events.pop(key, ()):
            self.shards[event.shard].erase(event.position)

    def _is_open(self, key: str, id_: str) -> bool:
        watch = self.watches.get(key)
        return watch is not None and watch.id == id_ and watch.open

    def _check_leases(self, shards: Iterable[int], leases: Mapping[int, Lease]) -> None:
        if lost := [shard for shard in shards if not self.shards[shard].is_valid(leases.get(shard))]:
            raise Fenced(lost)

    def _commit(self, change: Change) -> bool:
        watch = change.watch
        existing = self.watches.get(watch.key)
        if existing is None or existing.id != watch.id:
            return False
        if existing.sequence <= watch.sequence:
            self.watches[watch.key] = watch.stored
        for event in change.events:
            self.add_event(event)
        return True

    def add_event(self, event: Event) -> None:
        """Store an event, unless there is one with its id."""
        earlier = self._task_events.setdefault(event.key, [])
        if all(event.id != each.id for each in earlier):
            earlier.append(self.shards[self.shard_of(event.key)].add(event))

    def _is_erased(self, dead_letter: DeadLetter) -> bool:
        of_event = dead_letter.what == "event" and dead_letter.position > 0
        return of_event and dead_letter.position not in self.shards[dead_letter.shard] and dead_letter.id not in self.dead_letters


def _matches(watch: Watch, query: TaskQuery) -> bool:
    same = query.open in (None, watch.open) and query.kind in (None, watch.ref.kind) and query.status in (None, watch.status)
    return same and (query.search is None or query.search in watch.key)


def _since(watch: Watch) -> float:
    return watch.admitted_at if watch.status_since is None else watch.status_since


def _event_matches(event: Event, query: EventQuery) -> bool:
    return query.key in (None, event.key) and query.kind in (None, event.kind) and query.terminal in (None, event.terminal)
