"""Which shards this process owns: claims them, adopts new ones, hands over those above its share, and gives up lost ones.

The only caller of `adopt` and `release` on the pollers, the sink workers, the backlog, and the deferred
acknowledgements. With a store that has a single owner, all shards are claimed once and never lost.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio
import structlog

from watcher.errors import StoreRefused
from watcher.model import Claim, Lease, Report
from watcher.ports import Store
from watcher.runtime.acks import Acknowledger
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases, Renewal
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.ownership")

AFTER_EXPIRY_S = 0.05
"""How long after the end of the leases of another replica to claim, in seconds."""
FREE_S = 0.5
"""Seconds until the next claim while a shard has no owner: another replica is about to take it, or has left it to this one."""
HAND_OVER_CHECK_S = 0.02
"""Seconds between two looks at whether the work on a shard that is handed over has ended."""


RUN_ONE = "another process owns it now; run one process for each store"
NOT_RENEWED = "this replica starts no call and no delivery until it has renewed its leases: check the store, the network, and its CPU"

AGE_S = 1.0
"""Seconds between two reports of the age of the leases."""
LEASES = "leases"
"""The component of a replica whose leases can end."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What works on the owned shards, in the order in which a shard is adopted."""

    backlog: BacklogCounter
    sink_workers: Sequence[SinkWorker]
    pollers: PollerSet
    acks: Acknowledger


