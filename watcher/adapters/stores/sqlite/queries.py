"""`ports.Queries` in a SQLite file."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from watcher.adapters.stores.sqlite import dead_letter_rows, event_rows, owner_rows, watch_rows
from watcher.adapters.stores.sqlite.access import SqliteAccess
from watcher.errors import StoreRefused
from watcher.model import Backlog, DeadLetter, Event, Replica, Watch
from watcher.ports import IDENTITY
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, TaskQuery


class SqliteQueries(SqliteAccess):
    """Reads. Those that may read much use a connection of their own (`SqliteFile.query`)."""

    async def identity(self) -> str:
        found = await self.load_state(IDENTITY)
        if found is None:
            raise StoreRefused("the store has no identity, as after an incomplete restore: restore a copy of the whole file")
        return found

    async def task(self, key: str) -> Watch | None:
        return await self._file.read(partial(watch_rows.find, key=key))

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        return await self._file.query(partial(watch_rows.find_all, query=query))

    async def replicas(self) -> Sequence[Replica]:
        return ()

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        return await self._file.query(partial(watch_rows.count_open, kinds=kinds, targets=targets))

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        return await self._file.query(partial(watch_rows.count_by_state, now=now))

    async def task_events(self, key: str) -> Sequence[Event]:
        return await self._file.read(partial(event_rows.of_task, key=key))

    async def events(self, query: EventQuery) -> Sequence[Event]:
        # a filter may pass over all events; without one, as for the readers of the API, a page is read at once
        run = self._file.read if query.kind is None and query.terminal is None and query.key is None else self._file.query
        return await run(partial(event_rows.find, query=query))

    async def positions(self) -> Mapping[int, int]:
        return await self._file.read(event_rows.positions)

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return await self._file.query(partial(event_rows.undelivered, key=key))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._file.query(event_rows.backlog)

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return await self._file.query(partial(dead_letter_rows.find, query=query))

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return await self._file.query(dead_letter_rows.count)

    async def load_state(self, name: str) -> str | None:
        return await self._file.read(partial(owner_rows.load_state, name=name))

    async def load_states(self, name: str) -> Sequence[str]:
        text = await self.load_state(name)
        return [] if text is None else [text]
