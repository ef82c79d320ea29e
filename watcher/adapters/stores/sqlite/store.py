"""The store in a SQLite file: who opens it how, and which work is a write.

Reads go to a connection of their own, so they never wait for an fsync. A database in memory has one connection for both.
"""

# ruff: noqa: D102 - watcher/ports.py says what each method promises

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Literal, TypeVar

from anyio import CapacityLimiter, to_thread
from pydantic import Field

from watcher.adapters.stores.sqlite import dead_letter_rows, event_rows, schema, watch_rows
from watcher.adapters.stores.sqlite.failures import named
from watcher.adapters.stores.sqlite.owner import OwnerLock
from watcher.adapters.stores.sqlite.writer import Work, WriterThread
from watcher.errors import StoreRefused, StoreUnavailable
from watcher.model import Backlog, Change, DeadLetter, Event, Watch
from watcher.section import Section

T = TypeVar("T")


class SqliteStoreSettings(Section):
    """Everything in one file, for one process. Survives any kill."""

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(default="watcher.db", min_length=1)
    """The file; beside it stand -wal, -shm and .lock. A local disk, writable. `:memory:`: lost when the process ends."""


class SqliteStore:
    """A `Store` and a `Ledger`. What it erases is overwritten in the file and gone from its log."""

    def __init__(self, settings: SqliteStoreSettings) -> None:
        self._path = settings.path
        self._in_file = settings.path != schema.MEMORY
        self.durable = self._in_file
        self._lock = OwnerLock(settings.path)
        self._connections: list[sqlite3.Connection] = []
        self._writer: WriterThread | None = None
        self._one_reader = CapacityLimiter(1)
        self._noticed = 0
        """The last notice handed out; it is erased when there is none behind it."""

    async def open(self, sinks: Sequence[str]) -> None:
        await to_thread.run_sync(self._own)
        self._writer = WriterThread(self._connections[0], self._path)
        await self._write(partial(event_rows.name_sinks, names=sinks))
        await self._write(dead_letter_rows.drop_notices)  # we load everything now: they are news no longer

    async def attach(self) -> None:
        await to_thread.run_sync(self._join)
        self._writer = WriterThread(self._connections[0], self._path)

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.stop()
        while self._connections:
            self._connections.pop().close()
        self._lock.release()

    async def check(self) -> str:
        version = await self._read(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        return f"SQLite {sqlite3.sqlite_version}, schema {version}"

    async def load(self) -> AsyncIterator[Sequence[Watch]]:
        after, piece = await self._read(partial(watch_rows.load, after=0))
        while piece:
            yield piece
            after, piece = await self._read(partial(watch_rows.load, after=after))

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        return await self._write(partial(watch_rows.admit, watches=watches))

    async def commit(self, changes: Sequence[Change]) -> Collection[str]:
        return await self._write(partial(watch_rows.commit, changes=changes))

    async def outbox(self, sink: str, after: int, limit: int) -> Sequence[Event]:
        return await self._read(partial(event_rows.outbox, sink=sink, after=after, limit=limit))

    async def settle(self, sink: str, delivered: Sequence[Event], buried: Sequence[DeadLetter]) -> None:
        positions = {event.position for event in delivered} | {letter.position for letter in buried}

        def work(db: sqlite3.Connection) -> None:
            event_rows.settle(db, sink, positions)
            dead_letter_rows.add(db, buried)

        await self._write(work)

    async def backlog(self) -> dict[str, Backlog]:
        return await self._read(event_rows.backlog)

    async def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._write(partial(dead_letter_rows.add, letters=letters))

    async def requests(self) -> tuple[Sequence[str], Sequence[DeadLetter]]:
        noticed, keys = await self._read(partial(dead_letter_rows.notices, after=self._noticed))
        asked = await self._read(dead_letter_rows.asked)
        if keys:  # told at once: a disk that is full does not keep an erasure from being heard of
            self._noticed = noticed
        elif self._noticed:
            with suppress(StoreUnavailable):  # told already, so they can wait; and a call that reads says nothing of the disk
                await self._write(partial(dead_letter_rows.drop_notices, upto=self._noticed), erases=True)
                self._noticed = 0
        return keys, asked

    async def load_state(self, name: str) -> str | None:
        return await self._read(partial(dead_letter_rows.load_state, name=name))

    async def save_state(self, name: str, note: str) -> None:
        await self._write(partial(dead_letter_rows.save_state, name=name, note=note))

    async def prune(self, before: float) -> int:
        """In pieces, each of them whole, so that commits pass in between."""
        erased = 0
        while piece := await self._write(partial(watch_rows.prune, before=before)):
            erased += piece
        old = await self._write(partial(dead_letter_rows.prune, before=before))
        if erased or old:
            await self._write(_nothing, erases=True)
        return erased

    async def find(self, key: str) -> Watch | None:
        return await self._read(partial(watch_rows.find, key=key))

    async def tasks(self, *, open_only: bool = False, limit: int = 1000) -> Sequence[Watch]:
        return await self._read(partial(watch_rows.newest, open_only=open_only, limit=limit))

    async def history(self, key: str) -> Sequence[Event]:
        return await self._read(partial(event_rows.history, key=key))

    async def undelivered(self, key: str) -> dict[str, int]:
        return await self._read(partial(event_rows.undelivered, key=key))

    async def letters(self) -> Sequence[DeadLetter]:
        return await self._read(dead_letter_rows.newest)

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._write(partial(dead_letter_rows.retry, ids=ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return await self._write(partial(dead_letter_rows.purge, ids=ids), erases=True)

    async def forget(self, *, key: str | None = None, connector: str | None = None) -> int:
        return await self._write(partial(watch_rows.forget, key=key, connector=connector), erases=True)

    def _own(self) -> None:
        if self._in_file:
            self._lock.take()
        self._connect(schema.create, schema.prepare)

    def _join(self) -> None:
        if not self._in_file or not os.path.exists(self._path):
            raise StoreRefused(f"{os.path.abspath(self._path)}: there is no store here: start the watcher first, or name its file")
        self._connect(None, schema.expect)

    def _connect(self, create: Callable[[str], None] | None, verify: Callable[[sqlite3.Connection, str], None]) -> None:
        try:
            if create is not None:
                create(self._path)
            with ExitStack() as opened:  # a store that is refused leaves nothing open
                connections = [opened.enter_context(closing(schema.connect(self._path)))]
                verify(connections[0], self._path)
                if self._in_file:
                    connections.append(opened.enter_context(closing(schema.connect(self._path))))
                    schema.read_only(connections[1])
                opened.pop_all()
            self._connections = connections
        except OSError as error:
            raise StoreRefused(f"{self._path}: cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            if (trouble := named(error, self._path)) is None:
                raise
            raise trouble from error

    async def _write(self, work: Work[T], *, erases: bool = False) -> T:
        if self._writer is None:
            raise StoreRefused(f"{self._path}: the store is not open")
        return await self._writer.do(work, erases=erases)

    async def _read(self, work: Work[T]) -> T:
        if len(self._connections) < 2:
            return await self._write(work)
        try:
            return await to_thread.run_sync(work, self._connections[1], limiter=self._one_reader)
        except sqlite3.Error as error:
            if (trouble := named(error, self._path)) is None:
                raise
            raise trouble from error


def _nothing(_: sqlite3.Connection) -> None:
    """A transaction of its own for the emptying of the log."""
