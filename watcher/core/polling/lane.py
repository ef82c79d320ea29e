"""A lane of the pending set: watches that wait, in one queue for each group. It finds the watch that is due first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from watcher.core.polling.due_queue import DueKey, DueQueue
from watcher.core.polling.pending_entry import PLACE, PendingEntry, unpack

MISSING = "not_found"
"""The reason to wait of a watch whose last poll did not find the task."""

ADOPTED = "adopted"
"""The reason to wait of a watch that came with its shard, at a start or from another replica, until its first poll in this process."""


class Group(NamedTuple):
    """What one call can poll together."""

    kind: str
    target: str
    outer: tuple[str, ...]
    """The params but the last one, for a kind with a batch call: they are the same for all tasks of a call."""
    alone: bool
    """Tasks that are polled alone: no two of them are polled together."""


class _Queue(DueQueue):
    """The queue of a group."""

    listed: DueKey = (-math.inf, 0)
    """The place with which the group is in the heap of groups: that of its first watch, or an earlier one."""


class Lane:
    """Finds the first of some watches that wait. `packed` has the entries of all lanes by key; a key without bytes does not wait.

    A watch that has moved to another lane may be found here too until it is taken: a queue removes keys at its front only.
    """

    def __init__(self, packed: Mapping[str, bytes]) -> None:
        self._packed = packed
        self._queues: tuple[dict[Group, _Queue], dict[Group, _Queue]] = ({}, {})
        """The queues of the watches whose tasks are there, and of those whose tasks were not found last: these may have to wait longer."""
        self._groups: tuple[list[tuple[float, int, Group]], list[tuple[float, int, Group]]] = ([], [])
        """For both, a heap of the groups by the place `listed`. A group may be in it with other places too, which are obsolete."""
        self.head: PendingEntry | None = None
        """The entry that is due first, unpacked. None: look it up again. The owner resets it when a watch no longer waits here."""

    def push(self, entry: PendingEntry, group: Group) -> None:
        """Add an entry, or move it, to its place. It must be packed already."""
        key, missing, place = entry.watch.ref.key, entry.reason == MISSING, (entry.due, entry.turn)
        queue = self._queues[missing].get(group)
        if queue is None:
            queue = self._queues[missing][group] = _Queue(self._place_of)
            queue.listed = (math.inf, 0)
        queue.push(key, *place)
        if place < queue.listed:
            queue.listed = place
            heapq.heappush(self._groups[missing], (*place, group))
        first = self.head
        if first is not None and (place < (first.due, first.turn) or first.watch.ref.key == key):
            self.head = None

    def first(self, *, missing: bool = True) -> PendingEntry | None:
        """The entry that is due first. It stays in the lane. `missing=False` leaves out those whose tasks were not found last."""
        if self.head is None:
            found = [key for key in (self._find_first(False), self._find_first(True)) if key is not None]
            best = min(found, key=self._place, default=None)
            self.head = None if best is None else self._entry(best)
        if missing or self.head is None or self.head.reason != MISSING:
            return self.head
        best = self._find_first(False)
        return None if best is None else self._entry(best)

    def firsts_of(self, group: Group, count: int, until: float, *, missing: bool) -> Sequence[PendingEntry]:
        """The entries of a group that are due first, in order, at most `count`, and none later than `until`. They stay in the lane."""
        queue = self._queues[missing].get(group)
        return () if queue is None else [self._entry(key) for key in queue.firsts(count, until)]

    def _find_first(self, missing: bool) -> str | None:
        """The key that is due first. Corrects the heap of groups on the way."""
        groups, queues = self._groups[missing], self._queues[missing]
        while groups:
            *listed, group = groups[0]
            queue = queues.get(group)
            if queue is None or queue.listed != tuple(listed):
                heapq.heappop(groups)  # an obsolete place
                continue
            key = queue.first()
            if key is None:
                heapq.heappop(groups)
                del queues[group]
                continue
            place = self._place(key)
            if place == queue.listed:
                return key
            queue.listed = place
            heapq.heapreplace(groups, (*place, group))
        return None

    def _entry(self, key: str) -> PendingEntry:
        return unpack(key, self._packed[key])

    def _place(self, key: str) -> DueKey:
        return PLACE.unpack_from(self._packed[key])

    def _place_of(self, key: str) -> DueKey | None:
        packed = self._packed.get(key)
        return PLACE.unpack_from(packed) if packed else None
