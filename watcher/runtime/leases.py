"""The shards that this process owns now. `ownership` writes it; every other loop reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from watcher.model import Lease, shard_of

FINISH_SHARE = 1 / 3
"""The last share of a lease, in which nothing new is started, so that what is under way ends before the lease does."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a claim has changed."""

    gained: list[Lease]
    """Leases that are new, in order of shard."""
    lost: list[int]
    """Shards that another replica has taken over, or taken and left again."""
    unwanted: list[Lease]
    """Leases that this process has given up before: the store must be told."""


class Leases:
    """The current leases, by shard, and which tasks they cover. Times are monotonic seconds."""

    def __init__(self, shards: int = 1) -> None:
        self.shards = shards
        """How many shards the store has."""
        self.until = -math.inf
        """When all leases end; infinite in a store with a single owner."""
        self.start_until = -math.inf
        """Until when a call about an owned task, or a delivery of its events, may begin."""
        self._held: dict[int, Lease] = {}
        self._leaving: set[int] = set()
        self._given_up: dict[int, int] = {}
        """By shard, the epoch of the last lease that was dropped."""

    @property
    def held(self) -> Mapping[int, Lease]:
        """The leases to write under, as the store port takes them."""
        return self._held

    @property
    def kept(self) -> list[int]:
        """The shards that are not being handed over, in order."""
        return sorted(self._held.keys() - self._leaving)

    def shard(self, key: str) -> int:
        """The shard of a task."""
        return shard_of(key, self.shards)

    def owns(self, key: str) -> bool:
        """Whether this process polls the tasks of this task's shard: it owns the shard, and does not hand it over."""
        shard = self.shard(key)
        return shard in self._held and shard not in self._leaving

    def holds(self, lease: Lease) -> bool:
        """Whether this lease is current: neither lost, nor followed by one with another epoch."""
        held = self._held.get(lease.shard)
        return held is not None and held.epoch == lease.epoch

    def may_start(self, now: float) -> bool:
        """Whether a call or a delivery that begins now is sure to be the only one of its task."""
        return now < self.start_until

    def update(self, leases: Iterable[Lease], claimed_at: float) -> Renewal:
        """Replace all leases with those of a claim that was sent at `claimed_at`.

        A shard that comes back under another epoch had another owner in between: it counts as lost and as gained.
        """
        claimed = {lease.shard: lease for lease in leases}
        unwanted = [lease for shard, lease in claimed.items() if lease.epoch <= self._given_up.get(shard, -1)]
        for lease in unwanted:  # the claim was under way when this process gave the shard up
            del claimed[lease.shard]
        changed = {shard for shard, lease in self._held.items() if shard not in claimed or claimed[shard].epoch != lease.epoch}
        gained = [lease for shard, lease in sorted(claimed.items()) if shard not in self._held or shard in changed]
        self._held.clear()
        self._held.update(claimed)
        self._leaving -= changed
        duration = min((lease.duration_s for lease in claimed.values()), default=0.0)
        self.until = claimed_at + duration
        self.start_until = claimed_at + duration * (1 - FINISH_SHARE)
        return Renewal(gained, sorted(changed), unwanted)

    def is_leaving(self, shard: int) -> bool:
        """Whether this shard is being handed over."""
        return shard in self._leaving

    def leave(self, shard: int) -> None:
        """Begin to hand over a shard: nothing new is started, and what is under way may still be written."""
        if shard in self._held:
            self._leaving.add(shard)

    def drop(self, shard: int) -> None:
        """Forget a lease that was lost or given back."""
        lease = self._held.pop(shard, None)
        self._leaving.discard(shard)
        if lease is not None:
            self._given_up[shard] = lease.epoch
