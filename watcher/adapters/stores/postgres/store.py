"""The store in PostgreSQL: opening, and `ports.Shards`. The other protocols of the port are in modules of the same names."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

import anyio

from watcher.adapters.stores.postgres import copy_rows, dead_letter_rows, erasure_rows, event_rows, replica_rows, state_rows, watch_rows
from watcher.adapters.stores.postgres.adoption import Adoption, reset_future_xids
from watcher.adapters.stores.postgres.connections import Connection, Limits, Session
from watcher.adapters.stores.postgres.copies import PostgresCopies
from watcher.adapters.stores.postgres.operations import PostgresOperations
from watcher.adapters.stores.postgres.outbox import PostgresOutbox
from watcher.adapters.stores.postgres.owner_writes import Commit, OwnerWrite, OwnerWrites
from watcher.adapters.stores.postgres.queries import PostgresQueries
from watcher.adapters.stores.postgres.schema import one
from watcher.adapters.stores.postgres.settings import PostgresStoreSettings
from watcher.adapters.stores.postgres.shared_writes import Admission, DeadLetters, SharedWrite, SharedWrites
from watcher.adapters.stores.postgres.signals import Listener
from watcher.adapters.stores.postgres.tables import MIGRATIONS, Migration
from watcher.adapters.stores.postgres.writer import Lane
from watcher.core.delivery.leftovers import check_same_sinks, leftovers, to_drop
from watcher.errors import StoreError
from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Lease, Leftover, Pruned, Report, TaskTokens, Watch
from watcher.ports import Signals


def replica_name() -> str:
    """A name for a replica: the host, and 6 random hexadecimal digits."""
    return f"{socket.gethostname()}-{secrets.token_hex(3)}"


class PostgresStore(PostgresOutbox, PostgresQueries, PostgresOperations, PostgresCopies):
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
        super().__init__(settings, now, migrations)
        self._new_name = name
        self._channel = f"{settings.schema_name}.signals"
        self._adoption = Adoption(self._read)
        self._owner_writes = OwnerWrites(settings.shards)
        self._shared_writes = SharedWrites(settings.shards, self._channel)
        self._me = ""
        """The name of this replica, from its first claim until it leaves."""
        self._registered = ""
        """As `_me`, but from before the answer to the claim that registers it: that answer may be lost."""
        self._start()

    def _start(self) -> None:
        super()._start()
        server, limits = self._server, self._server.limits
        # A claim that gets no answer is given up early enough for another attempt before the leases end.
        statement = min(limits.statement, 0.8 * self._settings.renew)
        self._claims = Session(server, Limits(statement, min(limits.lock, 0.9 * statement), min(limits.call, self._settings.renew)))
        self._owner_lane: Lane[OwnerWrite] = Lane(Session(server), self._owner_writes.write, server.place)
        self._shared_lane: Lane[SharedWrite] = Lane(Session(server), self._shared_writes.write, server.place)
        self._listener = Listener(server, self._channel, lambda: self._me)

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

    async def attach(self) -> None:
        await super().attach()
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
