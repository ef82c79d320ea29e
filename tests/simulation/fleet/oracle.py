"""Which promises must hold after any fleet story: those of one replica, and those about several of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation.fleet.audit import Audit
from tests.simulation.fleet.story import LEASE_S, RENEW_S, FleetStory
from tests.simulation.oracle import backoff_of_intake, judge_all_but_overlaps
from tests.simulation.record import Record


@dataclass
class FleetRecord:
    """What a played fleet story leaves for the oracle."""

    fleet: FleetStory
    played: Record
    audit: Audit
    first_call_s: float | None = None
    """How long it took from the message about the fresh task to the first call about it."""
    permit_s: float = 0.0
    """The longest time between two calls of one replica when that message came."""
    calls: list[tuple[float, str, frozenset[int]]] = field(default_factory=list)
    """For each call: its time, its kind, and the processes that had watches of this kind."""
    unowned_s: float | None = None
    """How long after the last trouble a shard had no owner that lives; None: until the end."""


SLOW_S = 2.0
"""Where replicas wait longer than this for a permit, the quota was nearly 0, and the cadence rightly lets them ask rarely."""
LEARNED_S = 6.0
"""By how much longer the way of a fresh task may be than with one replica: each learns from a part of the tasks only."""


def judge_fleet(record: FleetRecord) -> list[str]:
    """Every broken promise, one sentence each."""
    slower_s = LEARNED_S + 4 * record.fleet.story.disk_s + (math.inf if record.permit_s > SLOW_S else 0.0)
    broken = [*judge_all_but_overlaps(record.played, slower_s), *record.audit.broken[:10]]
    return [*broken, *_owned_again(record), *_found_at_once(record), *_pace_is_shared(record)]


def _owned_again(record: FleetRecord) -> Iterator[str]:
    """After the last trouble, a shard waits at most for the end of a lease, and for the next claim of a living replica."""
    limit = LEASE_S + RENEW_S + 8 * record.fleet.story.disk_s + 1.0
    if record.unowned_s is None or record.unowned_s > limit:
        yield f"after the last trouble, a shard had no living owner for {record.unowned_s} s"


def _found_at_once(record: FleetRecord) -> Iterator[str]:
    """A task that any replica receives is polled by its owner at once: 2 s of intake, the ways to the store and back of an
    admission, of a read of arrivals that is under way, and of the next one, the wait for a permit, and a second for the rest."""
    story = record.fleet.story
    limit = 3.0 + record.permit_s + 10 * story.disk_s + backoff_of_intake(story)
    if record.played.idle and (record.first_call_s is None or record.first_call_s > limit):
        yield f"it took {record.first_call_s} s until the owner of a fresh task made the first call about it"


def _pace_is_shared(record: FleetRecord) -> Iterator[str]:
    """All replicas together keep the configured rate, from when each knows which of the others have watches under the quota.

    A process that gets its first watch, or the first one since it had none, reports it with its next claim, and the others
    read that with theirs: until then, they leave it no part. So no call counts that comes within two renewals, with the ways
    of both, of such a change, nor near trouble between a process and its store, or near a time for which a process did not run.
    """
    rate = record.fleet.story.rate
    if rate is None or record.fleet.lost_answers:
        return
    settle_s = 2 * (RENEW_S + 2 * record.fleet.story.disk_s) + 1.0
    burst = float(len({life.replica for life in record.fleet.lives}))
    for kind in {kind for _, kind, _ in record.calls}:
        level, before, changed, sharers = burst, 0.0, -math.inf, frozenset[int]()
        for at, _, now in (call for call in record.calls if call[1] == kind):
            changed, sharers = changed if now <= sharers else at, now
            level = burst if at < changed + settle_s or _disturbed(record, at) else min(burst, level + (at - before) * rate) - 1
            before = at
            if level < -0.01:
                yield f"all replicas together made more than {rate}/s calls about {kind}, at {at:.3f}"
                return


def _disturbed(record: FleetRecord, at: float) -> bool:
    """Whether a process may not have heard from the store lately: trouble lasts until all leases that it ended are claimed again."""
    after_s = LEASE_S + 2 * RENEW_S + 4 * record.fleet.story.disk_s
    own = [(trouble.at, trouble.lasts_s) for trouble in record.fleet.troubles]
    own += [(trouble.at, trouble.lasts_s) for trouble in record.fleet.story.troubles if trouble.name in ("disk", "suspended")]
    return any(begin <= at < begin + 10 * lasts_s + after_s for begin, lasts_s in own)
