"""Which shards this process owns: claims them, adopts new ones, and gives up lost ones.

The only caller of `adopt` and `release` on the pollers, the sink workers, the backlog, and the deferred
acknowledgements. With a store that has a single owner, all shards are claimed once and never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio
import structlog

from watcher.errors import StoreRefused
from watcher.model import Lease
from watcher.ports import Store
from watcher.runtime.acks import Acknowledger
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.clock import Clock
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.leases import Leases
from watcher.runtime.poller_set import PollerSet

log = structlog.get_logger("watcher.ownership")


@dataclass(frozen=True, slots=True)
class Owned:
    """What works on the owned shards, in the order in which a shard is adopted."""

    backlog: BacklogCounter
    sink_workers: Sequence[SinkWorker]
    pollers: PollerSet
    acks: Acknowledger


class Ownership:
    """Keeps the leases of this process current, and the work that depends on them."""

    def __init__(self, store: Store, leases: Leases, owned: Owned, clock: Clock) -> None:
        self.adopted = anyio.Event()
        """Set when the shards of the first claim are adopted: all their open watches are loaded."""
        self._store = store
        self._leases = leases
        self._owned = owned
        self._clock = clock
        self._stopping = False

    async def run(self) -> None:
        """Claim and adopt shards, and renew the leases while they can expire. Returns when they cannot."""
        await self.claim()
        self.adopted.set()
        while self._store.renew_s is not None:
            await anyio.sleep(self._store.renew_s)
            await self.claim()

    async def claim(self) -> None:
        """Renew the leases once: release lost shards and adopt new ones."""
        claimed_at = self._clock.mono()
        gained, lost = self._leases.update(await self._store.claim(), claimed_at)
        for shard in lost:
            self._release(shard)
        for lease in gained:
            await self._adopt(lease)

    def fenced(self, shards: Iterable[int]) -> None:
        """A write has shown that another process owns these shards: give them up at once.

        Raises StoreRefused when no shard is left and none can be claimed again, as with a store for a single owner.
        """
        for shard in shards:
            if shard in self._leases.held:
                log.warning("shard_lost", shard=shard, hint="another process owns it now; run one process for each store")
                self._leases.drop(shard)
                self._release(shard)
        if not self._leases.held and self._store.renew_s is None:
            raise StoreRefused("another process has taken over this store: only one process can use it at a time")

    def stop(self) -> None:
        """Adopt no more watches."""
        self._stopping = True

    async def give_back(self) -> None:
        """Release all shards, so that another replica can claim them without waiting for the leases to expire."""
        await self._store.release(list(self._leases.held.values()))

    async def _adopt(self, lease: Lease) -> None:
        """Load the watches of a shard. Polling starts with the first ones; it does not wait for the last. Ends when the lease is lost."""
        backlog = await self._store.count_backlog(lease.shard)
        if not self._leases.holds(lease):
            return
        self._owned.backlog.adopt(lease.shard, backlog)
        for worker in self._owned.sink_workers:
            worker.adopt(lease.shard)
        async for watches in self._store.load(lease):
            if self._stopping or not self._leases.holds(lease):
                return
            self._owned.pollers.adopt(watches)

    def _release(self, shard: int) -> None:
        self._owned.pollers.release(shard)
        for worker in self._owned.sink_workers:
            worker.release(shard)
        self._owned.backlog.release(shard)
        self._owned.acks.drop_where(lambda key: self._leases.shard(key) == shard)
