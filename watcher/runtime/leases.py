"""The shards that this process owns now. `ownership` writes it; every other loop reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watcher.model import Lease, shard_of


class Leases:
    """The current leases, by shard, and which tasks they cover."""

    def __init__(self, shards: int = 1) -> None:
        self.shards = shards
        """How many shards the store has."""
        self._held: dict[int, Lease] = {}

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

    def update(self, leases: Iterable[Lease]) -> tuple[list[Lease], list[int]]:
        """Replace all leases with those of a claim. Returns the new ones and the lost shards.

        A shard that comes back under another epoch had another owner in between: it counts as lost and as new.
        """
        claimed = {lease.shard: lease for lease in leases}
        changed = {shard for shard, lease in self._held.items() if shard not in claimed or claimed[shard].epoch != lease.epoch}
        gained = [lease for shard, lease in claimed.items() if shard not in self._held or shard in changed]
        self._held.clear()
        self._held.update(claimed)
        return gained, sorted(changed)

    def drop(self, shard: int) -> None:
        """Forget a lease that was lost or given back."""
        self._held.pop(shard, None)
