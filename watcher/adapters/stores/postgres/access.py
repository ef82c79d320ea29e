"""What the parts of the store share: the connections for reads, and what this process knows about its shards and sinks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from watcher.adapters.stores.postgres import replica_rows
from watcher.adapters.stores.postgres.connections import Connection, Server, Sessions
from watcher.adapters.stores.postgres.schema import MIGRATION_S, Schema
from watcher.adapters.stores.postgres.settings import PostgresStoreSettings
from watcher.adapters.stores.postgres.tables import Migration
from watcher.core.ownership.grace import Grace

T = TypeVar("T")


class PostgresAccess:
    """The common base of the parts of `PostgresStore`, one for each protocol of `watcher/ports/`."""

    def __init__(self, settings: PostgresStoreSettings, now: str, migrations: Sequence[Migration]) -> None:
        self.shards = settings.shards
        self.renew_s: float | None = settings.renew
        self._settings = settings
        self._now = now
        self._server = Server(settings)
        self._schema = Schema(settings.schema_name, self._server.place, migrations)
        self._grace = Grace(settings.lease)
        self._owned: frozenset[int] = frozenset()
        """The shards of the last claim that were not released since."""
        self._sinks: Sequence[str] = ()
        """The sinks that the store was opened with."""
        self._closed = False

    def _start(self) -> None:
        """Create what holds connections. None is opened yet."""
        self._reads = Sessions(self._server, self._settings.max_connections)
        self._closed = False

    async def attach(self) -> None:
        """As `Queries.attach`."""
        if self._closed:
            self._start()
        self.shards = await self._read(self._schema.expect)

    async def _prepare(self) -> None:
        if self._closed:
            self._start()
        if not await self._read(self._schema.is_current):
            await self._reads.run(partial(self._schema.migrate, shards=self._settings.shards), call_s=2 * MIGRATION_S)
        await self.attach()

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
