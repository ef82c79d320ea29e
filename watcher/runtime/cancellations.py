"""The watches that operators cancelled, until the poller ends them. A watch waits here only while a call about its task is in flight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.transitions import end
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import Step

COMMIT = 500
"""The maximum number of watches in one commit, so that a commit does not block the event loop for long."""


class Cancellations:
    """The cancelled watches of one poller."""

    def __init__(self, pending: PendingSet) -> None:
        self._pending = pending
        self._requested: dict[str, str] = {}
        """By key, the ids of the watches."""

    def request(self, watches: Mapping[str, str]) -> bool:
        """End those of these watches (ids by key) that are in the pending set. Replaces earlier requests. Returns whether there are any."""
        self._requested = {key: id_ for key, id_ in watches.items() if self._has(key, id_)}
        return bool(self._requested)

    def take(self) -> list[PendingEntry]:
        """Take the requested watches that are not in flight, due or not. They are in flight until their ends are settled."""
        if not self._requested:  # the usual case, on the path of every call
            return []
        self.request(self._requested)
        taken = [entry for key in self._requested if (entry := self._pending.take_without_call(key)) is not None]
        for entry in taken:
            del self._requested[entry.watch.key]
        return taken

    def _has(self, key: str, id_: str) -> bool:
        entry = self._pending.get(key)
        return entry is not None and entry.watch.id == id_ and not entry.dropped


def ends(taken: Sequence[PendingEntry], catalog: Catalog, now: float) -> Iterator[tuple[Kind, Sequence[Step]]]:
    """Yield the ends of the watches by kind, in pieces of one commit each. `now` is wall-clock seconds."""
    for kind in catalog:
        watches = [entry.watch for entry in taken if entry.watch.ref.kind == kind.name]
        for start in range(0, len(watches), COMMIT):
            yield kind, [end(watch, "cancelled", now) for watch in watches[start : start + COMMIT]]
