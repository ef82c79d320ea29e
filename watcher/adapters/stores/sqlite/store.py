"""The store in a SQLite file: which method is a read, and which one is a write."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import anyio
from pydantic import Field

from watcher.adapters.stores.sqlite import copy_rows, dead_letter_rows, event_rows, owner_rows, schema, token_rows, watch_rows
from watcher.adapters.stores.sqlite.event_rows import SHARD
from watcher.adapters.stores.sqlite.file import SqliteFile
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.errors import Fenced, StoreRefused, StoreUnavailable
from watcher.model import (
    NO_TOKENS,
    Backlog,
    Change,
    Claim,
    DeadLetter,
    Event,
    Lease,
    Leftover,
    Portion,
    Pruned,
    Replica,
    Report,
    TaskTokens,
    Watch,
)
from watcher.ports import CANCEL_PAGE, IDENTITY, Requests, Signals
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, Selection, TaskQuery
from watcher.section import Section


class SqliteStoreSettings(Section):
    """Keeps everything in one file, for one process. Nothing is lost when the process is killed."""

    path_is_local_file = True

    type: Literal["sqlite"] = "sqlite"
    path: str = Field(default="watcher.db", min_length=1)
    """The file, on a local disk. The files -wal, -shm and .lock are beside it. `:memory:` keeps nothing when the process ends."""


class SqliteStore:
    """A `Store` with one shard. Erased data is overwritten in the file and removed from its log."""

    shards = 1
    renew_s: float | None = None

    def __init__(self, settings: SqliteStoreSettings) -> None:
        self.durable = settings.path != schema.MEMORY
        self._file = SqliteFile(settings.path)
        self._lease: Lease | None = None
        """The one that `claim` returned, until it is released."""
        self._epoch = 0
        """The epoch in the file, as of the current write transaction. Used in the writer thread."""
        self._forgotten = 0
        """The number of the last erasure returned by `requests`, until its record is removed; then 0."""

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

    async def load_state(self, name: str) -> str | None:
        return await self._file.read(partial(owner_rows.load_state, name=name))

    # --- outbox ----------------------------------------------------------------------------------

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

    # --- queries ---------------------------------------------------------------------------------

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

    async def load_states(self, name: str) -> Sequence[str]:
        text = await self.load_state(name)
        return [] if text is None else [text]

    # --- operations ------------------------------------------------------------------------------

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._file.write(partial(dead_letter_rows.mark, ids=ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return await self._file.write(partial(dead_letter_rows.purge, ids=ids), erases=True)

    async def forget(self, selection: Selection) -> int:
        return await self._file.write(partial(watch_rows.forget, selection=selection), erases=True)

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._file.write(partial(watch_rows.cancel, keys=keys))

    async def requests(self, after: str | None = None) -> Requests:
        last, keys = await self._file.read(partial(owner_rows.forgotten, after=self._forgotten))
        retries = await self._file.read(partial(dead_letter_rows.to_retry, after=after))
        cancelled = await self._file.read(partial(watch_rows.cancelled, limit=CANCEL_PAGE))
        if keys:  # returned before their records are removed, so that a full disk does not delay an erasure
            self._forgotten = last
        elif self._forgotten:
            with suppress(StoreUnavailable):  # the next call tries again, and this one only reads
                await self._file.write(partial(owner_rows.drop_forgotten, upto=self._forgotten), erases=True)
                self._forgotten = 0
        return Requests(keys, retries.items, retries.next, cancelled)

    # --- copies ----------------------------------------------------------------------------------

    async def attach_alone(self) -> None:
        await self._file.join(self._begin, alone=True)
        await self._file.read(copy_rows.check_complete)

    async def states(self) -> Mapping[str, str]:
        return await self._file.read(copy_rows.states)

    async def cancelled(self) -> Sequence[str]:
        return list(await self._file.query(partial(watch_rows.cancelled, limit=-1)))

    async def open_target(self) -> None:
        await self._file.own(self._begin)
        await self._file.read(copy_rows.check_empty)

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        return await self._file.write(partial(copy_rows.begin, source=source, sinks=sinks))

    async def restore(self, portion: Portion, progress: str) -> None:
        await self._file.write(partial(copy_rows.restore, portion=portion, progress=progress))

    async def end_copy(self) -> None:
        await self._file.write(copy_rows.end)

    async def _in_pieces(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Repeat the work until it returns 0. Each piece is a transaction, so that commits do not wait for all of them."""
        total = 0
        while piece := await self._file.write(work):
            total += piece
        return total

    def _begin(self, db: sqlite3.Connection) -> None:
        self._epoch = owner_rows.read_epoch(db)  # in each transaction: a check for each call would cost a tenth of its time

    def _check_lease(self, leases: Mapping[int, Lease]) -> None:
        lease = leases.get(SHARD)
        if lease is None or lease.epoch != self._epoch:
            raise Fenced([SHARD])


def _nothing(_: sqlite3.Connection) -> None:
    """An empty transaction, after which the log is emptied."""
