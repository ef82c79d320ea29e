"""A store without a disk, for trials, and for containers whose queue holds the inputs until they are done with.

The same behaviour as any other store, except that nothing outlives the process. No call waits for anything.
"""

# ruff: noqa: D102 - watcher/ports.py says what each method promises

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal
from urllib.parse import quote

from watcher.errors import StoreRefused
from watcher.model import Backlog, Change, DeadLetter, Event, Watch
from watcher.section import Section

PIECE = 1000
"""Watches in one piece of `load`."""


class MemoryStoreSettings(Section):
    """Nothing is written: an input stays with its source until its last event was delivered."""

    type: Literal["memory"] = "memory"


class MemoryStore:
    """A `Store` and a `Ledger`. Ended watches and their events stay until they are pruned."""

    durable = False

    def __init__(self, settings: MemoryStoreSettings) -> None:
        self._open = False
        self._last = 0
        """The newest position ever given."""
        self._watches: dict[str, Watch] = {}
        """By key, in order of admission."""
        self._events: dict[int, Event] = {}
        """By position."""
        self._told: dict[str, list[int]] = {}
        """For each key the positions of its events, in order."""
        self._waiting: dict[str, dict[int, Event]] = {}
        """For each sink what it has not settled, in order of position."""
        self._letters: dict[str, DeadLetter] = {}
        self._forgotten: list[str] = []
        self._notes: dict[str, str] = {}

    async def open(self, sinks: Sequence[str]) -> None:
        self._waiting = {name: self._waiting.get(name, {}) for name in sinks}
        self._forgotten.clear()
        self._open = True

    async def attach(self) -> None:
        if not self._open:
            raise StoreRefused("a memory store lives inside its process: ask the running watcher")

    async def close(self) -> None:
        self._open = False

    async def check(self) -> str:
        return f"memory, {len(self._watches)} watches"

    async def load(self) -> AsyncIterator[Sequence[Watch]]:
        pending = iter([watch for watch in self._watches.values() if watch.open])
        while piece := list(islice(pending, PIECE)):
            yield piece

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        return [self._watches.setdefault(watch.key, _kept(watch)) for watch in watches]

    async def commit(self, changes: Sequence[Change]) -> Collection[str]:
        return [change.watch.key for change in changes if not self._commit(change)]

    async def outbox(self, sink: str, after: int, limit: int) -> Sequence[Event]:
        waiting = self._waiting.get(sink, {})
        return list(islice((event for position, event in waiting.items() if position > after), limit))

    async def settle(self, sink: str, delivered: Sequence[Event], buried: Sequence[DeadLetter]) -> None:
        waiting = self._waiting.get(sink, {})
        for position in [event.position for event in delivered] + [letter.position for letter in buried]:
            waiting.pop(position, None)
        self._bury(buried)

    async def backlog(self) -> dict[str, Backlog]:
        return {sink: Backlog(len(waiting), _oldest(waiting.values())) for sink, waiting in self._waiting.items()}

    async def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self._bury(letters)

    async def requests(self) -> tuple[Sequence[str], Sequence[DeadLetter]]:
        keys, self._forgotten = self._forgotten, []
        return keys, [letter for letter in self._letters.values() if letter.retry]

    async def load_state(self, name: str) -> str | None:
        return self._notes.get(name)

    async def save_state(self, name: str, note: str) -> None:
        self._notes[name] = note

    async def prune(self, before: float) -> int:
        unheard = {event.key for waiting in self._waiting.values() for event in waiting.values()}
        old = [key for key, watch in self._watches.items() if watch.ended_at is not None and watch.ended_at < before and key not in unheard]
        for key in old:
            self._erase(key)
        self._letters = {id_: letter for id_, letter in self._letters.items() if letter.at >= before}
        return len(old)

    async def find(self, key: str) -> Watch | None:
        return self._watches.get(key)

    async def tasks(self, *, open_only: bool = False, limit: int = 1000) -> Sequence[Watch]:
        return list(islice((watch for watch in reversed(self._watches.values()) if watch.open or not open_only), limit))

    async def history(self, key: str) -> Sequence[Event]:
        return [self._events[position] for position in self._told.get(key, ())]

    async def undelivered(self, key: str) -> dict[str, int]:
        owed = {sink: sum(event.key == key for event in waiting.values()) for sink, waiting in self._waiting.items()}
        return {sink: events for sink, events in owed.items() if events}

    async def letters(self) -> Sequence[DeadLetter]:
        return sorted(self._letters.values(), key=lambda letter: letter.at)[::-1]

    async def retry(self, ids: Sequence[str]) -> int:
        there = self._letters.keys() & set(ids)
        self._letters.update({id_: replace(self._letters[id_], retry=True) for id_ in there})
        return len(there)

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        gone = list(self._letters) if ids is None else self._letters.keys() & set(ids)
        for id_ in gone:
            del self._letters[id_]
        return len(gone)

    async def forget(self, *, key: str | None = None, connector: str | None = None) -> int:
        gone = [watch.key for watch in self._watches.values() if watch.key == key or watch.ref.params[:1] == (connector,)]
        for each in gone:
            self._erase(each)
        self._forgotten += gone
        self._letters = {id_: letter for id_, letter in self._letters.items() if not _about(letter, key, connector)}
        return len(gone)

    def _commit(self, change: Change) -> bool:
        watch = change.watch
        standing = self._watches.get(watch.key)
        if standing is None or standing.id != watch.id:
            return False
        if standing.sequence <= watch.sequence:
            self._watches[watch.key] = _kept(watch)
        for event in change.events:
            self._tell(event)
        return True

    def _tell(self, event: Event) -> None:
        told = self._told.setdefault(event.key, [])
        if any(self._events[position].id == event.id for position in told):
            return
        self._last += 1
        told.append(self._last)
        self._events[self._last] = event.placed(self._last)
        for waiting in self._waiting.values():
            waiting[self._last] = self._events[self._last]

    def _bury(self, letters: Iterable[DeadLetter]) -> None:
        for letter in letters:
            earlier = self._letters.get(letter.id)
            if earlier is not None:
                again = replace(earlier, reason=letter.reason, detail=letter.detail, at=letter.at, tries=earlier.tries + 1, retry=False)
                self._letters[letter.id] = again
            elif letter.what != "event" or letter.position == 0 or letter.position in self._events:
                self._letters[letter.id] = replace(letter, retry=False)
            # else its watch was forgotten in the meantime: the letter would bring back what was to be erased

    def _erase(self, key: str) -> None:
        del self._watches[key]
        for position in self._told.pop(key, ()):
            del self._events[position]
            for waiting in self._waiting.values():
                waiting.pop(position, None)


def _kept(watch: Watch) -> Watch:
    """What a store keeps of a watch: the rest belongs to the process that polls it."""
    return watch._replace(seen_at=None, failures=0, failing_since=None)


def _oldest(events: Iterable[Event]) -> float | None:
    return next((event.at for event in events), None)


def _about(letter: DeadLetter, key: str | None, connector: str | None) -> bool:
    if letter.key is None:
        return False
    return letter.key == key or (connector is not None and f"/{quote(connector, safe='')}/" in f"{letter.key}/")
