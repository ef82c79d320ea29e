"""The replicas that share a store: who is alive, what each one owns, and what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.core.delivery.events import iso
from watcher.model import Replica
from watcher.ports import Queries

LATE = 2.0
"""A replica is late when it has not renewed its leases for so many times the interval of renewals."""


@dataclass(frozen=True, slots=True)
class ReplicaList:
    """The living replicas, in order of their names."""

    replicas: Sequence[Replica]
    shards: int
    """How many shards the store has."""
    renew_s: float
    """Seconds between two renewals of the leases of a replica."""

    @property
    def unowned(self) -> list[int]:
        """The shards without an owner, in order. None in a store with a single owner, which lists no replicas."""
        if math.isinf(self.renew_s):
            return []
        return sorted(set(range(self.shards)) - {shard for replica in self.replicas for shard in replica.shards})

    @property
    def trouble(self) -> list[str]:
        """What is wrong, and what to do about it: a sentence each."""
        return [*self._unowned(), *self._late(), *self._versions(), *self._spare()]

    def as_json(self) -> dict[str, Any]:
        """The JSON form, with times in RFC 3339."""
        return {
            "shards": self.shards,
            "unowned": len(self.unowned),
            "unowned_ranges": ranges(self.unowned),
            "trouble": self.trouble,
            "replicas": [_as_json(replica) for replica in self.replicas],
        }

    def _unowned(self) -> Iterable[str]:
        if math.isinf(self.renew_s):
            return
        if not self.replicas:
            yield "no replica is alive: nothing is polled or delivered; start one with watcher run"
        elif self.unowned:
            which = ", ".join(ranges(self.unowned))
            yield (
                f"{len(self.unowned)} of {self.shards} shards have no owner ({which}): their tasks are not polled; "
                "a replica takes them within seconds, else its log says why not"
            )

    def _late(self) -> Iterable[str]:
        for replica in self.replicas:
            if replica.renewed_s_ago > LATE * self.renew_s:
                yield (
                    f"{replica.name} has not renewed its leases for {replica.renewed_s_ago:.0f} s: it loses its shards in "
                    f"{replica.expires_in_s:.0f} s unless it renews them; it ended without a stop, hangs, or cannot reach the store"
                )

    def _versions(self) -> Iterable[str]:
        names: dict[str, list[str]] = {}
        for replica in self.replicas:
            names.setdefault(replica.report.version, []).append(replica.name)
        if len(names) > 1:
            each = "; ".join(f"{version or 'unknown'}: {', '.join(of)}" for version, of in sorted(names.items()))
            yield f"the replicas have different versions ({each}): finish the update"

    def _spare(self) -> Iterable[str]:
        spare = len(self.replicas) - self.shards
        if spare > 0:
            yield f"there are {len(self.replicas)} replicas and {self.shards} shards, so {spare} can own none: run fewer replicas"


async def living_replicas(store: Queries) -> ReplicaList:
    """Read who is alive. A store with a single owner, which renews nothing, has no replicas."""
    return ReplicaList(await store.replicas(), store.shards, math.inf if store.renew_s is None else store.renew_s)


def ranges(shards: Iterable[int]) -> list[str]:
    """Shards in order as ranges: `["0-20", "42"]`."""
    found: list[list[int]] = []
    for shard in shards:
        if found and shard == found[-1][1] + 1:
            found[-1][1] = shard
        else:
            found.append([shard, shard])
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]


def _as_json(replica: Replica) -> dict[str, Any]:
    report = replica.report
    return {
        "name": replica.name,
        "version": report.version,
        "started_at": iso(replica.started_at),
        "renewed_s_ago": round(replica.renewed_s_ago, 3),
        "expires_in_s": round(replica.expires_in_s, 3),
        "shards": len(replica.shards),
        "adopted": report.adopted,
        "shard_ranges": ranges(replica.shards),
        "quotas": {
            name: {"rate": use.rate, "watches": use.watches, "lateness_s": use.lateness_s, "sharers": use.sharers}
            for name, use in sorted(report.quotas.items())
        },
    }
