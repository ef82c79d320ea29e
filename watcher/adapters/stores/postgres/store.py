"""The store in PostgreSQL: which method is a read, which one is a group of writes, and which one is about the leases."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio

from watcher.adapters.stores.postgres import (
    copy_rows,
    dead_letter_rows,
    erasure_rows,
    event_rows,
    replica_rows,
    state_rows,
    token_rows,
    watch_rows,
)
from watcher.adapters.stores.postgres.adoption import Adoption, reset_future_xids
from watcher.adapters.stores.postgres.connections import Connection, Limits, Server, Session, Sessions
from watcher.adapters.stores.postgres.owner_writes import Commit, OwnerWrite, OwnerWrites, Settlement
from watcher.adapters.stores.postgres.schema import MIGRATION_S, Schema, one
from watcher.adapters.stores.postgres.settings import PostgresStoreSettings
from watcher.adapters.stores.postgres.shared_writes import Admission, DeadLetters, SharedWrite, SharedWrites
from watcher.adapters.stores.postgres.signals import Listener
from watcher.adapters.stores.postgres.tables import MIGRATIONS, Migration
from watcher.adapters.stores.postgres.writer import Lane
from watcher.core.delivery.leftovers import check_same_sinks, leftovers, to_drop
from watcher.core.ownership.grace import Grace
from watcher.errors import StoreError, StoreRefused, StoreUnavailable
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

T = TypeVar("T")


def replica_name() -> str:
    """A name for a replica: the host, and 6 random hexadecimal digits."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


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
        self._grace = Grace(settings.lease)
        self._adoption = Adoption(self._read)
        self._owner_writes = OwnerWrites(settings.shards)
        self._shared_writes = SharedWrites(settings.shards, self._channel)
        self._me = ""
        """The name of this replica, from its first claim until it leaves."""
        self._registered = ""
        """As `_me`, but from before the answer to the claim that registers it: that answer may be lost."""
        self._owned: frozenset[int] = frozenset()
        """The shards of the last claim that were not released since."""
        self._sinks: Sequence[str] = ()
        """The sinks that the store was opened with."""
        self._forgotten: set[int] = set()
        """The erasures returned by `requests`, until their records are removed."""
        self._copy_record = ""
        """The record of the copy into this store, as this process has written it."""
        self._start()

    def _start(self) -> None:
        """Create what holds connections. None is opened yet."""
        server, limits = self._server, self._server.limits
        # A claim that gets no answer is given up early enough for another attempt before the leases end.
        statement = min(limits.statement, 0.8 * self._settings.renew)
        self._claims = Session(server, Limits(statement, min(limits.lock, 0.9 * statement), min(limits.call, self._settings.renew)))
        self._reads = Sessions(server, self._settings.max_connections)
        self._owner_lane: Lane[OwnerWrite] = Lane(Session(server), self._owner_writes.write, server.place)
        self._shared_lane: Lane[SharedWrite] = Lane(Session(server), self._shared_writes.write, server.place)
        self._listener = Listener(server, self._channel, lambda: self._me)
        self._closed = False

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        async def work(db: Connection) -> Mapping[str, Leftover]:
            async with db.transaction():
                await self._schema.lock(db)
                await copy_rows.accept(db)
                removed = await event_rows.lock_sinks_to_remove(db, sinks)
                running = await replica_rows.replicas(db, self._terms)
                check_same_sinks(removed, sinks, [replica.name for replica in running if replica.name != self._me])
                backlog = await event_rows.backlog(db, without=sinks)
                dropped = to_drop(leftovers(sinks, backlog, await dead_letter_rows.count(db, without=sinks)), drop)
                await dead_letter_rows.drop(db, list(dropped))
                await event_rows.set_sinks(db, sinks, self.shards)
                await reset_future_xids(db)
            return dropped

        await self._prepare()
        dropped = await self._read(work)
        self._sinks = tuple(sinks)
        await self._listener.open()
        return dropped

    async def _prepare(self) -> None:
        if self._closed:
            self._start()
        if not await self._read(self._schema.is_current):
            await self._reads.run(partial(self._schema.migrate, shards=self._settings.shards), call_s=2 * MIGRATION_S)
        await self.attach()

    async def attach(self) -> None:
        if self._closed:
            self._start()
        self.shards = await self._read(self._schema.expect)
        self._owner_writes.shards = self._shared_writes.shards = self.shards

    async def close(self) -> None:
        """Finish the queued writes, and leave, so that the others need not wait until the leases end."""
        with anyio.CancelScope(shield=True):
            await self._owner_lane.close()
            await self._shared_lane.close()
            await self._claims.drain()  # a claim whose caller was cancelled: from then on there is something to give back
            if self._registered:
                with suppress(StoreError):
                    await self.release((), leaving=True)
            await self._claims.close()
            await self._reads.close()
            await self._listener.close()
        self._closed = True

    async def check(self) -> str:
        async def work(db: Connection) -> str:
            version = db.info.parameter_status("server_version") or "?"
            (schema,) = await one(db, "SELECT version FROM store")
            tls = ", TLS" if db.pgconn.ssl_in_use else ""
            return f"PostgreSQL {version.split()[0]}, schema {schema}{tls}"

        return await self._reads.run(work)

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        terms = self._terms

        async def work(db: Connection) -> Claim:
            try:
                claim = await replica_rows.claim(db, terms, self._registered, self._name_anew, report)
            except replica_rows.NameTaken:
                self._registered = ""
                raise
            self._me = self._owner_writes.me = self._shared_writes.me = claim.me  # here: the caller may have been cancelled
            self._owned = frozenset(lease.shard for lease in claim.leases)
            return claim

        return await self._claims.run(work)

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        if not leases and not leaving:
            return
        await self._claims.run(lambda db: replica_rows.release(db, self._registered, leases, leaving=leaving, channel=self._channel))
        self._owned -= {lease.shard for lease in leases}
        if leaving:
            self._me, self._registered, self._owned = "", "", frozenset()

    def _name_anew(self) -> str:
        self._registered = self._new_name()
        return self._registered

    async def wait(self) -> Signals:
        return await self._listener.wait()

    def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        return self._adoption.load(lease)

    def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        return self._adoption.arrivals(leases)

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        found: Sequence[Watch] = await self._shared_lane.run(Admission(watches, task_tokens)) if watches else ()
        return found

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        return await self._read(partial(watch_rows.announce, keys=keys, me=self._me, channel=self._channel)) if keys else ()

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        erased: Collection[str] = await self._owner_lane.run(Commit(changes, leases)) if changes else ()
        return erased

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        if dead_letters:
            await self._shared_lane.run(DeadLetters(dead_letters))

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        schema = self._settings.schema_name
        watches, after = 0, erasure_rows.FIRST
        while piece := await self._read(partial(erasure_rows.prune_watches, schema=schema, before=before, after=after)):
            after, watches = piece[0], watches + piece[1]
        inputs = await self._in_pieces(partial(erasure_rows.prune_dead_letters, schema=schema, what="input", before=before))
        events = 0
        if events_before is not None:
            events = await self._in_pieces(partial(erasure_rows.prune_dead_letters, schema=schema, what="event", before=events_before))
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

    async def task_tokens(self, keys: Sequence[str]) -> TaskTokens:
        return await self._read(partial(token_rows.find, keys=keys))

    async def begin_answers(self, tokens: TaskTokens) -> TaskTokens:
        return await self._read(partial(token_rows.begin, tokens=tokens))

    async def drop_tokens(self, tokens: TaskTokens) -> None:
        await self._read(partial(token_rows.drop, tokens=tokens))

    async def late_tokens(self, shards: Collection[int], limit: int) -> Sequence[str]:
        return await self._read(partial(token_rows.late, shards=sorted(shards), limit=limit))

    async def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        return await self._read(partial(token_rows.waiting, shards=sorted(shards), after=after, limit=limit))

    # --- queries ---------------------------------------------------------------------------------

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
        watches = await self._in_pieces(partial(erasure_rows.forget_watches, selection=selection))
        await self._in_pieces(partial(erasure_rows.forget_dead_letters, selection=selection))
        return watches

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._read(partial(watch_rows.cancel, keys=keys)) if keys else 0

    async def requests(self, after: str | None = None) -> Requests:
        if self._forgotten:  # returned before their records are removed, so that none is lost
            with suppress(StoreUnavailable):  # the next call tries again
                await self._read(partial(state_rows.drop_forgotten, numbers=self._forgotten))
                self._forgotten = set()
        erased = await self._read(partial(state_rows.forgotten, shards=sorted(self._owned), read=self._forgotten))
        retries = await self._read(partial(dead_letter_rows.to_retry, after=after, shards=sorted(self._owned)))
        cancelled = await self._read(partial(watch_rows.cancelled, shards=sorted(self._owned), limit=CANCEL_PAGE))
        self._forgotten |= {number for number, _ in erased}
        return Requests([key for _, key in erased], retries.items, retries.next, cancelled)

    # --- copies ----------------------------------------------------------------------------------

    async def attach_alone(self) -> None:
        await self.attach()
        await self._check_unused()
        await self._read(copy_rows.check_complete)

    async def states(self) -> Mapping[str, str]:
        return await self._read(copy_rows.states)

    async def cancelled(self) -> Sequence[str]:
        return list(await self._read(partial(watch_rows.cancelled, shards=range(self.shards), limit=None)))

    async def open_target(self) -> None:
        await self._prepare()
        await self._check_unused()
        await self._read(copy_rows.check_empty)

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        async def work(db: Connection) -> tuple[str, str]:
            async with db.transaction():
                await self._schema.lock(db)
                return await copy_rows.begin(db, source, sinks, self.shards)

        self._copy_record, progress = await self._read(work)
        return progress

    async def restore(self, portion: Portion, progress: str) -> None:
        async def work(db: Connection) -> str:
            async with db.transaction():
                return await copy_rows.restore(db, portion, self._copy_record, progress, self.shards)

        self._copy_record = await self._read(work)

    async def end_copy(self) -> None:
        await self._read(copy_rows.end)

    async def _check_unused(self) -> None:
        if running := await self.replicas():
            names = ", ".join(replica.name for replica in running)
            raise StoreRefused(f"{self._server.place}: {len(running)} replicas are running on it ({names}): stop them first")

    # --- how it is done --------------------------------------------------------------------------

    @property
    def _terms(self) -> replica_rows.Terms:
        return replica_rows.Terms(self._settings.lease, self._now, self._grace, self.shards, self._sinks)

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a read, or a small write, on one of the connections for reads."""
        return await self._reads.run(work)

    async def _in_pieces(self, work: Callable[[Connection], Awaitable[int]]) -> int:
        """Repeat the work until it returns 0. Each piece is a transaction, so that other calls do not wait for all of them."""
        total = 0
        while piece := await self._read(work):
            total += piece
        return total
