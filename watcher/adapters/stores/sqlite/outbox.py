"""`ports.Outbox` in a SQLite file."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from watcher.adapters.stores.sqlite import dead_letter_rows, event_rows, token_rows
from watcher.adapters.stores.sqlite.access import SqliteAccess
from watcher.adapters.stores.sqlite.event_rows import SHARD
from watcher.model import Backlog, DeadLetter, Event, Lease, TaskTokens
from watcher.query import Page


class SqliteOutbox(SqliteAccess):
    """The file has one shard, so each sink has one cursor."""

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        return await self._file.read(partial(event_rows.read_outbox, sink=sink, after=after, limit=limit))

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        positions = {event.position for event in delivered} | {dead_letter.position for dead_letter in dead_letters}

        def work(db: sqlite3.Connection) -> None:
            if positions:
                self._check_lease(leases)
            event_rows.settle(db, sink, positions)
            dead_letter_rows.add(db, dead_letters)

        await self._file.write(work)

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        return await self._file.read(event_rows.backlog)

    async def task_tokens(self, keys: Sequence[str]) -> TaskTokens:
        return await self._file.read(partial(token_rows.find, keys=keys))

    async def begin_answers(self, tokens: TaskTokens) -> TaskTokens:
        return await self._file.write(partial(token_rows.begin, tokens=tokens))

    async def drop_tokens(self, tokens: TaskTokens) -> None:
        await self._file.write(partial(token_rows.drop, tokens=tokens))

    async def late_tokens(self, shards: Collection[int], limit: int) -> Sequence[str]:
        return await self._file.read(partial(token_rows.late, limit=limit)) if SHARD in shards else []

    async def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        if SHARD not in shards:
            return Page([])
        return await self._file.read(partial(token_rows.waiting, after=after, limit=limit))
