"""How an owner reads the open watches of its shards: all of them when it takes a shard, and afterwards those that were admitted since.

Any replica admits watches, so one may be committed while, or after, its shard is read. Each row has the number of the
transaction that admitted it. A snapshot tells which transactions a reading has seen, so the next reading asks for the rows
of all others: none is left out, however long an admission took.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import one
from watcher.adapters.stores.postgres.watch_rows import COLUMNS, columns, watch_of
from watcher.model import Lease, Watch

T = TypeVar("T")
Read = Callable[[Callable[[Connection], Awaitable[T]]], Awaitable[T]]

LOAD_BATCH = 1000
"""Watches in one read."""
_FIRST, _LAST = "0", str(2**64 - 1)
"""Transactions before and after all others."""

# S608 below: the statements consist of constants and parameters, never of data.
_PIECE = f"""SELECT w.admitted_xid::text, {COLUMNS} FROM watches w
    WHERE w.shard = %b AND w.ended_at IS NULL AND (w.admitted_xid, w.n) > (%b::text::xid8, %b::int8) AND w.admitted_xid < %b::text::xid8
    ORDER BY w.admitted_xid, w.n LIMIT {LOAD_BATCH}"""  # noqa: S608
# The order is that of the index, so that no plan reads all open watches.
_IN_RANGES = f"""SELECT {COLUMNS} FROM unnest(%b::int[], %b::text[]::xid8[], %b::text[]::xid8[]) AS r (shard, first, after)
    CROSS JOIN LATERAL (
        SELECT * FROM watches w
        WHERE w.shard = r.shard AND w.ended_at IS NULL AND w.admitted_xid >= r.first AND w.admitted_xid < r.after
        ORDER BY w.admitted_xid, w.n LIMIT {LOAD_BATCH + 1}) w
    LIMIT {LOAD_BATCH + 1}"""  # noqa: S608
_SNAPSHOT = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
_RESET_XIDS = """UPDATE watches SET admitted_xid = pg_current_xact_id()
    WHERE ended_at IS NULL AND shard IN (SELECT shard FROM shards) AND admitted_xid >= pg_snapshot_xmax(pg_current_snapshot())"""

_Range = tuple[int, str, str]
"""A shard, its first transaction, and the one after its last."""


class _Snapshot(NamedTuple):
    """Which transactions a reading saw at least."""

    after: str
    """The first transaction that had not begun."""
    running: tuple[str, ...]
    server: str
    """Changes when another server answers, or the same one after a restart."""

    def unseen(self, shard: int, server: str) -> list[_Range]:
        """The transactions that it did not see. After a failover, the numbers of lost transactions may come again: then all."""
        if self.server != server:
            return [(shard, _FIRST, _LAST)]
        running = [(shard, xid, str(int(xid) + 1)) for xid in self.running]
        return [*running, (shard, self.after, _LAST)]


class Adoption:
    """Reads the watches of shards, and remembers what it has seen of each. `read` runs a read on some connection."""

    def __init__(self, read: Read[Any]) -> None:
        self._read = read
        self._seen: dict[int, tuple[int, _Snapshot]] = {}
        """By shard, the epoch of the lease under which it was read, and the snapshot before that."""

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        """All open watches of the shard, in pieces."""
        self._seen[lease.shard] = (lease.epoch, await self._read(_snapshot))
        async for watches in self._in_range((lease.shard, _FIRST, _LAST)):
            yield watches

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        """Open watches of these shards that the previous reading may not have seen, in pieces."""
        seen = {lease.shard: self._seen[lease.shard] for lease in leases if self._was_read(lease)}
        if not seen:
            return
        present: _Snapshot = await self._read(_snapshot)
        ranges = [each for shard, (_, snapshot) in seen.items() for each in snapshot.unseen(shard, present.server)]
        some: list[Watch] = await self._read(partial(_read_ranges, ranges=ranges))
        if len(some) <= LOAD_BATCH:
            if some:
                yield some
        else:
            for each in ranges:
                async for watches in self._in_range(each):
                    yield watches
        for lease in leases:
            if lease.shard in seen and self._was_read(lease):
                self._seen[lease.shard] = (lease.epoch, present)

    def _was_read(self, lease: Lease) -> bool:
        return lease.shard in self._seen and self._seen[lease.shard][0] == lease.epoch

    async def _in_range(self, range_: _Range) -> AsyncIterator[list[Watch]]:
        shard, xid, after = range_
        n = 0
        while rows := await self._read(partial(_read_piece, place=(shard, xid, n, after))):
            xid, n = rows[-1][:2]
            yield [watch_of(row[1:]) for row in rows]
            if len(rows) < LOAD_BATCH:
                return


async def reset_future_xids(db: Connection) -> None:
    """After a restore into another cluster, the rows may name transactions that are still to come: make them present ones."""
    await db.execute(_RESET_XIDS)


async def _snapshot(db: Connection) -> _Snapshot:
    text, server = await one(db, _SNAPSHOT)
    _, after, running = text.split(":")
    return _Snapshot(after, tuple(each for each in running.split(",") if each), server)


async def _read_piece(db: Connection, place: tuple[int, str, int, str]) -> list[tuple[Any, ...]]:
    cursor = db.cursor(binary=True)
    await cursor.execute(_PIECE, place)
    return await cursor.fetchall()


async def _read_ranges(db: Connection, ranges: Sequence[_Range]) -> list[Watch]:
    cursor = db.cursor(binary=True)
    await cursor.execute(_IN_RANGES, columns(ranges))
    return [watch_of(row) for row in await cursor.fetchall()]
