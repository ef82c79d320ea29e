"""Which shards this process owns: claims them, renews its leases, hands over those above its share, and gives up lost ones.

With a store that has a single owner, all shards are claimed once and never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio

from watcher.errors import StoreRefused
from watcher.model import Claim, Lease, Report
from watcher.ports import Store
from watcher.runtime.adoption import Adoption, Owned
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.ownership_report import OwnershipReport
from watcher.runtime.wakeup import Wakeup

AFTER_EXPIRY_S = 0.05
"""How long after the end of the leases of another replica to claim, in seconds."""
FREE_S = 0.5
"""Seconds until the next claim while a shard has no owner: another replica is about to take it, or has left it to this one."""
HAND_OVER_CHECK_S = 0.02
"""Seconds between two looks at whether the work on a shard that is handed over has ended."""


class Ownership:
    """Keeps the leases of this process current, and the work that depends on them. `version` is that of this program."""

    def __init__(self, store: Store, leases: Leases, owned: Owned, instruments: Instruments, version: str = "") -> None:
        self.adoption = Adoption(store, leases, owned)
        self.claimed = Claim(())
        """What the last claim returned."""
        self._store = store
        self._leases = leases
        self._owned = owned
        self._clock = instruments.clock
        self._report = OwnershipReport(leases, instruments)
        self._version = version
        self._one_at_a_time = anyio.Lock()
        """A claim and a release at once could return a lease that was just given back."""
        self._wakeup = Wakeup()
        self._stopping = False
        self.adoption.on_adopted = self._wakeup.set  # the others must know what this replica polls now

    @property
    def shared(self) -> bool:
        """Whether other replicas are there, which could own our shards."""
        return bool(self.claimed.others)

    # --- claiming --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Claim and adopt shards, and renew the leases while they can expire. Returns when they cannot."""
        renew_s = self._store.renew_s
        if renew_s is None:
            await self.claim()
            self.adoption.done.set()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.adoption.run, name="adoption")
            tasks.start_soon(self._report.run, renew_s, name="report leases")
            while True:
                await self._renew()
                if self._surplus:
                    tasks.start_soon(self.hand_over, self._surplus, name="hand-over")
                await self._wakeup.wait(self._pause(renew_s))

    async def claim(self) -> None:
        """Renew the leases once: release lost shards and adopt new ones."""
        await self._renew()
        await self.adoption.adopt_waiting()

    def wake(self) -> None:
        """Claim now: shards have become free."""
        self._wakeup.set()

    async def _renew(self) -> None:
        async with self._one_at_a_time:
            if self._stopping and not self._leases.held:
                self._report.left()
                return
            claimed_at = self._clock.mono()
            claim = await self._store.claim(Report(self._version, self.adoption.count, self._owned.pollers.report()))
            could_start = self._leases.may_start(self._clock.mono())  # now: the claim may have taken longer than was left
            renewal = self._leases.update(claim.leases, claimed_at)
            if renewal.unwanted:
                await self._store.release(renewal.unwanted)
        self.claimed = claim
        for shard in renewal.lost:
            self._lost(shard)
        self.adoption.add(renewal.gained)
        self._owned.pollers.share_pace(claim)
        self._report.renewed(claim, renewal, can_end=self._store.renew_s is not None)
        if not could_start:
            self._owned.wake()

    def _pause(self, renew_s: float) -> float:
        """Seconds until the next claim: sooner where a replica has not renewed its leases, so that its shards are taken over in time."""
        if not self._leases.may_start(self._clock.mono()) and self._leases.held:
            return 0.0  # the claim took so long that the leases have nearly ended again
        ends = [replica.expires_in_s + AFTER_EXPIRY_S for replica in self.claimed.others]
        owned = sum(len(replica.shards) for replica in self.claimed.replicas)
        if self.claimed.replicas and owned < self._store.shards:
            ends.append(FREE_S)
        return min([renew_s, *ends])

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
        self.adoption.stop()

    async def hand_over(self, shards: Sequence[int], *, polling: bool = True) -> None:
        """Give each of these shards back when the calls and deliveries under way about it are done.

        `polling`: calls may be under way; after a stop they have ended. The tasks of other shards are polled meanwhile. A shard
        that is lost meanwhile and claimed again is adopted at once: only the earlier lease is given back.
        """
        kept = set(self._leases.kept)
        leases = [self._leases.held[shard] for shard in shards if shard in kept]
        for lease in leases:
            self._leases.leave(lease.shard)
            self.adoption.release(lease.shard)
        while leases:
            idle = [lease for lease in leases if not self._leases.holds(lease) or not self.adoption.is_busy(lease.shard, polling=polling)]
            leases = [lease for lease in leases if lease not in idle]
            if still_held := [lease for lease in idle if self._leases.holds(lease)]:
                await self._give_back(still_held)
            if leases:
                await anyio.sleep(HAND_OVER_CHECK_S)

    async def give_back(self) -> None:
        """Release all shards, so that other replicas can claim them without waiting for the leases to expire. Claims nothing more."""
        self.stop()
        await self._give_back(list(self._leases.held.values()), leaving=True)
        self._report.left()

    async def _give_back(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        async with self._one_at_a_time:
            await self._store.release(leases, leaving=leaving)
            # a claim that this waited for may have brought more, which the store took back with the others
            for lease in list(self._leases.held.values()) if leaving else leases:
                if self._leases.holds(lease):
                    self._leases.drop(lease.shard)
        self._report.given_back(len(leases))

    @property
    def _surplus(self) -> Sequence[int]:
        """The shards to hand over: the last ones, as far as they are not being handed over already."""
        kept = self._leases.kept
        count = self.claimed.surplus - (len(self._leases.held) - len(kept))
        return kept[-count:] if count > 0 else ()

    def _lost(self, shard: int) -> None:
        self._report.lost(shard, can_end=self._store.renew_s is not None)
        self.adoption.release(shard)
