"""Reads of the store that are under way, and what this process did in the meantime, which their replies do not show.

A reply can be older than what is in memory: a task may be polled to its end between the moment at which the store was
read and the arrival of the reply. Its watch must not be polled again from its old state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from watcher.model import Watch
from watcher.runtime.leases import Leases


class OpenRead:
    """One call of the store that returns watches, from before it is sent."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._held = dict(leases.held)
        self._added: set[str] = set()
        self._ended: set[str] = set()

    def is_current(self, watch: Watch) -> bool:
        """Whether no replica has changed this watch since the call was sent: this process has owned its shard all the time, and
        has not removed the watch. Whether it is being polled already is for the caller to find out."""
        lease = self._held.get(self._leases.shard(watch.key))
        return lease is not None and self._leases.holds(lease) and watch.id not in self._ended

    def replaces(self, watch_id: str) -> bool:
        """Whether this watch was polled here before the call was sent. Another one that the store returns for its task is newer."""
        return watch_id not in self._added

    def note_start(self, watch_id: str) -> None:
        """This process has begun to poll this watch."""
        self._added.add(watch_id)

    def note_end(self, watch_id: str) -> None:
        """This process has removed this watch: it ended, or was erased."""
        self._ended.add(watch_id)


class OpenReads:
    """The reads under way. Nothing is kept about a read that is over."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._open: set[OpenRead] = set()

    @property
    def under_way(self) -> frozenset[OpenRead]:
        """The reads that are not over."""
        return frozenset(self._open)

    @contextmanager
    def begin(self) -> Iterator[OpenRead]:
        """A call of the store that returns watches is about to be sent. It is over when its watches are added to the pollers."""
        read = OpenRead(self._leases)
        self._open.add(read)
        try:
            yield read
        finally:
            self._open.remove(read)

    def note_start(self, watch_id: str) -> None:
        """This process has begun to poll a watch."""
        for read in self._open:
            read.note_start(watch_id)

    def note_end(self, watch_id: str) -> None:
        """This process has removed a watch."""
        for read in self._open:
            read.note_end(watch_id)
