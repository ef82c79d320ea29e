"""`ports.Queries` in PostgreSQL."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from watcher.adapters.stores.postgres import dead_letter_rows, event_rows, replica_rows, state_rows, watch_rows
from watcher.adapters.stores.postgres.access import PostgresAccess
from watcher.errors import StoreRefused
from watcher.model import Backlog, DeadLetter, Event, Replica, Watch
from watcher.ports import IDENTITY
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, TaskQuery


class PostgresQueries(PostgresAccess):
    """Reads on the connections for reads."""

    async def identity(self) -> str:
        found = await self.load_state(IDENTITY)
        if found is None:
            raise StoreRefused(f"{self._server.place}: the store has no identity, as after an incomplete restore: restore the whole schema")
        return found

    async def task(self, key: str) -> Watch | None:
        return await self._read(partial(watch_rows.find, key=key))

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        return await self._read(partial(watch_rows.find_all, query=query))

    async def replicas(self) -> Sequence[Replica]:
        return await self._read(partial(replica_rows.replicas, terms=self._terms))

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        return await self._read(partial(watch_rows.count_open, kinds=kinds, targets=targets))

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        return await self._read(partial(watch_rows.count_by_state, now=now))

    async def task_events(self, key: str) -> Sequence[Event]:
        return await self._read(partial(event_rows.of_task, key=key))

    async def events(self, query: EventQuery) -> Sequence[Event]:
        return await self._read(partial(event_rows.find, query=query, shards=self.shards))

    async def positions(self) -> Mapping[int, int]:
        return await self._read(event_rows.positions)

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return await self._read(partial(event_rows.undelivered, key=key))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._read(event_rows.backlog)

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return await self._read(partial(dead_letter_rows.find, query=query))

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return await self._read(dead_letter_rows.count)

    async def load_state(self, name: str) -> str | None:
        return await self._read(partial(state_rows.load, name=name))

    async def load_states(self, name: str) -> Sequence[str]:
        return await self._read(partial(state_rows.load_all, name=name))
