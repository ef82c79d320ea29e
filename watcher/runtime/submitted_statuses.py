"""The statuses that came with messages, until the poller commits them: each is the first observation of its watch.

They are in memory only. After a crash the watch is loaded without a status, as if its message had named the id alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.submitted_status import advance_by_submission
from watcher.core.polling.transitions import WatchSettings
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import Lease, Observation, Step, Watch
from watcher.runtime.clock import Clock

COMMIT = 500
"""Watches in one commit. A message may start 5000 tasks, and the event loop must not stop for all of them."""


class SubmittedStatuses:
    """New watches with what their messages say. Each watch is in flight from `add` until its step is settled: nothing polls it."""

    def __init__(self, pending: PendingSet, clock: Clock) -> None:
        self._pending = pending
        self._clock = clock
        self._seen: list[tuple[PendingEntry, Observation]] = []
        self.leases: Mapping[int, Lease] = {}
        """Those under which the watches were added: their steps are committed under them."""
        self._later: list[tuple[PendingEntry, Observation, Mapping[int, Lease]]] = []
        """Watches that were added under other leases than those: a shard was gained or lost since."""

    def __bool__(self) -> bool:
        return bool(self._seen)

    def add(self, watch: Watch, seen: Observation, leases: Mapping[int, Lease]) -> None:
        """Add a new watch. It is polled as any other one if an earlier watch of the same task is in flight."""
        entry = self._pending.add_in_flight(watch, self._clock.mono())
        if entry is not None:
            self._append(entry, seen, leases)

    def take(self) -> SubmittedStatuses:
        """Return those that were added first, all under the same leases, and go on with the others."""
        taken = SubmittedStatuses(self._pending, self._clock)
        taken._seen, taken.leases, self._seen = self._seen, self.leases, []
        later, self._later = self._later, []
        for each in later:
            self._append(*each)
        return taken

    def _append(self, entry: PendingEntry, seen: Observation, leases: Mapping[int, Lease]) -> None:
        if self._seen and leases != self.leases:
            self._later.append((entry, seen, leases))
        else:
            self.leases = leases
            self._seen.append((entry, seen))

    def steps(self, catalog: Catalog, settings: WatchSettings) -> Iterator[tuple[Kind, Sequence[Step]]]:
        """Yield the kinds, each with what some of the statuses mean for its watches, in pieces for one commit each."""
        for kind in catalog:
            found = [(entry, seen) for entry, seen in self._seen if entry.watch.ref.kind == kind.name]
            for start in range(0, len(found), COMMIT):
                yield kind, [advance_by_submission(kind, entry.watch, seen, settings) for entry, seen in found[start : start + COMMIT]]
