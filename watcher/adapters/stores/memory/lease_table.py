"""Which replica owns which shard of a store in memory, and until when."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from watcher.adapters.stores.memory.shard import MemoryShard
from watcher.core.ownership.fair_share import fair_share
from watcher.core.ownership.grace import Grace
from watcher.model import Claim, Lease, Replica, Report


@dataclass(slots=True)
class _Member:
    started_at: float
    renewed_at: float
    grace: Grace
    report: Report = field(default_factory=Report)


class LeaseTable:
    """The replicas of a shared store, by name. `clock` is the clock of the store, in seconds since the epoch."""

    def __init__(self, shards: list[MemoryShard], clock: Callable[[], float], lease_s: float = math.inf) -> None:
        self.lease_s = lease_s
        self._shards = shards
        self._clock = clock
        self._members: dict[str, _Member] = {}

    def __contains__(self, name: str) -> bool:
        """Whether this replica has claimed something, and was not removed since."""
        return name in self._members

    def claim(self, name: str, report: Report | None) -> Claim:
        """Renew the leases of a replica, and give it free shards up to its fair share."""
        now = self._clock()
        member = self._members.setdefault(name, _Member(now, now, Grace(self.lease_s)))
        member.grace.renewed(now, late=self._expires_in(member) <= 0)
        member.renewed_at, member.report = now, report or member.report
        expired = self._remove_expired() if member.grace.is_over(now) else {}
        share = fair_share(len(self._shards), self._members, name)
        missing = share - len(self.owned(name))
        for shard in [shard for shard in self._shards if shard.owner is None][: max(0, missing)]:
            shard.claim(name)
        leases = [Lease(shard.number, shard.epoch, self.lease_s) for shard in self._shards if shard.owner == name]
        return Claim(leases, max(0, len(leases) - share), name, self.replicas(), expired)

    def replicas(self) -> list[Replica]:
        """The replicas whose leases have not ended, in order of their names."""
        now = self._clock()
        return [
            Replica(name, member.started_at, now - member.renewed_at, self._expires_in(member), self.owned(name), member.report)
            for name, member in sorted(self._members.items())
            if self._expires_in(member) > 0
        ]

    def owned(self, name: str) -> list[int]:
        """The shards of a replica."""
        return [shard.number for shard in self._shards if shard.owner == name]

    def release(self, name: str, leases: Iterable[Lease]) -> bool:
        """Give shards back. Leases that are not current are ignored. Returns whether a shard has become free."""
        current = [self._shards[lease.shard] for lease in leases if self._shards[lease.shard].is_valid(lease)]
        for shard in current:
            shard.release()
        return bool(current)

    def leave(self, name: str) -> None:
        """Remove a replica. Its shards are free."""
        self._members.pop(name, None)
        for shard in self._shards:
            if shard.owner == name:
                shard.release()

    def _remove_expired(self) -> dict[str, int]:
        """Remove the replicas whose leases have ended. Returns how many shards each one had."""
        expired = {name: len(self.owned(name)) for name, member in self._members.items() if self._expires_in(member) <= 0}
        for name in expired:
            self.leave(name)
        return expired

    def _expires_in(self, member: _Member) -> float:
        return member.renewed_at + self.lease_s - self._clock()
