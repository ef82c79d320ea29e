"""`ports.Outbox` in PostgreSQL."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from watcher.adapters.stores.postgres import event_rows, token_rows
from watcher.adapters.stores.postgres.access import PostgresAccess
from watcher.adapters.stores.postgres.owner_writes import OwnerWrite, Settlement
from watcher.adapters.stores.postgres.writer import Lane
from watcher.model import Backlog, DeadLetter, Event, Lease, TaskTokens
from watcher.query import Page


class PostgresOutbox(PostgresAccess):
    """Settles under leases, in the lane of the owner's writes."""

    _owner_lane: Lane[OwnerWrite]

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
