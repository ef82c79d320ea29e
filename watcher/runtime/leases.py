"""The shards that this process owns now. `ownership` writes it; every other loop reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from watcher.model import Lease, shard_of


class Leases:
    """The current leases, by shard, and which tasks they cover. Times are monotonic seconds."""

    def __init__(self, shards: int = 1) -> None:
        self.shards = shards
        """How many shards the store has."""
        self._held: dict[int, Lease] = {}
        self._valid_until: dict[int, float] = {}

    @property
    def held(self) -> Mapping[int, Lease]:
        """The leases to write under, as the store port takes them."""
        return self._held

    def shard(self, key: str) -> int:
        """The shard of a task."""
        return shard_of(key, self.shards)

    def owns(self, key: str) -> bool:
        """Whether this process owns the shard of a task."""
        return self.shard(key) in self._held

    def holds(self, lease: Lease) -> bool:
        """Whether this lease is current: neither lost, nor followed by one with another epoch."""
        held = self._held.get(lease.shard)
        return held is not None and held.epoch == lease.epoch

    def valid_until(self, shard: int) -> float:
        """When the lease of this shard ends; in the past for a shard that is not owned."""
        return self._valid_until.get(shard, -math.inf)

    def update(self, leases: Iterable[Lease], claimed_at: float) -> tuple[list[Lease], list[int]]:
        """Replace all leases with those of a claim that was sent at `claimed_at`. Returns the new ones and the lost shards.

        A shard that comes back under another epoch had another owner in between: it counts as lost and as new.
        """
        claimed = {lease.shard: lease for lease in leases}
        changed = {shard for shard, lease in self._held.items() if shard not in claimed or claimed[shard].epoch != lease.epoch}
        gained = [lease for shard, lease in claimed.items() if shard not in self._held or shard in changed]
        self._held.clear()
        self._held.update(claimed)
        self._valid_until = {shard: claimed_at + lease.duration_s for shard, lease in claimed.items()}
        return gained, sorted(changed)

    def drop(self, shard: int) -> None:
        """Forget a lease that was lost or given back."""
        self._held.pop(shard, None)
        self._valid_until.pop(shard, None)
