"""The way out of a poller: commits changes under the leases of their shards, and announces their events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from watcher.errors import Fenced
from watcher.model import Change, Event
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

    async def commit(self, changes: Sequence[Change]) -> set[str]:
        """Commit changes and announce their events. Returns the keys that are not ours: erased, or fenced off."""
        gone: set[str] = set()
        while changes:
            try:
                gone |= set(await self._store.commit(changes, self._leases.held))
                break
            except Fenced as error:
                self.on_fenced(error.shards)
                gone |= {change.watch.key for change in changes if self._leases.shard(change.watch.key) in error.shards}
                changes = [change for change in changes if change.watch.key not in gone]
        for change in changes:
            if change.watch.key not in gone:
                self._announce(change.events)
        return gone

    def _announce(self, events: Sequence[Event]) -> None:
        if events:
            self._feed.events(self._leases.shard(events[0].key), events)
