"""How the replicas share the calls under one quota."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from watcher.model import QuotaUse, Replica


@dataclass(frozen=True, slots=True)
class PaceShare:
    """The part of one replica."""

    sharers: int
    """How many replicas divide the calls, this one included."""
    rate: float
    """An equal part of the rate of all of them together, in calls per second."""
    blend: bool
    """Whether to move toward that rate step by step. A replica without watches of its own takes it as it is."""


def pace_share(quota: str, mine: QuotaUse, others: Iterable[Replica]) -> PaceShare:
    """The part of a replica under this quota, beside the others.

    Each rate times its number of sharers is an estimate of the rate of all together, also while some replicas do not know
    of a new one yet. The mean of these estimates counts.
    """
    sharers, totals = 1, [mine.rate * mine.sharers] if mine.watches else []
    for replica in others:
        use = replica.report.quotas.get(quota)
        sharers += _takes_part(replica, use)
        if use is not None and use.watches:
            totals.append(use.rate * use.sharers)
    total = sum(totals) / len(totals) if totals else mine.rate * mine.sharers
    return PaceShare(sharers, total / sharers, blend=mine.watches > 0)


def _takes_part(replica: Replica, use: QuotaUse | None) -> bool:
    """Whether a replica makes calls under the quota, or is about to: its report may be older than its shards."""
    return (use is not None and use.watches > 0) or not replica.shards or replica.report.adopted != len(replica.shards)
