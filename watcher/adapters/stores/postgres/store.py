"""The store in PostgreSQL: which method is a read, which one is a group of writes, and which one is about the leases."""

# ruff: noqa: D102 - watcher/ports.py says what each method promises

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from watcher.adapters.stores.postgres import dead_letter_rows, event_rows, replica_rows, state_rows, watch_rows
from watcher.adapters.stores.postgres.connections import Connection, Limits, Server, Session, Sessions
from watcher.adapters.stores.postgres.owner_writes import Commit, OwnerWrite, OwnerWrites, Settlement
from watcher.adapters.stores.postgres.schema import LOCK, MIGRATION_LOCK_S, MIGRATIONS, Migration, Schema, one
from watcher.adapters.stores.postgres.settings import PostgresStoreSettings
from watcher.adapters.stores.postgres.signals import Listener
from watcher.adapters.stores.postgres.watch_rows import Snapshot
from watcher.adapters.stores.postgres.writer import Lane
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.errors import StoreError, StoreUnavailable
from watcher.model import Backlog, Change, Claim, DeadLetter, Event, Lease, Leftover, Pruned, Replica, Report, Watch
from watcher.ports import Requests, Signal
from watcher.query import DeadLetterQuery, EventQuery, Page, Selection, TaskQuery

T = TypeVar("T")


