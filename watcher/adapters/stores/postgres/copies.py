"""`ports.Copies` in PostgreSQL."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from watcher.adapters.stores.postgres import copy_rows, replica_rows, watch_rows
from watcher.adapters.stores.postgres.access import PostgresAccess
from watcher.adapters.stores.postgres.connections import Connection
from watcher.errors import StoreRefused
from watcher.model import Portion


class PostgresCopies(PostgresAccess):
    """The whole content of the store, read or written while no replica runs on it."""

    _copy_record = ""
    """The record of the copy into this store, as this process has written it."""

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
        if running := await self._read(partial(replica_rows.replicas, terms=self._terms)):
            names = ", ".join(replica.name for replica in running)
            raise StoreRefused(f"{self._server.place}: {len(running)} replicas are running on it ({names}): stop them first")
