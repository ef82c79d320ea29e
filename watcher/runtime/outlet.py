"""Commits the steps of the pollers under the leases of their shards, and announces their events.

The one place where a transition becomes an event: it is rendered once, right before its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from watcher.core.delivery.events import EventWriter
from watcher.errors import Fenced
from watcher.kinds.kind import Kind
from watcher.model import Change, Event, Lease, Step
from watcher.ports import Store
from watcher.runtime.feed import Feed
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases

Gone = Literal["erased", "lost"]
"""Why nothing was written about a task: it was erased, or the lease of its shard was not valid any more."""


class Outlet:
    """Commits and announces the changes of all pollers."""

    def __init__(self, store: Store, leases: Leases, feed: Feed, writer: EventWriter, instruments: Instruments) -> None:
        self._store = store
        self._leases = leases
        self._feed = feed
        self._writer = writer
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._tracer = instruments.tracer
        self.on_fenced: Callable[[Iterable[int]], None] = lambda shards: None
        """Called with shards that turn out to be owned by another replica."""
        self.on_removed: Callable[[], None] = lambda: None
        """Called when a watch has left a pending set."""

    def current_leases(self) -> Mapping[int, Lease]:
        """The leases of this moment, to commit under them what is decided from now on."""
        return dict(self._leases.held)

    async def commit(self, kind: Kind, steps: Sequence[Step], leases: Mapping[int, Lease]) -> Mapping[str, Gone]:
        """Commit the steps that changed something, and announce their events. Returns the keys of tasks of which nothing was written.

        `leases` are those under which the tasks were polled: of a shard
        that was lost and claimed again in the meantime, the other owner may have changed the watches.
        """
        changed = [step for step in steps if step.changed]
        if not changed:
            return {}
        now = self._clock.wall()
        changes = [Change(step.watch, self._render(kind, step, now)) for step in changed]
        began = self._clock.mono()
        with self._tracer.commit(kind, changes):
            gone = await self._write(changes, leases)
        self._metrics.store_seconds.labels("commit").observe(self._clock.mono() - began)
        for change in changes:
            if change.watch.key not in gone:
                self._announce(change.events)
        return gone

    def _render(self, kind: Kind, step: Step, now: float) -> tuple[Event, ...]:
        return tuple(self._writer.write(kind, step.watch, transition, now) for transition in step.transitions)

    async def _write(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> dict[str, Gone]:
        """Write what the leases allow. Returns the keys of the tasks of which nothing was written."""
        gone: dict[str, Gone] = {}
        while changes:
            try:
                gone |= dict.fromkeys(await self._store.commit(changes, leases), "erased")
                break
            except Fenced as error:
                self.on_fenced([shard for shard in error.shards if shard in leases and self._leases.holds(leases[shard])])
                lost = (change.watch.key for change in changes if self._leases.shard(change.watch.key) in error.shards)
                gone |= dict.fromkeys(lost, "lost")
                changes = [change for change in changes if change.watch.key not in gone]
        return gone

    def _announce(self, events: Sequence[Event]) -> None:
        self._feed.events(self._leases.shard(events[0].key), events)
        for event in events:
            self._metrics.events.labels(event.kind, event.type).inc()
