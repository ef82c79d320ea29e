"""Reports which shards this process owns, and whether its leases are renewed: metrics, /readyz, and log. Decides nothing."""

from __future__ import annotations

import anyio
import structlog

from watcher.model import Claim
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases, Renewal

log = structlog.get_logger("watcher.ownership")

AGE_S = 1.0
"""Seconds between two reports of the age of the leases."""
LEASES = "leases"
"""The component of a replica whose leases can end."""
NOT_RENEWED = "this replica starts no call and no delivery until it has renewed its leases: check the store, the network, and its CPU"
RUN_ONE = "another process owns it now; run one process for each store"
TAKEN_OVER = "another replica owns it now, because this one did not renew its leases in time"


class OwnershipReport:
    """The report of one watcher."""

    def __init__(self, leases: Leases, instruments: Instruments) -> None:
        self._leases = leases
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._health = instruments.health
        self._renewed_at: float | None = None

    async def run(self, renew_s: float) -> None:
        """Report every second how old the leases are, until cancelled. `renew_s`: the seconds between two renewals."""
        while True:
            if self._renewed_at is not None:
                age = self._clock.mono() - self._renewed_at
                self._metrics.lease_age.set(age)
                self._report_health(age, renew_s)
            await anyio.sleep(AGE_S)

    def renewed(self, claim: Claim, renewal: Renewal, *, can_end: bool) -> None:
        """A claim was answered. `can_end`: the leases end when they are not renewed."""
        self._renewed_at = self._clock.mono()
        owned = len(self._leases.held)
        self._metrics.shards.set(self._leases.shards)
        self._metrics.shards_owned.set(owned)
        self._metrics.shard_changes.labels("adopted").inc(len(renewal.gained))
        for name, shards in claim.expired.items():
            self._metrics.takeovers.inc(shards)
            hint = "it ended without a stop, hangs, or cannot reach the store: see its log"
            log.warning("replica_expired", replica=name, shards=shards, hint=hint)
        if renewal.gained and can_end:
            log.info("shards_adopted", shards=len(renewal.gained), owned=owned, replica=claim.me, replicas=len(claim.replicas))

    def lost(self, shard: int, *, can_end: bool) -> None:
        """Another process owns this shard."""
        log.warning("shard_lost", shard=shard, hint=TAKEN_OVER if can_end else RUN_ONE)
        self._metrics.shard_changes.labels("lost").inc()

    def given_back(self, shards: int) -> None:
        """So many shards were given back."""
        self._metrics.shards_owned.set(len(self._leases.held))
        self._metrics.shard_changes.labels("handed_over").inc(shards)

    def left(self) -> None:
        """This replica has given back everything and renews nothing more: that is no trouble."""
        self._renewed_at = None

    def _report_health(self, age: float, renew_s: float) -> None:
        """Without shards there is no lease whose last third could begin: then two renewals that are missing count."""
        if self._leases.may_start(self._clock.mono()) if self._leases.held else age <= 2 * renew_s:
            self._health.good(LEASES)
        else:
            self._health.bad(LEASES, f"not renewed for {age:.0f} s", NOT_RENEWED)