class Ownership:
    """Keeps the leases of this process current, and the work that depends on them. `version` is that of this program."""

    def __init__(self, store: Store, leases: Leases, owned: Owned, instruments: Instruments, version: str = "") -> None:
        self.adopted = anyio.Event()
        """Set when the shards of the first claim are adopted: all their open watches are loaded."""
        self.claimed = Claim(())
        """What the last claim returned."""
        self._store = store
        self._leases = leases
        self._owned = owned
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._health = instruments.health
        self._version = version
        self._one_at_a_time = anyio.Lock()
        """A claim and a release at once could return a lease that was just given back."""
        self._to_adopt: deque[Lease] = deque()
        self._adopted: set[int] = set()
        """Shards whose watches are loaded."""
        self._wakeup = Wakeup()
        self._adopt_wakeup = Wakeup()
        self._stopping = False
        self._renewed_at = -math.inf

    @property
    def shared(self) -> bool:
        """Whether other replicas are there, which could own our shards."""
        return bool(self.claimed.others)

    # --- claiming --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim and adopt shards, and renew the leases while they can expire. Returns when they cannot."""
        self._metrics.shards.set(self._store.shards)
        if self._store.renew_s is None:
            await self.claim()
            self.adopted.set()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._adopt_gained, name="adoption")
            while True:
                await self._renew()
                if self._surplus:
                    tasks.start_soon(self.hand_over, self._surplus, name="hand-over")
                await self._wakeup.wait(self._pause(self._store.renew_s))

    async def claim(self) -> None:
        """Renew the leases once: release lost shards and adopt new ones."""
        await self._renew()
        await self._adopt_waiting()

    def wake(self) -> None:
        """Claim now: shards have become free."""
        self._wakeup.set()

    async def report_age(self) -> None:
        """Report every second how old the leases are, and whether they are renewed, until cancelled. With a single owner they never end."""
        while self._store.renew_s is not None:
            if self._renewed_at > -math.inf and not self._left:
                self._metrics.lease_age.set(self._clock.mono() - self._renewed_at)
                self._report_health(self._store.renew_s)
            await anyio.sleep(AGE_S)

    def _report_health(self, renew_s: float) -> None:
        """Without shards there is no lease whose last third could begin: then two renewals that are missing count."""
        now = self._clock.mono()
        age = now - self._renewed_at
        if self._leases.may_start(now) if self._leases.held else age <= 2 * renew_s:
            self._health.good(LEASES)
        else:
            self._health.bad(LEASES, f"not renewed for {age:.0f} s", NOT_RENEWED)

    async def _renew(self) -> None:
        async with self._one_at_a_time:
            if self._left:
                return
            claimed_at = self._clock.mono()
            claim = await self._store.claim(
                Report(self._version, len(self._adopted & self._leases.held.keys()), self._owned.pollers.report())
            )
            could_start = self._leases.may_start(self._clock.mono())  # now: the claim may have taken longer than was left
            renewal = self._leases.update(claim.leases, claimed_at)
            if renewal.unwanted:
                await self._store.release(renewal.unwanted)
        self.claimed = claim
        for shard in renewal.lost:
            self._lost(shard)
        self._to_adopt.extend(renewal.gained)
        self._adopt_wakeup.set()
        self._owned.pollers.share_pace(claim.others)
        self._report(claim, renewal)
        if not could_start:
            self._owned.pollers.wake()
            for worker in self._owned.sink_workers:
                worker.look_again()

    def _report(self, claim: Claim, renewal: Renewal) -> None:
        self._renewed_at = self._clock.mono()
        self._metrics.shards_owned.set(len(self._leases.held))
        self._metrics.shard_changes.labels("adopted").inc(len(renewal.gained))
        for name, shards in claim.expired.items():
            self._metrics.takeovers.inc(shards)
            hint = "it ended without a stop, hangs, or cannot reach the store: see its log"
            log.warning("replica_expired", replica=name, shards=shards, hint=hint)
        if renewal.gained and self._store.renew_s is not None:
            owned = len(self._leases.held)
            log.info("shards_adopted", shards=len(renewal.gained), owned=owned, replica=claim.me, replicas=len(claim.replicas))

    def _pause(self, renew_s: float) -> float:
        """Seconds until the next claim: sooner where a replica has not renewed its leases, so that its shards are taken over in time."""
        if not self._leases.may_start(self._clock.mono()) and self._leases.held:
            return 0.0  # the claim took so long that the leases have nearly ended again
        ends = [replica.expires_in_s + AFTER_EXPIRY_S for replica in self.claimed.others]
        owned = sum(len(replica.shards) for replica in self.claimed.replicas)
        if self.claimed.replicas and owned < self._store.shards:
            ends.append(FREE_S)
        return min([renew_s, *ends])

    # --- adopting --------------------------------------------------------------------------------

    async def _adopt_gained(self) -> None:
        """Adopt what is claimed, until cancelled. A renewal does not wait for it: to load a large shard may take long."""
        while True:
            await self._adopt_wakeup.wait()
            if await self._adopt_waiting():
                self._wakeup.set()  # the others must know what this replica polls now
            self.adopted.set()

    async def _adopt_waiting(self) -> bool:
        """Adopt what is claimed. Returns whether there was anything."""
        found = bool(self._to_adopt)
        while self._to_adopt:
            lease = self._to_adopt.popleft()
            await self._adopt(lease)
            if self._keeps(lease):
                self._adopted.add(lease.shard)
        return found

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

    # --- giving up -------------------------------------------------------------------------------

    def fenced(self, shards: Iterable[int]) -> None:
        """A write has shown that another process owns these shards: give them up at once.

        Raises StoreRefused when no shard is left and none can be claimed again, as with a store for a single owner.
        """
        for shard in shards:
            if shard in self._leases.held:
                self._leases.drop(shard)
                self._lost(shard)
        if not self._leases.held and self._store.renew_s is None:
            raise StoreRefused("another process has taken over this store: only one process can use it at a time")

    def stop(self) -> None:
        """Adopt no more watches."""
        self._stopping = True

    async def hand_over(self, shards: Sequence[int]) -> None:
        """Give these shards back, when the calls and deliveries under way are done. The tasks of the others are polled meanwhile.

        A shard that is lost meanwhile and claimed again is adopted at once: only the earlier lease is given back.
        """
        kept = set(self._leases.kept)
        leases = [self._leases.held[shard] for shard in shards if shard in kept]
        for lease in leases:
            self._leases.leave(lease.shard)
            self._release(lease.shard)
        while any(self._busy(lease) for lease in leases):  # noqa: ASYNC110 - no single event marks the end of all of them
            await anyio.sleep(HAND_OVER_CHECK_S)
        if still_held := [lease for lease in leases if self._leases.holds(lease)]:
            await self._give_back(still_held)

    async def give_back(self) -> None:
        """Release all shards, so that other replicas can claim them without waiting for the leases to expire. Claims nothing more."""
        self._stopping = True
        await self._give_back(list(self._leases.held.values()), leaving=True)

    async def _give_back(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        async with self._one_at_a_time:
            await self._store.release(leases, leaving=leaving)
            # a claim that this waited for may have brought more, which the store took back with the others
            for lease in list(self._leases.held.values()) if leaving else leases:
                if self._leases.holds(lease):
                    self._leases.drop(lease.shard)
        self._metrics.shards_owned.set(len(self._leases.held))
        self._metrics.shard_changes.labels("handed_over").inc(len(leases))

    @property
    def _left(self) -> bool:
        """Whether this replica stops, and has given back all shards: it renews nothing more."""
        return self._stopping and not self._leases.held

    @property
    def _surplus(self) -> Sequence[int]:
        """The shards to hand over: the last ones, as far as they are not being handed over already."""
        kept = self._leases.kept
        count = self.claimed.surplus - (len(self._leases.held) - len(kept))
        return kept[-count:] if count > 0 else ()

    def _busy(self, lease: Lease) -> bool:
        if not self._leases.holds(lease):
            return False
        return self._owned.pollers.busy(lease.shard) or any(worker.busy(lease.shard) for worker in self._owned.sink_workers)

    def _lost(self, shard: int) -> None:
        hint = RUN_ONE if self._store.renew_s is None else "another replica owns it now, because this one did not renew its leases in time"
        log.warning("shard_lost", shard=shard, hint=hint)
        self._metrics.shard_changes.labels("lost").inc()
        self._release(shard)

    def _release(self, shard: int) -> None:
        self._adopted.discard(shard)
        self._owned.pollers.release(shard)
        for worker in self._owned.sink_workers:
            worker.release(shard)
        self._owned.backlog.release(shard)
        self._owned.acks.drop_where(lambda key: self._leases.shard(key) == shard)
