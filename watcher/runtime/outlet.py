"""Commits the changes of the pollers under the leases of their shards, and announces their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from watcher.errors import Fenced
from watcher.model import Change, Event, Lease
from watcher.ports import Store
from watcher.runtime.feed import Feed
from watcher.runtime.leases import Leases


class Outlet:
    """Commits and announces the changes of all pollers."""

    def __init__(self, store: Store, leases: Leases, feed: Feed) -> None:
        self._store = store
        self._leases = leases
        self._feed = feed
        self.on_fenced: Callable[[Iterable[int]], None] = lambda shards: None
        """Called with shards that turn out to be owned by another replica."""
        self.on_removed: Callable[[], None] = lambda: None
        """Called when a watch has left a pending set."""

    def current_leases(self) -> Mapping[int, Lease]:
        """The leases of this moment, to commit under them what is decided from now on."""
        return dict(self._leases.held)

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> set[str]:
        """Commit changes and announce their events. Returns the keys that are not ours: erased, or fenced off.

        `leases` are those under which the tasks were polled: of a shard that was lost and claimed again in the meantime,
        the other owner may have changed the watches.
        """
        gone: set[str] = set()
        while changes:
            try:
                gone |= set(await self._store.commit(changes, leases))
                break
            except Fenced as error:
                self.on_fenced([shard for shard in error.shards if shard in leases and self._leases.holds(leases[shard])])
                gone |= {change.watch.key for change in changes if self._leases.shard(change.watch.key) in error.shards}
                changes = [change for change in changes if change.watch.key not in gone]
        for change in changes:
            if change.watch.key not in gone:
                self._announce(change.events)
        return gone

    def _announce(self, events: Sequence[Event]) -> None:
        if events:
            self._feed.events(self._leases.shard(events[0].key), events)
