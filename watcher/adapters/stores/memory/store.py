"""The store in memory: the whole contract of `watcher/ports/` without a disk. No call waits for anything but `wait`."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from itertools import islice
from typing import Literal

import anyio

from watcher.adapters.stores.memory.content import LOAD_BATCH, MemoryContent
from watcher.adapters.stores.memory.lease_table import LeaseTable
from watcher.core.copying import marker
from watcher.core.delivery.leftovers import leftovers, to_drop
from watcher.errors import StoreRefused
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
    shard_of,
)
from watcher.ports import CANCEL_PAGE, IDENTITY, Requests, Signals
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, Selection, TaskQuery
from watcher.section import Section


class MemoryStoreSettings(Section):
    """Writes nothing to disk. A message stays in its source until the last event of its tasks is delivered."""

    type: Literal["memory"] = "memory"


class MemoryStore:
    """A `Store` with a single owner. More than one shard is for tests."""

    durable = False
    renew_s: float | None = None

    def __init__(self, settings: MemoryStoreSettings, shards: int = 1, content: MemoryContent | None = None) -> None:
        self.content = content or MemoryContent(shards)
        self.shards = len(self.content.shards)
        self._leases = LeaseTable(self.content.shards, time.time)
        self._open = False

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        dropped = self._set_sinks(sinks, drop)
        self._leases.leave("")
        self.content.forgotten.clear()
        return dropped

    async def attach(self) -> None:
        if not self._open:
            raise StoreRefused("a memory store can be read only inside its own process: set store.type to sqlite to use this command")

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

    async def load_state(self, name: str) -> str | None:
        return self.content.state.get(name, {}).get("")

    # --- outbox ----------------------------------------------------------------------------------

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

    # --- queries ---------------------------------------------------------------------------------

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

    async def load_states(self, name: str) -> Sequence[str]:
        return list(self.content.state.get(name, {}).values())

    # --- operations ------------------------------------------------------------------------------

    async def retry(self, ids: Sequence[str]) -> int:
        return self.content.dead_letters.mark(ids)

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return self.content.dead_letters.purge(ids)

    async def forget(self, selection: Selection) -> int:
        return self.content.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return self.content.cancel(keys)

    async def requests(self, after: str | None = None) -> Requests:
        return self._requests(range(self.shards), after)

    # --- copies ----------------------------------------------------------------------------------

    async def attach_alone(self) -> None:
        await self.attach()
        marker.check_complete(self._copy_record())

    async def states(self) -> Mapping[str, str]:
        return {name: texts[""] for name, texts in self.content.state.items() if "" in texts and name not in (marker.NAME, IDENTITY)}

    async def cancelled(self) -> Sequence[str]:
        return list(self.content.cancelled(range(self.shards)))

    async def open_target(self) -> None:
        marker.check_empty(self._copy_record(), has_content=bool(self.content.watches) or bool(self.content.dead_letters.count()))
        self._open = True

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        found = self._copy_record()
        record, progress = marker.begin(found, source)
        if found is None:
            self.content.reset(sinks)
        self._leases.leave("")
        self.content.state[marker.NAME] = {"": record}
        return progress

    async def restore(self, portion: Portion, progress: str) -> None:
        record = marker.advance(self._copy_record(), progress)
        self.content.restore(portion)
        self.content.state[marker.NAME] = {"": record}

    async def end_copy(self) -> None:
        self.content.state[marker.NAME] = {"": marker.complete(self._copy_record())}

    def _copy_record(self) -> str | None:
        return self.content.state.get(marker.NAME, {}).get("")

    def _requests(self, shards: Collection[int], after: str | None) -> Requests:
        forgotten = self.content.take_forgotten(shards)
        retries = self.content.dead_letters.to_retry(after, lambda letter: self._shard_of_letter(letter) in shards)
        cancelled = dict(islice(self.content.cancelled(shards).items(), CANCEL_PAGE))
        return Requests(forgotten, retries.items, retries.next, cancelled)

    def _shard_of_letter(self, letter: DeadLetter) -> int:
        return letter.shard if letter.what == "event" else shard_of(letter.id, self.shards)

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
