"""The store in a SQLite file: opening, and `ports.Shards`. The other protocols of the port are in modules of the same names."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Literal

import anyio
from pydantic import Field

from watcher.adapters.stores.sqlite import copy_rows, dead_letter_rows, event_rows, owner_rows, schema, watch_rows
from watcher.adapters.stores.sqlite.copies import SqliteCopies
from watcher.adapters.stores.sqlite.event_rows import SHARD
from watcher.adapters.stores.sqlite.operations import SqliteOperations
from watcher.adapters.stores.sqlite.outbox import SqliteOutbox
from watcher.adapters.stores.sqlite.queries import SqliteQueries
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Lease, Leftover, Pruned, Report, TaskTokens, Watch
from watcher.ports import Signals
from watcher.section import Section


class SqliteStoreSettings(Section):
    """Keeps everything in one file, for one process. Nothing is lost when the process is killed."""

    path_is_local_file = True

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(default="watcher.db", min_length=1)
    """The file, on a local disk. The files -wal, -shm and .lock are beside it. `:memory:` keeps nothing when the process ends."""


class SqliteStore(SqliteOutbox, SqliteQueries, SqliteOperations, SqliteCopies):
    """A `Store` with one shard. Erased data is overwritten in the file and removed from its log."""

    shards = 1
    renew_s: float | None = None

    def __init__(self, settings: SqliteStoreSettings) -> None:
        super().__init__(settings.path)
        self.durable = settings.path != schema.MEMORY
        self._lease: Lease | None = None
        """The one that `claim` returned, until it is released."""

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        def work(db: sqlite3.Connection) -> Mapping[str, Leftover]:
            copy_rows.accept(db)
            dropped = to_drop(leftovers(sinks, event_rows.backlog(db), dead_letter_rows.count(db)), drop)
            for sink in dropped:
                dead_letter_rows.drop(db, sink)
            event_rows.set_sinks(db, sinks)
            owner_rows.next_epoch(db)  # no lease of an earlier owner is valid
            owner_rows.drop_forgotten(db)  # the owner has loaded nothing yet, so it need not read these erasures
            return dropped

        await self._file.own(self._begin)
        return await self._file.write(work, erases=bool(drop))

    async def attach(self) -> None:
        await self._file.join(self._begin)

    async def close(self) -> None:
        self._lease = None
        await self._file.close()

    async def check(self) -> str:
        version = await self._file.read(lambda db: db.execute("PRAGMA user_version").fetchone()[0])
        return f"SQLite {sqlite3.sqlite_version}, schema {version}"

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        current = self._lease

        def work(db: sqlite3.Connection) -> Lease | None:
            if current is None:
                self._epoch = owner_rows.next_epoch(db)
                return Lease(SHARD, self._epoch)
            return current if current.epoch == self._epoch else None  # None: another process took the file over

        lease = await self._file.write(work)
        if lease is None:
            return Claim([])
        self._lease = lease
        return Claim([lease])

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        lease = self._lease
        if lease is None or lease not in leases:
            return

        def work(db: sqlite3.Connection) -> None:
            if lease.epoch == self._epoch:
                self._epoch = owner_rows.next_epoch(db)
                self._lease = None

        await self._file.write(work)

    async def wait(self) -> Signals:
        await anyio.sleep_forever()
        return Signals()

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        after, watches = await self._file.read(partial(watch_rows.load, after=0))
        while watches:
            yield watches
            after, watches = await self._file.read(partial(watch_rows.load, after=after))

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        for _ in ():
            yield ()

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        return await self._file.write(partial(watch_rows.admit, watches=watches, task_tokens=task_tokens))

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        watches = [await self.task(key) for key in keys]
        return [watch.key for watch in watches if watch is not None and watch.open]

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        def work(db: sqlite3.Connection) -> list[str]:
            if changes:
                self._check_lease(leases)
            return watch_rows.commit(db, changes)

        return await self._file.write(work)

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        await self._file.write(partial(dead_letter_rows.add, dead_letters=dead_letters))

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        watches = await self._in_pieces(partial(watch_rows.prune, before=before))
        inputs = await self._in_pieces(partial(dead_letter_rows.prune, what="input", before=before))
        events = 0
        if events_before is not None:
            events = await self._in_pieces(partial(dead_letter_rows.prune, what="event", before=events_before))
        if watches or inputs or events:
            await self._file.write(_nothing, erases=True)
        return Pruned(watches, inputs, events)

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        await self._file.write(partial(owner_rows.save_state, name=name, text=text))

    async def _in_pieces(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Repeat the work until it returns 0. Each piece is a transaction, so that commits do not wait for all of them."""
        total = 0
        while piece := await self._file.write(work):
            total += piece
        return total


def _nothing(_: sqlite3.Connection) -> None:
    """An empty transaction, after which the log is emptied."""
