"""Which promises must hold after any fleet story: those of one replica, and those about several of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.fleet.audit import Audit
from tests.simulation.fleet.story import LEASE_S, RENEW_S, FleetStory
from tests.simulation.oracle import judge_all_but_overlaps
from tests.simulation.record import Record


@dataclass
class FleetRecord:
    """What a played fleet story leaves for the oracle."""

    fleet: FleetStory
    played: Record
    audit: Audit
    unowned_s: float | None = None
    """How long after the last trouble a shard had no owner that lives; None: until the end."""


def judge_fleet(record: FleetRecord) -> list[str]:
    """Every broken promise, one sentence each."""
    return [*judge_all_but_overlaps(record.played), *record.audit.broken[:10], *_owned_again(record)]


def _owned_again(record: FleetRecord) -> Iterator[str]:
    """After the last trouble, a shard waits at most for the end of a lease, and for the next claim of a living replica."""
    limit = LEASE_S + RENEW_S + 8 * record.fleet.story.disk_s + 1.0
    if record.unowned_s is None or record.unowned_s > limit:
        yield f"after the last trouble, a shard had no living owner for {record.unowned_s} s"
