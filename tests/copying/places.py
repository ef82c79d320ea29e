"""Places of each kind of store, for copies between any two of them, and everything that a reader can see of one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from tests.adapters.stores.test_stores_alike import all_pages, by_task, unplaced
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.memory.replica import SharedMemory
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.core.copying.fingerprint import Fingerprint
from watcher.model import Event
from watcher.ports import PortableStore
from watcher.query import DeadLetterQuery, EventQuery, TaskQuery
from watcher.runtime.store_copy import copy_store

SINKS = ["bus", "log"]


class Place(Protocol):
    """Keeps the content of stores that are opened one after the other."""

    def store(self) -> PortableStore:
        """A store on this content, not open."""


class MemoryPlace:
    def __init__(self, shards: int) -> None:
        self._store = MemoryStore(MemoryStoreSettings(), shards)
        self._store._open = True  # a memory store can be attached to only while it is open, which is always so here

    def store(self) -> PortableStore:
        self._store._open = True
        return self._store


class SharedPlace:
    def __init__(self, shards: int) -> None:
        self._shared = SharedMemory(shards, time.time)
        self._names = (f"replica-{n}" for n in count())

    def store(self) -> PortableStore:
        return self._shared.replica(next(self._names))


class SqlitePlace:
    def __init__(self, directory: Path | str) -> None:
        self._path = f"{directory}/watcher.db"

    def store(self) -> PortableStore:
        return SqliteStore(SqliteStoreSettings(path=self._path))


PLACES: dict[str, Callable[[Path], Place]] = {
    "memory": lambda _: MemoryPlace(1),
    "memory with 4 shards": lambda _: MemoryPlace(4),
    "shared memory": lambda _: SharedPlace(6),
    "sqlite": SqlitePlace,
}
"""By kind, what makes a place from an empty directory."""


@asynccontextmanager
async def owned(place: Place, sinks: Sequence[str] = SINKS) -> AsyncIterator[PortableStore]:
    """A store that is open as a watcher opens it, and owns all shards."""
    store = place.store()
    try:
        await store.open(sinks)
        await store.claim()
        yield store
    finally:
        await store.close()


async def copied(source: Place, target: Place, wrap: Callable[[PortableStore], object] = lambda store: None) -> Fingerprint:
    """Copy as the command does. `wrap` gets the store of the target before it is opened."""
    first, second = source.store(), target.store()
    wrap(second)
    try:
        await first.attach_alone()
        await second.open_target()
        return await copy_store(first, second)
    finally:
        await second.close()
        await first.close()


async def seen(place: Place, sinks: Sequence[str] = SINKS) -> dict[str, Any]:
    """All that readers see of the content, except for positions, and for the order of events of different tasks."""
    store = place.store()
    await store.attach()
    try:
        tasks = [watch for page in await all_pages(store.tasks, TaskQuery()) for watch in page]
        letters = [letter for page in await all_pages(store.dead_letters, DeadLetterQuery()) for letter in page]
        return {
            "tasks": tasks,
            "events": by_task(await _events(store)),
            "of tasks": [unplaced(await store.task_events(watch.key)) for watch in tasks],
            "outbox": {sink: by_task(await _outbox(store, sink)) for sink in sinks},
            "backlog": {sink: waiting.events for sink, waiting in (await store.backlog()).items()},
            "dead letters": unplaced(letters),
            "events of dead letters": [await _event_of(store, letter) for letter in letters],
            "states": dict(await store.states()),
            "cancelled": await store.cancelled(),
            "tokens": await store.task_tokens([watch.key for watch in tasks]),
        }
    finally:
        await store.close()


async def _events(store: PortableStore) -> list[Event]:
    after: dict[int, int] = {}
    found: list[Event] = []
    while events := await store.events(EventQuery(after=after, limit=7)):
        found += events
        after |= {event.shard: event.position for event in events}
    return found


async def _outbox(store: PortableStore, sink: str) -> list[Event]:
    shards = {event.shard for event in await _events(store)}
    return [event for shard in sorted(shards) for event in await store.read_outbox(sink, shard, 0, 10_000)]


async def _event_of(store: PortableStore, letter: Any) -> Event | None:
    """The event at the place that a dead letter names, as the store has it."""
    if not letter.position or letter.key is None:
        return None
    events = await store.task_events(letter.key)
    return next((replace(e, position=0, shard=0) for e in events if (e.shard, e.position) == (letter.shard, letter.position)), None)
