"""How long a replica that renewed its own leases too late leaves the others alone.

When the store was away for longer than a lease, the leases of all replicas have ended. The first one that reaches it again
would remove the others, which are about to come back, and with their shards they would lose what they have observed and
could not write yet.
"""

from __future__ import annotations

import math

GRACE_SHARE = 1 / 3
"""The grace as a share of a lease: with a lease of 15 s, as long as the longest pause between two attempts to reach the store."""


class Grace:
    """The grace of one replica. All times are those of the clock of the store, in seconds."""

    def __init__(self, lease_s: float) -> None:
        self._duration_s = lease_s * GRACE_SHARE
        self._ends_at = -math.inf

    def renewed(self, now: float, *, late: bool) -> None:
        """This replica has renewed its leases. `late`: they had ended."""
        if late:
            self._ends_at = now + self._duration_s

    def is_over(self, now: float) -> bool:
        """Whether this replica may remove others whose leases have ended."""
        return now >= self._ends_at
