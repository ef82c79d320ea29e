"""The shared store of a fleet story. `Server` is what another kind of shared store implements, on real I/O or in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tests.simulation.disk import NO_LIMIT, Content
from tests.simulation.fleet.audit import Audit, Owners
from tests.simulation.fleet.link import Link
from tests.simulation.fleet.story import LEASE_S, RENEW_S
from watcher.adapters.stores.memory import MemoryReplica, SharedMemory
from watcher.ports import Store
from watcher.query import DeadLetterQuery, Selection


class Server(Protocol):
    """A shared store. Its own calls take no time, and never fail: `RemoteStore` adds the network, trouble, and the audit.

    A store behind a real network can implement it as well: its calls are awaited in tasks of the world, never in those of a
    process, and the clock of its leases must be that of the loop.
    """

    def store(self, process: int, link: Link) -> Store:
        """The store of another process, which is connected by this link."""
        ...

    def audit(self, now: Callable[[], float]) -> Audit:
        """What is told of each claim, release, and write. `now` is the time of the loop."""
        ...

    def kill(self, process: int) -> None:
        """This process was killed: its connections end at once, without a goodbye."""
        ...

    async def close(self) -> None:
        """Nothing is called any more."""
        ...

    def replica(self, store: Store) -> str:
        """The name under which the leases of this store are kept now."""
        ...

    def owners(self) -> Owners: ...
    def content(self) -> Content: ...

    async def forget(self, selection: Selection) -> int:
        """Erase tasks, as an operator does beside the watcher."""
        ...

    async def cancel(self, keys: Sequence[str]) -> int:
        """Cancel tasks, as an operator does beside the watcher."""
        ...

    async def retry_all(self) -> int:
        """Request a retry of all dead letters of events."""
        ...


class MemoryServer:
    """A shared store in memory with this number of shards. `clock` returns seconds since the epoch."""

    def __init__(self, shards: int, clock: Callable[[], float]) -> None:
        self.shared = SharedMemory(shards, clock, lease_s=LEASE_S, renew_s=RENEW_S)

    def store(self, process: int, link: Link) -> MemoryReplica:
        return self.shared.replica(f"replica-{process}")

    def audit(self, now: Callable[[], float]) -> Audit:
        return Audit(now)

    def kill(self, process: int) -> None: ...
    async def close(self) -> None: ...

    def replica(self, store: Store) -> str:
        assert isinstance(store, MemoryReplica)
        return store.replica

    def owners(self) -> Owners:
        return {shard.number: (shard.owner, shard.epoch) for shard in self.shared.content.shards}

    def content(self) -> Content:
        content = self.shared.content
        backlog = {sink: waiting.events for sink, waiting in content.backlog().items()}
        open_ = [watch.key for watch in content.watches.values() if watch.open]
        return Content(open_, backlog, content.dead_letters.find(DeadLetterQuery(limit=NO_LIMIT)).items)

    async def forget(self, selection: Selection) -> int:
        return self.shared.content.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return self.shared.content.cancel(keys)

    async def retry_all(self) -> int:
        letters = self.content().dead_letters
        return self.shared.content.dead_letters.mark([letter.id for letter in letters if letter.what == "event"])
