"""The real store of one process, with a check of each write that succeeds."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings
from watcher.errors import StoreError
from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Event, Lease, Report, TaskTokens, Watch, shard_of
from watcher.ports import Signals

if TYPE_CHECKING:
    from tests.simulation.fleet_postgres.server import PostgresFleet


class FleetStore(PostgresStore):
    """The store of one process. What it does, it does in tasks of the world, which no freeze of the process stops."""

    def __init__(self, fleet: PostgresFleet, process: int, settings: PostgresStoreSettings, name: Callable[[], str]) -> None:
        super().__init__(settings, now="(SELECT at FROM clock)", name=name)
        self._fleet = fleet
        self._process = process
        self._wire = fleet.wire(process)
        self._signals: asyncio.Queue[Signals | StoreError] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The name under which its leases are kept now."""
        return self._me

    @property
    def busy(self) -> bool:
        """Whether any of its calls is still running."""
        lanes = self._owner_lane, self._shared_lane
        sessions = [self._claims, *self._reads._all, *(lane._session for lane in lanes)]
        listens = self._listening is not None and not self._listening.done()
        return listens or any(session._running for session in sessions) or any(lane._writing is not None for lane in lanes)

    def stop_listening(self) -> None:
        """Hear no signals any more."""
        if self._listening is not None:
            self._listening.cancel()

    async def wait(self) -> Signals:
        if self._listening is None or self._listening.done():
            self._listening = asyncio.get_running_loop().create_task(self._listen(), context=contextvars.Context())
        heard = await self._signals.get()
        if isinstance(heard, StoreError):
            raise heard
        return heard

    async def _listen(self) -> None:
        try:
            while True:
                self._signals.put_nowait(await super().wait())
        except StoreError as error:
            self._signals.put_nowait(error)

    async def claim(self, report: Report | None = None) -> Claim:
        self._wire.needs_clock += 1
        try:
            return await super().claim(report)
        finally:
            self._wire.needs_clock -= 1

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        await super().release(leases, leaving=leaving)
        self._fleet.io.signals_expected = True

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        self._fleet.slow_commit(self._process)
        found = await super().admit(watches, task_tokens)
        self._fleet.io.signals_expected = True
        return found

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        found = await super().announce(keys)
        self._fleet.io.signals_expected = True
        return found

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        return await self._checked(super().commit(changes, leases), {shard_of(change.watch.key, self.shards) for change in changes}, leases)

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        shards = {item.shard for item in (*delivered, *dead_letters)}
        await self._checked(super().settle(sink, delivered, dead_letters, leases), shards, leases)

    async def _checked(self, write: Any, shards: Collection[int], leases: Mapping[int, Lease]) -> Any:
        """Note a write that succeeds under a lease that had ended before it began."""
        leases, before = dict(leases), self._fleet.owners()
        self._fleet.slow_commit(self._process)
        result = await write
        for shard in shards:
            if shard not in leases or leases[shard].epoch < before[shard][1]:
                self._fleet.note_broken(f"{self.name} wrote to shard {shard} under {leases.get(shard)}, before: {before[shard]}")
        return result
