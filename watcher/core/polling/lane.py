"""A lane of the pending set: watches that wait, in one queue for each group. It finds the watch that is due first."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from watcher.core.polling.due_queue import DueKey, DueQueue
from watcher.core.polling.pending_entry import PLACE, PendingEntry, unpack
from watcher.model import TaskRef

MISSING = "not_found"
"""The reason to wait of a watch whose last poll did not find the task."""

ADOPTED = "adopted"
"""The reason to wait of a watch that came with its shard, at a start or from another replica, until its first poll in this process."""


ANNOUNCEMENTS = "announcements"
"""The reason to wait of a watch whose gap is longer because AWS is expected to announce its change. Such a watch becomes due
several times before the end of its gap, so that the gap is reviewed: announcements may have stopped."""

EARLY = ("new", "cadence", ANNOUNCEMENTS, "poll_now")
"""The reasons to wait that let a watch join an earlier call. All others are errors."""


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

    def __init__(self, packed: Mapping[str, bytes], outer: Callable[[TaskRef], tuple[str, ...]]) -> None:
        self._packed = packed
        self._outer = outer
        self._queues: tuple[dict[Group, _Queue], dict[Group, _Queue]] = ({}, {})
        """The queues of the watches whose tasks are there, and of those whose tasks were not found last: these may have to wait longer."""
        self._groups: tuple[list[tuple[float, int, Group]], list[tuple[float, int, Group]]] = ([], [])
        """For both, a heap of the groups by the place `listed`. A group may be in it with other places too, which are obsolete."""
        self.head: PendingEntry | None = None
        """The entry that is due first, unpacked. None: look it up again. The owner resets it when a watch no longer waits here."""

    def push(self, entry: PendingEntry) -> None:
        """Add an entry, or move it, to its place. It must be packed already."""
        key, missing, place, group = entry.watch.ref.key, entry.reason == MISSING, (entry.due, entry.turn), self._group_of(entry)
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

    def beside(self, head: PendingEntry, count: int, now: float, *, early: bool) -> Sequence[PendingEntry]:
        """Of the `count` entries in the group of the head that are due first, those that one call may poll with it now, in order.

        `early`: also before they are due, unless they wait because of an error. They stay in the lane.
        """
        group, missing = self._group_of(head), head.reason == MISSING
        queue = self._queues[missing].get(group)
        found = () if queue is None else [self._entry(key) for key in queue.firsts(count, math.inf if early else now)]
        return [
            entry
            for entry in found
            if (entry.due <= now or entry.reason in EARLY)
            and (entry.reason == MISSING) == missing  # else it has moved to another queue
            and self._group_of(entry) == group
        ]

    def _group_of(self, entry: PendingEntry) -> Group:
        ref = entry.watch.ref
        return Group(ref.kind, ref.target, self._outer(ref), entry.alone)

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
