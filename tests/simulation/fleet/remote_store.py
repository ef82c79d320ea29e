"""The store of one process, at the other end of its link, and what the audit must know about each of its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import anyio

from tests.simulation.disk import WRITES
from tests.simulation.fleet.audit import Audit
from tests.simulation.fleet.link import Link
from tests.simulation.fleet.server import Server
from watcher.errors import Fenced, StoreError, StoreUnavailable
from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Event, Lease, Leftover, Report, TaskTokens, Watch, shard_of
from watcher.ports import Signals

RESTART_S = 5.0
"""Seconds after which a process that could not open its store is started again."""
PIECE = 3
"""Watches in one piece of a read: small, so that something can happen between two pieces."""
SIGNALS = Signals(admitted=True, released=True)
DIRECT = ("durable", "shards", "renew_s", "check", "attach")


class RemoteStore:
    """The store of one process, at the other end of its link. `polls` says whether the process polls a task."""

    def __init__(self, process: int, server: Server, link: Link, audit: Audit, lose_signal: Callable[[], bool]) -> None:
        self.polls: Callable[[str], bool] = lambda key: False
        self._process = process
        self._server = server
        self._link = link
        self._audit = audit
        self._lose_signal = lose_signal
        self._store = server.store(process, link)
        self._deaf = True
        """Signals may have been lost."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if name in DIRECT or not callable(value):
            return value
        return lambda *args, **kwargs: self._link.call(name, partial(value, *args, **kwargs), writes=name in WRITES)

    @property
    def replica(self) -> str:
        """The name under which the leases of this process are kept now."""
        return self._server.replica(self._store)

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        """Open it, as often as a supervisor starts a process that cannot."""
        while True:
            try:
                return await self._link.call("open", lambda: self._store.open(sinks, drop))
            except StoreError:
                await anyio.sleep(RESTART_S)

    async def close(self) -> None:
        """Leave the store as a process does that ends: what it has not released stays its own until the lease ends."""

    # --- what the audit must know ----------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        async def work() -> Claim:
            claim = await self._store.claim(report)
            self._audit.claimed(self._process, claim, self._server.owners())
            return claim

        return await self._link.call("claim", work, writes=True)

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        async def work() -> None:
            await self._store.release(leases, leaving=leaving)
            self._audit.released(self._process, self._server.owners(), leaving=leaving)

        await self._link.call("release", work, writes=True)

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        shards = {shard_of(change.watch.key, self._store.shards) for change in changes}
        return await self._write("commit", partial(self._store.commit, changes, leases), shards, leases)

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        shards = {item.shard for item in (*delivered, *dead_letters)}
        await self._write("settle", partial(self._store.settle, sink, delivered, dead_letters, leases), shards, leases)

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        async def work() -> Sequence[Watch]:
            existing = await self._store.admit(watches, task_tokens)
            self._audit.admitted(self._process, {watch.key for watch in existing} & {watch.key for watch in watches if watch in existing})
            return existing

        return await self._link.call("admit", work, writes=True)

    async def _write(self, name: str, work: Callable[[], Any], shards: Collection[int], leases: Mapping[int, Lease]) -> Any:
        leases = dict(leases)

        async def audited() -> Any:
            try:
                result = await work()
            except Fenced as error:
                self._audit.fenced(self._process, error.shards, leases)
                raise
            self._audit.wrote(self._process, shards, leases, self._server.owners())
            return result

        return await self._link.call(name, audited, writes=True)

    # --- reads in pieces -------------------------------------------------------------------------

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        async for watches in self._pieces("load", self._store.load(lease)):
            yield watches

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        async for watches in self._pieces("arrivals", self._store.arrivals(leases)):
            self._audit.arrived(self._process, [watch.key for watch in watches if not self.polls(watch.key)])
            yield watches

    async def _pieces(self, name: str, pieces: AsyncIterator[Sequence[Watch]]) -> AsyncIterator[Sequence[Watch]]:
        while True:
            watches = await self._link.call(name, lambda: anext(pieces, None))  # type: ignore[arg-type]  # it is awaitable
            if watches is None:
                return
            yield watches[:PIECE]
            for start in range(PIECE, len(watches), PIECE):
                yield await self._link.call(name, partial(_same, watches[start : start + PIECE]))

    async def wait(self) -> Signals:
        """Signals may be lost, and are while the link is. The first call after that returns all of them."""
        while not self._link.lost and not self._link.dead:
            if self._deaf:
                self._deaf = False
                return SIGNALS
            with anyio.move_on_after(1.0):
                signals = await self._store.wait()
                if not self._lose_signal():
                    return signals
        self._deaf = True
        await anyio.sleep(0.1)
        raise StoreUnavailable("connection lost")


async def _same(watches: Sequence[Watch]) -> Sequence[Watch]:
    return watches
