"""How the replicas share the calls under one quota."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.core.ownership.fair_share import fair_share
from watcher.model import Claim, QuotaUse, Replica


@dataclass(frozen=True, slots=True)
class PaceShare:
    """The part of one replica."""

    sharers: int
    """How many replicas divide the calls, this one included."""
    rate: float
    """An equal part of the rate of all of them together, in calls per second."""
    blend: bool
    """Whether to move toward that rate step by step. A replica without watches of its own takes it as it is."""


def pace_share(quota: str, mine: QuotaUse, claim: Claim, shards: int) -> PaceShare:
    """The part of a replica under this quota, beside the others of its claim, in a store with so many shards.

    Each rate times its number of sharers is an estimate of the rate of all together, also while some replicas do not know
    of a new one yet. The mean of these estimates counts.
    """
    sharers, totals = 1, [mine.rate * mine.sharers] if mine.watches else []
    names = [replica.name for replica in claim.replicas]
    for replica in claim.others:
        use = replica.report.quotas.get(quota)
        sharers += _takes_part(replica, use, fair_share(shards, names, replica.name))
        if use is not None and use.watches:
            totals.append(use.rate * use.sharers)
    total = sum(totals) / len(totals) if totals else mine.rate * mine.sharers
    return PaceShare(sharers, total / sharers, blend=mine.watches > 0)


def _takes_part(replica: Replica, use: QuotaUse | None, share: int) -> bool:
    """Whether a replica makes calls under the quota, or is about to: it waits for its shards, or its report is older than they are."""
    if use is not None and use.watches > 0:
        return True
    return replica.report.adopted != len(replica.shards) if replica.shards else share > 0
