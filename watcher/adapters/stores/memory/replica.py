"""One of several replicas on a shared store in memory: what a server gives to several processes, inside one event loop.

For tests and simulations of replicas. Its leases end by the clock of the store, as those of a server do.
"""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

import anyio

from watcher.adapters.stores.memory.content import LOAD_BATCH, MemoryContent
from watcher.adapters.stores.memory.lease_table import LeaseTable
from watcher.adapters.stores.memory.store import MemoryStore, MemoryStoreSettings
from watcher.core.delivery.leftovers import check_not_removed, check_same_sinks
from watcher.errors import StoreRefused
from watcher.model import NO_TOKENS, Claim, Lease, Leftover, Replica, Report, TaskTokens, Watch
from watcher.ports import Requests, Signals

AT_FIRST = Signals(admitted=True, released=True)
"""What the first call of `wait` returns."""


class SharedMemory:
    """The content that replicas share, with their leases. `clock` is the clock of the store, in seconds since the epoch."""

    def __init__(self, shards: int, clock: Callable[[], float], *, lease_s: float = 15.0, renew_s: float = 5.0) -> None:
        self.content = MemoryContent(shards)
        self.leases = LeaseTable(self.content.shards, clock, lease_s)
        self.renew_s = renew_s
        self.stores: list[MemoryReplica] = []
        """Of all replicas so far."""

    def replica(self, name: str) -> MemoryReplica:
        """The store of another replica. Each has a name of its own."""
        self.stores.append(MemoryReplica(self, name))
        return self.stores[-1]

    def signal(self, sender: MemoryReplica, signals: Signals, shards: Collection[int] | None = None) -> None:
        """Tell the other replicas, or the owners of these shards only."""
        for store in self.stores:
            if store is not sender and (shards is None or any(self.content.shards[shard].owner == store.replica for shard in shards)):
                store.notice(signals)


class MemoryReplica(MemoryStore):
    """A `Store` on shared content. It outlives the replica, so it counts as durable."""

    def __init__(self, shared: SharedMemory, name: str) -> None:
        super().__init__(MemoryStoreSettings(), content=shared.content)
        self.durable = True
        self.renew_s = shared.renew_s
        self.replica = name
        """The name of the current incarnation: after its leases have ended, a replica comes back under another one."""
        self._name = name
        self._incarnations = 1
        self._claimed = False
        self._sinks: Sequence[str] = ()
        """The sinks that the store was opened with."""
        self._shared = shared
        self._signals = AT_FIRST
        self._signaled = anyio.Event()
        self._loaded: dict[Lease, int] = {}
        """By lease, the number of the last admission that `load` or `arrivals` has seen."""

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        running = [replica.name for replica in self._shared.leases.replicas() if replica.name != self.replica]
        check_same_sinks(self.content.backlog(), sinks, running)
        self._sinks = tuple(sinks)
        return self._set_sinks(sinks, drop)

    async def close(self) -> None:
        await super().close()
        self._shared.leases.leave(self.replica)

    async def attach(self) -> None:
        self._open = True

    async def attach_alone(self) -> None:
        self._check_unused()
        await super().attach_alone()

    async def open_target(self) -> None:
        self._check_unused()
        await super().open_target()

    # --- shards ----------------------------------------------------------------------------------

    async def claim(self, report: Report | None = None) -> Claim:
        leases = self._shared.leases
        if self.replica not in leases:
            check_not_removed(self.content.backlog(), self._sinks)
        if self._claimed and self.replica not in leases:
            self._incarnations += 1
            self.replica = f"{self._name}-{self._incarnations}"
        self._claimed = True
        claim = leases.claim(self.replica, report)
        held = {_identity(lease) for lease in claim.leases}
        self._loaded = {lease: seen for lease, seen in self._loaded.items() if _identity(lease) in held}
        return claim

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        freed = self._shared.leases.release(self.replica, leases)
        if leaving:
            self._shared.leases.leave(self.replica)
        if freed or leaving:
            self._shared.signal(self, Signals(released=True))

    async def wait(self) -> Signals:
        while self._signals == Signals():
            await self._signaled.wait()
        signals, self._signals, self._signaled = self._signals, Signals(), anyio.Event()
        return signals

    def notice(self, signals: Signals) -> None:
        """Other replicas have done this."""
        self._signals |= signals
        self._signaled.set()

    async def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        self._loaded[lease] = self.content.admitted
        async for watches in super().load(lease):
            yield watches

    async def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        for lease in leases:
            if lease in self._loaded:  # not for one that is lost in the meantime: its next load sees all
                newest = self.content.admitted
                watches = self.content.load(lease.shard, self._loaded[lease])
                for start in range(0, len(watches), LOAD_BATCH):
                    yield watches[start : start + LOAD_BATCH]
                self._loaded[lease] = newest

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        admitted = await super().admit(watches, task_tokens)
        self._shared.signal(self, Signals(admitted=True), {self.content.shard_of(watch.key) for watch in watches})
        return admitted

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        watched = await super().announce(keys)
        for key in watched:
            self._shared.signal(self, Signals(notified=frozenset({key})), {self.content.shard_of(key)})
        return watched

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        self.content.state.setdefault(name, {})[self.replica if own else ""] = text

    async def load_states(self, name: str) -> Sequence[str]:
        return [text for owner, text in self.content.state.get(name, {}).items() if not owner or owner in self._shared.leases]

    async def replicas(self) -> Sequence[Replica]:
        return self._shared.leases.replicas()

    async def requests(self, after: str | None = None) -> Requests:
        return self._requests(self._shared.leases.owned(self.replica), after)

    def _check_unused(self) -> None:
        if running := len(self._shared.leases.replicas()):
            raise StoreRefused(f"{running} replicas are running on it: stop them first")


def _identity(lease: Lease) -> tuple[int, int]:
    return lease.shard, lease.epoch
