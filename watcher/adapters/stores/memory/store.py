"""The store in memory: opening, and `ports.Shards`. The other protocols of the port are in modules of the same names.

It keeps the whole contract of `watcher/ports/` without a disk. No call waits for anything but `wait`.
"""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Literal

import anyio

from watcher.adapters.stores.memory.content import LOAD_BATCH, MemoryContent
from watcher.adapters.stores.memory.copies import MemoryCopies
from watcher.adapters.stores.memory.operations import MemoryOperations
from watcher.adapters.stores.memory.outbox import MemoryOutbox
from watcher.adapters.stores.memory.queries import MemoryQueries
from watcher.core.copying import marker
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Lease, Leftover, Pruned, Report, TaskTokens, Watch
from watcher.ports import Signals
from watcher.section import Section


class MemoryStoreSettings(Section):
    """Writes nothing to disk. A message stays in its source until the last event of its tasks is delivered."""

    type: Literal["memory"] = "memory"


class MemoryStore(MemoryOutbox, MemoryQueries, MemoryOperations, MemoryCopies):
    """A `Store` with a single owner. More than one shard is for tests."""

    durable = False
    renew_s: float | None = None

    def __init__(self, settings: MemoryStoreSettings, shards: int = 1, content: MemoryContent | None = None) -> None:
        super().__init__(content or MemoryContent(shards))

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        dropped = self._set_sinks(sinks, drop)
        self._leases.leave("")
        self.content.forgotten.clear()
        return dropped

    async def close(self) -> None:
        self._open = False

    async def check(self) -> str:
        return f"memory, {len(self.content.watches)} watches"

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        return Claim(self._leases.claim("", report).leases)

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        self._leases.release("", leases)

    async def wait(self) -> Signals:
        await anyio.sleep_forever()
        return Signals()

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        watches = self.content.load(lease.shard)
        for start in range(0, len(watches), LOAD_BATCH):
            yield watches[start : start + LOAD_BATCH]

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        for _ in ():
            yield ()

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        admitted = [self.content.admit(watch) for watch in watches]
        self.content.add_tokens(task_tokens)
        return admitted

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        return [key for key in keys if (watch := self.content.watches.get(key)) is not None and watch.open]

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        return self.content.commit(changes, leases)

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        self.content.add_dead_letters(dead_letters)

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        return self.content.prune(before, events_before)

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        self.content.state.setdefault(name, {})[""] = text

    def _set_sinks(self, sinks: Sequence[str], drop: Collection[str]) -> Mapping[str, Leftover]:
        content = self.content
        marker.check_complete(self._copy_record())
        dropped = to_drop(leftovers(sinks, content.backlog(), content.dead_letters.count()), drop)
        for sink in dropped:
            content.dead_letters.drop(sink)
        if set(sinks) - content.backlog().keys():
            content.tokens.make_late(lambda key: not content.watches[key].open)
        for shard in content.shards:
            shard.set_sinks(sinks)
        content.state.pop(marker.NAME, None)
        self._open = True
        return dropped
