"""Several watchers on one store: what each tells the others, and what a renewal of its leases returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watcher.model.tasks import Lease


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """How a replica uses one quota of the service."""

    rate: float
    """The calls per second that its pace allows."""
    watches: int
    """The open watches that it polls under this quota."""
    lateness_s: float = 0.0
    """How long the watch that is due first has been due, in seconds."""
    sharers: int = 1
    """Among how many replicas it believes the calls under this quota to be divided."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a replica tells the others, and operators, with each renewal of its leases."""

    version: str = ""
    adopted: int = 0
    """How many of its shards it had adopted at that time."""
    quotas: Mapping[str, QuotaUse] = field(default_factory=dict)
    """By the name of the quota."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A running watcher on a shared store. All durations are by the clock of the store."""

    name: str
    started_at: float
    """Seconds since the epoch."""
    renewed_s_ago: float
    """Seconds since it last renewed its leases."""
    expires_in_s: float
    """Seconds until its leases end if it does not renew them."""
    shards: Sequence[int]
    """Those that it owns, in order."""
    report: Report = field(default_factory=Report)


@dataclass(frozen=True, slots=True)
class Claim:
    """What `Shards.claim` returns: the leases of this replica, and who else is there."""

    leases: Sequence[Lease]
    """All of them end together."""
    surplus: int = 0
    """How many shards this replica has above its fair share. It should give back as many."""
    me: str = ""
    """The name of this replica."""
    replicas: Sequence[Replica] = ()
    """All replicas whose leases have not ended, in order of their names, this one included."""
    expired: Mapping[str, int] = field(default_factory=dict)
    """Replicas that this claim has removed because they did not renew their leases, each with the number of shards that it lost."""

    @property
    def others(self) -> Sequence[Replica]:
        """The other replicas."""
        return [replica for replica in self.replicas if replica.name != self.me]