def replica_name() -> str:
    """A name for a replica: the host, and 6 random hexadecimal digits."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class _Admission:
    watches: Sequence[Watch]


@dataclass(frozen=True, slots=True)
class _DeadLetters:
    dead_letters: Sequence[DeadLetter]


class PostgresStore:
    """A `Store` that several replicas share.

    `now` is the SQL expression of the present time, `name` returns the name under which the replica registers; tests set them.
    """

    durable = True

    def __init__(
        self,
        settings: PostgresStoreSettings,
        *,
        now: str = "clock_timestamp()",
        name: Callable[[], str] = replica_name,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self.shards = settings.shards
        self.renew_s: float | None = settings.renew
        self._settings = settings
        self._now = now
        self._new_name = name
        self._server = Server(settings)
        self._schema = Schema(settings.schema_name, self._server.place, migrations)
        self._channel = f"{settings.schema_name}.signals"
        self._me = ""
        """The name of this replica, from its first claim on."""
        self._registered = False
        self._owned: Sequence[int] = ()
        """The shards of the last claim."""
        self._seen: dict[int, tuple[int, Snapshot]] = {}
        """By shard, the epoch of the lease under which it was loaded, and what was seen of it."""
        self._forgotten: set[int] = set()
        """The erasures returned by `requests`, until their records are removed."""
        limits = self._server.limits
        self._reads = Sessions(self._server, settings.max_connections)
        # A claim that gets no answer is given up early enough for another attempt before the leases end.
        statement = min(limits.statement, 0.8 * settings.renew)
        self._claims = Session(self._server, Limits(statement, min(limits.lock, 0.9 * statement), min(limits.call, settings.renew)))
        self._owner_writes = OwnerWrites(settings.shards)
        self._owner_lane: Lane[OwnerWrite] = Lane(Session(self._server), self._owner_writes.write, self._server.place)
        self._shared_lane: Lane[_Admission | _DeadLetters] = Lane(Session(self._server), self._write_shared, self._server.place)
        self._listener = Listener(self._server, self._channel, lambda: self._me)

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        async def work(db: Connection) -> Mapping[str, Leftover]:
            self._set_shards(await self._schema.prepare(db, self._settings.shards))
            async with db.transaction():
                await one(db, "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, self._settings.schema_name))
                dropped = to_drop(leftovers(sinks, await event_rows.backlog(db), await dead_letter_rows.count(db)), drop)
                await dead_letter_rows.drop(db, list(dropped))
                await event_rows.set_sinks(db, sinks, self.shards)
                await watch_rows.reset_future_xids(db)
            return dropped

        dropped = await self._reads.run(work, call_s=2 * MIGRATION_LOCK_S)
        await self._listener.open()
        return dropped

    async def attach(self) -> None:
        async def work(db: Connection) -> None:
            self._set_shards(await self._schema.expect(db))

        await self._reads.run(work)

    async def close(self) -> None:
        """Finish the queued writes, and leave, so that the others need not wait until the leases end."""
        await self._owner_lane.close()
        await self._shared_lane.close()
        if self._registered:
            with suppress(StoreError):
                await self.release((), leaving=True)
        await self._claims.close()
        await self._reads.close()
        await self._listener.close()

    async def check(self) -> str:
        async def work(db: Connection) -> str:
            version = db.info.parameter_status("server_version") or "?"
            (schema,) = await one(db, "SELECT version FROM store")
            tls = ", TLS" if db.pgconn.ssl_in_use else ""
            return f"PostgreSQL {version.split()[0]}, schema {schema}{tls}"

        return await self._reads.run(work)

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        me = self._me or self._new_name()
        renamed = self._new_name if self._registered else None
        terms = replica_rows.Terms(self._settings.lease, self._now, self.shards)
        self._me = me  # the claim may succeed although its answer is lost: the next one renews it
        claim = await self._claims.run(lambda db: replica_rows.claim(db, terms, me, renamed, report))
        self._me = self._owner_writes.me = claim.me
        self._registered = True
        self._owned = [lease.shard for lease in claim.leases]
        return claim

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        if not leases and not leaving:
            return
        await self._claims.run(lambda db: replica_rows.release(db, self._me, leases, leaving=leaving, channel=self._channel))
        if leaving:
            self._registered = False

    async def wait(self) -> Collection[Signal]:
        return await self._listener.wait()

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        self._seen[lease.shard] = (lease.epoch, await self._read(watch_rows.snapshot))
        xid, n = "0", 0
        while rows := await self._read(partial(watch_rows.load, shard=lease.shard, xid=xid, n=n)):
            xid, n, _ = rows[-1]
            yield [watch for _, _, watch in rows]

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        seen = watch_rows.starts(leases, self._seen)
        if not seen:
            return
        present = await self._read(watch_rows.snapshot)
        # Another server after a failover may use the numbers of lost transactions again: then everything is read.
        ranges = {shard: each if each.server == present.server else Snapshot("0", (), "") for shard, each in seen.items()}
        last = (-1, "0", 0)
        while rows := await self._read(partial(watch_rows.arrivals, seen=ranges, last=last)):
            last = rows[-1][0]
            yield [watch for _, watch in rows]
        for lease in leases:
            if self._seen.get(lease.shard, (None,))[0] == lease.epoch and lease.shard in seen:
                self._seen[lease.shard] = (lease.epoch, present)

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        found: Sequence[Watch] = await self._shared_lane.run(_Admission(watches)) if watches else ()
        return found

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        erased: Collection[str] = await self._owner_lane.run(Commit(changes, leases)) if changes else ()
        return erased

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        if dead_letters:
            await self._shared_lane.run(_DeadLetters(dead_letters))

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        schema = self._settings.schema_name
        watches = await self._prune_watches(before)
        inputs = await self._in_pieces(partial(dead_letter_rows.prune, schema=schema, what="input", before=before))
        events = 0
        if events_before is not None:
            events = await self._in_pieces(partial(dead_letter_rows.prune, schema=schema, what="event", before=events_before))
        return Pruned(watches, inputs, events)

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        if own:
            await self._read(partial(state_rows.save_own, name=name, text=text, replica=self._me))
        else:
            await self._read(partial(state_rows.save, name=name, text=text))

    async def load_state(self, name: str) -> str | None:
        return await self._read(partial(state_rows.load, name=name))

    # --- outbox ----------------------------------------------------------------------------------

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        return await self._read(partial(event_rows.read_outbox, sink=sink, shard=shard, after=after, limit=limit))

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        if delivered or dead_letters:
            await self._owner_lane.run(Settlement(sink, delivered, dead_letters, leases))

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        return await self._read(partial(event_rows.backlog, shard=shard))

    # --- queries ---------------------------------------------------------------------------------

    async def task(self, key: str) -> Watch | None:
        return await self._read(partial(watch_rows.find, key=key))

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        return await self._read(partial(watch_rows.find_all, query=query))

    async def replicas(self) -> Sequence[Replica]:
        terms = replica_rows.Terms(self._settings.lease, self._now, self.shards)
        return await self._read(partial(replica_rows.replicas, terms=terms))

    async def count_open(self, kinds: Collection[str] | None = None) -> int:
        return await self._read(partial(watch_rows.count_open, kinds=kinds))

    async def task_events(self, key: str) -> Sequence[Event]:
        return await self._read(partial(event_rows.of_task, key=key))

    async def events(self, query: EventQuery) -> Sequence[Event]:
        return await self._read(partial(event_rows.find, query=query, shards=self.shards))

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return await self._read(partial(event_rows.undelivered, key=key))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._read(event_rows.backlog)

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return await self._read(partial(dead_letter_rows.find, query=query))

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return await self._read(dead_letter_rows.count)

    async def load_states(self, name: str) -> Sequence[str]:
        return await self._read(partial(state_rows.load_all, name=name))

    # --- operations ------------------------------------------------------------------------------

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._read(partial(dead_letter_rows.mark, ids=ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        if ids is None:
            return await self._in_pieces(partial(dead_letter_rows.purge, ids=None))
        return await self._read(partial(dead_letter_rows.purge, ids=ids))

    async def forget(self, selection: Selection) -> int:
        return await self._read(partial(watch_rows.forget, selection=selection))

    async def requests(self, after: str | None = None) -> Requests:
        if self._forgotten:  # returned before their records are removed, so that none is lost
            with suppress(StoreUnavailable):  # the next call tries again
                await self._read(partial(state_rows.drop_forgotten, numbers=self._forgotten))
                self._forgotten = set()
        erased = await self._read(partial(state_rows.forgotten, shards=self._owned, read=self._forgotten))
        retries = await self._read(partial(dead_letter_rows.to_retry, after=after, shards=self._owned))
        self._forgotten |= {number for number, _ in erased}
        return Requests([key for _, key in erased], retries.items, retries.next)

    # --- how it is done --------------------------------------------------------------------------

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a read, or a small write, on one of the connections for reads."""
        return await self._reads.run(work)

    async def _in_pieces(self, work: Callable[[Connection], Awaitable[int]]) -> int:
        """Repeat the work until it returns 0. Each piece is a transaction, so that other calls do not wait for all of them."""
        total = 0
        while piece := await self._read(work):
            total += piece
        return total

    async def _prune_watches(self, before: float) -> int:
        total, last = 0, (float("-inf"), 0)
        while found := await self._read(partial(watch_rows.prune, schema=self._settings.schema_name, before=before, last=last)):
            last, total = found[:2], total + found[2]
        return total

    async def _write_shared(self, db: Connection, calls: Sequence[_Admission | _DeadLetters]) -> list[Any]:
        """Write admissions and dead letters, as one transaction each."""
        watches: dict[str, Watch] = {}
        for watch in (watch for call in calls if isinstance(call, _Admission) for watch in call.watches):
            watches.setdefault(watch.key, watch)
        found = await watch_rows.admit(db, watches, self.shards, self._me, self._channel) if watches else {}
        dead_letters = [each for call in calls if isinstance(call, _DeadLetters) for each in call.dead_letters]
        if dead_letters:
            async with db.pipeline(), db.transaction():
                await dead_letter_rows.lock(db, dead_letters)
                await dead_letter_rows.add(db, dead_letters, self.shards)
        return [[found[watch.key] for watch in call.watches] if isinstance(call, _Admission) else None for call in calls]

    def _set_shards(self, shards: int) -> None:
        self.shards = shards
        self._owner_writes.shards = shards
