"""A lane of the pending set: watches that wait, in one queue for each group. It finds the watch that is due first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watcher.core.polling.due_queue import DueKey, DueQueue
from watcher.core.polling.pending_entry import PLACE, PendingEntry, unpack

MISSING = "not_found"
"""The reason to wait of a watch whose last poll did not find the task."""

ADOPTED = "adopted"
"""The reason to wait of a watch that came with its shard, at a start or from another replica, until its first poll in this process."""

Group = tuple[str, str, bool]
"""What one call can poll together: tasks of the same kind and target, either missing ones or others."""


class Lane:
    """Finds the first of some watches that wait. `packed` has the entries of all lanes by key; a key without bytes does not wait.

    A watch that has moved to another lane may be found here too until it is taken: a queue removes keys at its front only.
    """

    def __init__(self, packed: Mapping[str, bytes]) -> None:
        self._packed = packed
        self._queues: dict[Group, DueQueue] = {}
        """A queue for each group, because one call polls tasks of one group, and missing tasks may have to wait longer than others."""
        self.head: PendingEntry | None = None
        """The entry that is due first, unpacked. None: look it up again. The owner resets it when a watch no longer waits here."""

    def push(self, entry: PendingEntry) -> None:
        """Add an entry, or move it, to its place. It must be packed already."""
        key, group = entry.watch.ref.key, group_of(entry)
        queue = self._queues.get(group)
        if queue is None:
            queue = self._queues[group] = DueQueue(self._place_of)
        queue.push(key, entry.due, entry.turn)
        first = self.head
        if first is not None and ((entry.due, entry.turn) < (first.due, first.turn) or first.watch.ref.key == key):
            self.head = None

    def first(self, *, missing: bool = True) -> PendingEntry | None:
        """The entry that is due first. It stays in the lane. `missing=False` leaves out those whose tasks were not found last."""
        if self.head is None:
            self.head = self._find_first(self._queues.values())
        if missing or self.head is None or self.head.reason != MISSING:
            return self.head
        return self._find_first(queue for group, queue in self._queues.items() if not group[2])

    def first_of(self, group: Group) -> PendingEntry | None:
        """The entry of a group that is due first. It stays in the lane."""
        queue = self._queues.get(group)
        return None if queue is None else self._find_first((queue,))

    def _find_first(self, queues: Iterable[DueQueue]) -> PendingEntry | None:
        best = None
        for queue in queues:
            key = queue.first()
            if key is not None and (best is None or self._place(key) < self._place(best)):
                best = key
        return None if best is None else unpack(best, self._packed[best])

    def _place(self, key: str) -> DueKey:
        return PLACE.unpack_from(self._packed[key])

    def _place_of(self, key: str) -> DueKey | None:
        packed = self._packed.get(key)
        return PLACE.unpack_from(packed) if packed else None


def group_of(entry: PendingEntry) -> Group:
    """The group of an entry."""
    ref = entry.watch.ref
    return ref.kind, ref.target, entry.reason == MISSING
