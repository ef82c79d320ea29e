"""`ports.Outbox` in memory."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from watcher.adapters.stores.memory.access import MemoryAccess
from watcher.model import Backlog, DeadLetter, Event, Lease, TaskTokens
from watcher.query import Page


class MemoryOutbox(MemoryAccess):
    """Each shard keeps its events, and what each sink has settled of them."""

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        return self.content.shards[shard].outbox(sink, after, limit)

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        self.content.settle(sink, delivered, dead_letters, leases)

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        return self.content.shards[shard].backlog()

    async def task_tokens(self, keys: Sequence[str]) -> TaskTokens:
        return self.content.tokens.find(keys)

    async def begin_answers(self, tokens: TaskTokens) -> TaskTokens:
        return self.content.tokens.begin(tokens)

    async def drop_tokens(self, tokens: TaskTokens) -> None:
        self.content.tokens.drop(tokens)

    async def late_tokens(self, shards: Collection[int], limit: int) -> Sequence[str]:
        return self.content.late_tokens(shards, limit)

    async def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        return self.content.open_tokens(shards, after, limit)
