"""The open file: its lock, its connections, and its writer thread.

Reads have connections of their own, so they never wait for an fsync: one for the short reads of the owner, and one for
queries, which may read the whole file. A database in memory has one connection for all.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from watcher.adapters.stores.sqlite import schema
from watcher.adapters.stores.sqlite.failures import store_error
from watcher.adapters.stores.sqlite.owner import OTHER_NAME, OwnerLock, is_owned_elsewhere
from watcher.adapters.stores.sqlite.writer import Work, WriterThread
from watcher.errors import StoreRefused

T = TypeVar("T")


class SqliteFile:
    """Runs reads and writes on a file, and names the errors."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._in_memory = path == schema.MEMORY
        self._lock = OwnerLock(path)
        self._connections: list[sqlite3.Connection] = []
        """One connection for writes and, in a file, one for reads and one for queries."""
        self._writer: WriterThread | None = None
        self._one_reader = CapacityLimiter(1)
        self._one_query = CapacityLimiter(1)
        self._closing = False
        """No read begins any more: `close` would wait for it."""

    async def own(self, begin: Callable[[sqlite3.Connection], None]) -> None:
        """Create or migrate the file, as its only owner. `begin` is called at the start of each write transaction."""

        def begin_with_the_file(db: sqlite3.Connection) -> None:
            self._lock.check()
            begin(db)

        await to_thread.run_sync(self._own)
        self._writer = WriterThread(self._connections[0], self._path, begin_with_the_file)

    async def join(self, begin: Callable[[sqlite3.Connection], None], *, alone: bool = False) -> None:
        """Open an existing file beside its owner. `alone`: there is none, and until `close` none can start."""
        await to_thread.run_sync(partial(self._join, alone=alone))
        self._writer = WriterThread(self._connections[0], self._path, begin)

    async def close(self) -> None:
        """Finish the queued writes, break off the reads, then close the file and release the lock."""
        self._closing = True
        if self._writer is not None:
            await self._writer.stop()
        for connection in self._connections[1:]:
            connection.interrupt()  # a query of the API may take longer than a stop may
        with anyio.CancelScope(shield=True):
            async with self._one_reader, self._one_query:
                pass  # a connection that is closed during a read makes it fail in any way
            await to_thread.run_sync(self._close)  # the last connection syncs the file, which a hung disk delays

    def _close(self) -> None:
        while self._connections:
            self._connections.pop().close()
        self._lock.release()

    async def write(self, work: Work[T], *, erases: bool = False) -> T:
        """Run `work` in a transaction, as `WriterThread.run` does."""
        if self._writer is None:
            raise StoreRefused(f"{self._path}: the store is not open")
        return await self._writer.run(work, erases=erases)

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which reads little, on the connection for reads."""
        return await self._run(work, 1, self._one_reader)

    async def query(self, work: Work[T]) -> T:
        """Run `work`, which may read much, on the connection for queries. Neither reads nor writes wait for it."""
        return await self._run(work, 2, self._one_query)

    async def _run(self, work: Work[T], number: int, one: CapacityLimiter) -> T:
        if number >= len(self._connections):
            return await self.write(work)

        def unless_closing(db: sqlite3.Connection) -> T:
            if self._closing:
                raise StoreRefused(f"{self._path}: the store is closed")
            return work(db)

        try:
            return await to_thread.run_sync(unless_closing, self._connections[number], limiter=one)
        except sqlite3.Error as error:
            if (named := store_error(error, self._path)) is None:
                raise
            raise named from error

    def _own(self) -> None:
        self._closing = False
        self._connect(schema.prepare, lock=not self._in_memory)

    def _join(self, *, alone: bool) -> None:
        if self._in_memory or not os.path.exists(self._path):
            raise StoreRefused(f"{os.path.abspath(self._path)}: there is no store here: start the watcher first, or name its file")
        if not alone and is_owned_elsewhere(self._path):
            raise StoreRefused(f"{self._path}: {OTHER_NAME}: use the name that the watcher uses")
        self._closing = False
        self._connect(schema.expect, lock=alone)

    def _connect(self, verify: Callable[[sqlite3.Connection, str], None], *, lock: bool) -> None:
        try:
            if lock:
                self._lock.acquire()
            with ExitStack() as opened:  # a refused file leaves no connection open
                connections = [opened.enter_context(closing(schema.connect(self._path)))]
                verify(connections[0], self._path)
                for _ in range(0 if self._in_memory else 2):
                    connections.append(opened.enter_context(closing(schema.connect(self._path))))
                    schema.read_only(connections[-1])
                opened.pop_all()
            self._connections = connections
        except OSError as error:
            raise StoreRefused(f"{self._path}: {error.strerror}: check that its directory exists and is writable") from error
        except sqlite3.Error as error:
            if (named := store_error(error, self._path)) is None:
                raise
            raise named from error
