"""`ports.Queries` in memory."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from watcher.adapters.stores.memory.access import MemoryAccess
from watcher.model import Backlog, DeadLetter, Event, Replica, Watch
from watcher.ports import IDENTITY
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, TaskQuery


class MemoryQueries(MemoryAccess):
    """Reads of the content."""

    async def identity(self) -> str:
        return self.content.state[IDENTITY][""]

    async def task(self, key: str) -> Watch | None:
        return self.content.watches.get(key)

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        return self.content.tasks(query)

    async def replicas(self) -> Sequence[Replica]:
        return ()

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        refs = (watch.ref for watch in self.content.watches.values() if watch.open)
        return sum((kinds is None or ref.kind in kinds) and (targets is None or ref.target in targets) for ref in refs)

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        return self.content.count_by_state(now)

    async def task_events(self, key: str) -> Sequence[Event]:
        return self.content.task_events(key)

    async def events(self, query: EventQuery) -> Sequence[Event]:
        return self.content.events(query)

    async def positions(self) -> Mapping[int, int]:
        return {shard.number: shard.last for shard in self.content.shards if shard.last is not None}

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return self.content.undelivered(key)

    async def backlog(self) -> Mapping[str, Backlog]:
        return self.content.backlog()

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return self.content.dead_letters.find(query)

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return self.content.dead_letters.count()

    async def load_state(self, name: str) -> str | None:
        return self.content.state.get(name, {}).get("")

    async def load_states(self, name: str) -> Sequence[str]:
        return list(self.content.state.get(name, {}).values())
