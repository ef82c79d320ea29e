"""Starts and ends the work on a shard: loads its watches when it is claimed, and stops everything about it when it is given up.

The only caller of `adopt` and `release` on the pollers, the sink workers, the backlog, and the deferred acknowledgements.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from watcher.model import Lease
from watcher.ports import Store
from watcher.runtime.acks import Acknowledger
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.leases import Leases
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.wakeup import Wakeup


@dataclass(frozen=True, slots=True)
class Owned:
    """What works on the owned shards, in the order in which a shard is adopted."""

    backlog: BacklogCounter
    sink_workers: Sequence[SinkWorker]
    pollers: PollerSet
    acks: Acknowledger

    def wake(self) -> None:
        """Let everything look for work again: the leases were renewed after they had nearly ended."""
        self.pollers.wake()
        for worker in self.sink_workers:
            worker.look_again()


class Adoption:
    """The shards that were claimed, on their way to being worked on."""

    def __init__(self, store: Store, leases: Leases, owned: Owned) -> None:
        self.done = anyio.Event()
        """Set when the shards of the first claim are adopted: all their open watches are loaded."""
        self.on_adopted: Callable[[], None] = lambda: None
        """Called when the shards of a claim are adopted, if there were any."""
        self._store = store
        self._leases = leases
        self._owned = owned
        self._waiting: deque[Lease] = deque()
        self._adopted: set[int] = set()
        """Shards whose watches are loaded."""
        self._wakeup = Wakeup()
        self._stopping = False

    @property
    def count(self) -> int:
        """The number of owned shards that are adopted."""
        return len(self._adopted & self._leases.held.keys())

    def add(self, gained: Sequence[Lease]) -> None:
        """Adopt these shards soon. Called after each claim, also if it gained none."""
        self._waiting.extend(gained)
        self._wakeup.set()

    def stop(self) -> None:
        """Adopt no more watches."""
        self._stopping = True

    async def run(self) -> None:
        """Adopt what is added, until cancelled. A renewal does not wait for it: to load a large shard may take long."""
        while True:
            await self._wakeup.wait()
            await self.adopt_waiting()
            self.done.set()

    async def adopt_waiting(self) -> None:
        """Adopt all that was added."""
        found = bool(self._waiting)
        while self._waiting:
            lease = self._waiting.popleft()
            await self._adopt(lease)
            if self._keeps(lease):
                self._adopted.add(lease.shard)
        if found:
            self.on_adopted()

    def release(self, shard: int) -> None:
        """Start nothing more about this shard. Calls and deliveries under way end."""
        self._adopted.discard(shard)
        self._owned.pollers.release(shard)
        for worker in self._owned.sink_workers:
            worker.release(shard)
        self._owned.backlog.release(shard)
        self._owned.acks.drop_where(lambda key: self._leases.shard(key) == shard)

    def is_busy(self, shard: int, *, polling: bool) -> bool:
        """Whether deliveries about this shard are under way, or calls where `polling`, or what they showed is being written."""
        return (polling and self._owned.pollers.busy(shard)) or any(worker.busy(shard) for worker in self._owned.sink_workers)

    async def _adopt(self, lease: Lease) -> None:
        """Load the watches of a shard. Polling starts with the first ones; it does not wait for the last. Ends when the lease is lost."""
        if not self._keeps(lease):
            return
        backlog = await self._store.count_backlog(lease.shard)
        if not self._keeps(lease):
            return
        self._owned.backlog.adopt(lease.shard, backlog)
        for worker in self._owned.sink_workers:
            worker.adopt(lease.shard)
        with self._owned.pollers.reads.begin() as read:
            async for watches in self._store.load(lease):
                if not self._keeps(lease):
                    return
                self._owned.pollers.adopt(watches, read)

    def _keeps(self, lease: Lease) -> bool:
        return not self._stopping and self._leases.holds(lease) and not self._leases.is_leaving(lease.shard)
