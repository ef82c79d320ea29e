"""The pending set: all open watches, ordered by when to poll them. Each task is in the set once, and in flight at most once.

`add` a watch, `take` the ones to poll now, then `put_back` or `finish` each of them; from `take` until then it is in flight.
What concerns a watch in flight (`poll_now`, `drop`, another watch of the same task) takes effect when it is put back.
Times are monotonic seconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from watcher.core.polling.due_queue import DueKey, DueQueue
from watcher.core.polling.pending_entry import PLACE, PendingEntry, pack, unpack
from watcher.model import Watch

ANNOUNCEMENTS = "announcements"
"""The reason to wait of a watch whose gap is longer because AWS is expected to announce its change. Such a watch becomes due
several times before the end of its gap, so that the gap is reviewed: announcements may have stopped."""

REVIEWS, REVIEW_S = 4, 1.0
"""The number of parts of such a gap, and the shortest one in seconds."""

EARLY = ("new", "cadence", "provisional", ANNOUNCEMENTS, "poll_now")
"""The reasons to wait that let a watch join an earlier call. All others are errors."""

MISSING = "not_found"
"""The reason to wait of a watch whose task was not found last."""

_Group = tuple[str, str, bool]
"""What one call can poll together: tasks of the same kind and target, either missing ones or others."""

_PRIORITY = 1 << 62
"""Subtracted from the turn of a watch to poll now: it comes before all others with its due time, and after earlier watches to poll now."""

MIN_RATE_GAP_S = 0.05
"""A shorter gap counts as this long in the rate of a watch, so that a tiny gap does not look like an endless demand."""


class PendingSet:
    """All open watches of one quota, ordered by when to poll them."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        """Every key; empty bytes while in flight. Removing and adding keys would make a dict of a million rebuild itself regularly."""
        self._in_flight: dict[str, PendingEntry] = {}
        self._shared_calls = 0
        """Entries in flight with `shares_call`."""
        self._queues: dict[_Group, DueQueue] = {}
        """A queue for each group, because one call polls tasks of one group, and missing tasks may have to wait longer than others."""
        self._first: PendingEntry | None = None
        """The entry that is due first, unpacked. None: look it up again."""
        self._turns = 0
        self.wanted = 0.0
        """The sum of all rates, in polls per second."""
        self.counts: Counter[tuple[str, str | None]] = Counter()
        """Watches by (kind, status)."""

    @property
    def in_flight(self) -> int:
        """The number of watches in flight."""
        return len(self._in_flight)

    @property
    def keys_in_flight(self) -> Collection[str]:
        """The keys of the watches in flight."""
        return self._in_flight.keys()

    @property
    def calls_in_flight(self) -> int:
        """The number of calls in flight: watches that were taken together share one."""
        return len(self._in_flight) - self._shared_calls

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, key: str) -> bool:
        return key in self._packed

    def get(self, key: str) -> PendingEntry | None:
        """The entry of this key, waiting or in flight. The caller must not change it."""
        return self._in_flight.get(key) or self._waiting(key)

    def add(self, watch: Watch, now: float, reason: str = "new") -> None:
        """Add a watch that is due now. It replaces another watch of the same task; one in flight, as soon as that is back."""
        in_flight = self._in_flight.get(watch.key)
        if in_flight is not None:
            in_flight.successor = watch
            return
        self.drop(watch.key)
        self._insert(PendingEntry(watch, now, now, 0.0, reason))

    def add_in_flight(self, watch: Watch, now: float) -> PendingEntry | None:
        """Add a watch about which something else than a call decides first; it counts as no call. None: one in flight comes before it."""
        self.add(watch, now)
        entry = self._waiting(watch.key)
        if entry is not None:
            entry.shares_call = True
            self._shared_calls += 1
            self._launch(entry)
        return entry

    def put_back(self, watch: Watch, now: float, gap: float, reason: str) -> None:
        """Return a watch from its flight, due `gap` seconds from now, or at once after `poll_now`.

        With the reason `ANNOUNCEMENTS` it is due after a part of the gap, for a review.
        """
        due = now + (review_after(gap) if reason == ANNOUNCEMENTS else gap)
        self._land(watch, PendingEntry(watch, due, now, 1 / max(gap, MIN_RATE_GAP_S) if gap > 0 else 0.0, reason))

    def postpone(self, key: str, due: float, reason: str) -> None:
        """Change when, and why then, a watch that waits is due. Nothing else of it changes."""
        entry = self._waiting(key)
        if entry is not None:
            entry.due, entry.reason = due, reason
            self._enqueue(entry)

    def take(self, limit: int = 1, *, now: float = math.inf, missing: bool = True) -> list[PendingEntry]:
        """Take the watch that is due first, and up to `limit` in all of those that follow it in its batch group, due or not.

        A watch that waits because of an error is not taken before it is due: each failed poll may count against its task.
        All of them are in flight until they are put back or finished. The list is empty when nothing waits. `missing` is
        that of `first`.
        """
        head = self.first(missing=missing)
        if head is None:
            return []
        self._launch(head)
        entries = [head]
        if limit > 1:
            queue = self._queues[_group(head)]
            while len(entries) < limit and (key := queue.first()) is not None:
                entry = unpack(key, self._packed[key])
                if entry.due > now and entry.reason not in EARLY:
                    break
                entry.shares_call = True
                self._shared_calls += 1
                self._launch(entry)
                entries.append(entry)
        return entries

    def first(self, *, missing: bool = True) -> PendingEntry | None:
        """The entry that is due first. It stays in the set. `missing=False` leaves out those whose tasks were not found last."""
        if self._first is None:
            self._first = self._find_first(self._queues.values())
        if missing or self._first is None or self._first.reason != MISSING:
            return self._first
        return self._find_first(queue for group, queue in self._queues.items() if not group[2])

    def poll_now(self, key: str, now: float) -> bool:
        """Make a watch due before all others, because its task has changed: no other call saves more. False for an unknown key."""
        if key in self._in_flight:
            self._in_flight[key].poll_now = True
            return True
        entry = self._waiting(key)
        if entry is not None and entry.reason != "poll_now":
            entry.due, entry.reason = self._front(now), "poll_now"
            self._enqueue(entry)
        return entry is not None

    def drop(self, key: str) -> bool:
        """Remove a watch; one in flight, as soon as it is back. False for an unknown key."""
        if key in self._in_flight:
            self._in_flight[key].dropped, self._in_flight[key].successor = True, None
            return True
        entry = self._waiting(key)
        if entry is not None:
            del self._packed[key]
            self._first = None
            self._subtract(entry)
        return entry is not None

    def drop_where(self, predicate: Callable[[str], bool]) -> None:
        """Drop every watch whose key matches, such as those of a shard that another replica takes over."""
        for key in [key for key in self._packed if predicate(key)]:
            self.drop(key)

    def finish(self, watch: Watch) -> None:
        """Remove a watch in flight that has ended."""
        self._land(watch, None)

    def lateness(self, now: float) -> float:
        """How long the first watch has been due, in seconds; 0 when none is due."""
        head = self.first()
        return 0.0 if head is None else max(0.0, now - head.due)

    def _launch(self, entry: PendingEntry) -> None:
        key = entry.watch.ref.key
        self._packed[key], self._in_flight[key], self._first = b"", entry, None

    def _land(self, watch: Watch, again: PendingEntry | None) -> None:
        """End the flight of a watch. Its place goes to its successor, or to `again`, or away."""
        key = watch.ref.key
        entry = self._in_flight.get(key)
        if entry is None or entry.watch.id != watch.id:
            return
        del self._in_flight[key]
        self._shared_calls -= entry.shares_call
        if entry.successor is not None:
            again = PendingEntry(entry.successor, entry.due, entry.due, 0.0, "new")
        elif again is None or entry.dropped:
            self._subtract(entry)
            del self._packed[key]
            return
        elif entry.poll_now:
            again.due, again.rate, again.reason = self._front(again.placed_at), 0.0, "poll_now"
        if again.watch.status == entry.watch.status:  # the usual case, without the costly counter
            self.wanted = max(0.0, self.wanted - entry.rate) + again.rate
            self._enqueue(again)
        else:
            self._subtract(entry)
            self._insert(again)

    def _insert(self, entry: PendingEntry) -> None:
        self.wanted += entry.rate
        self.counts[entry.watch.ref.kind, entry.watch.status] += 1
        self._enqueue(entry)

    def _subtract(self, entry: PendingEntry) -> None:
        state = (entry.watch.ref.kind, entry.watch.status)
        left = self.counts[state] - 1
        if left:
            self.counts[state] = left
        else:
            del self.counts[state]
        # adding and subtracting floats leaves a rounding error, so an empty set starts again at 0
        self.wanted = max(0.0, self.wanted - entry.rate) if self.counts else 0.0

    def _enqueue(self, entry: PendingEntry) -> None:
        key = entry.watch.ref.key
        self._turns += 1
        entry.turn = self._turns - _PRIORITY if entry.reason == "poll_now" else self._turns
        self._packed[key] = pack(entry)
        group = _group(entry)
        queue = self._queues.get(group)
        if queue is None:
            queue = self._queues[group] = DueQueue(self._place_of)
        queue.push(key, entry.due, entry.turn)
        first = self._first
        if first is not None and ((entry.due, entry.turn) < (first.due, first.turn) or first.watch.ref.key == key):
            self._first = None

    def _front(self, now: float) -> float:
        """The due time that comes before all others: that of the first watch, or now."""
        first = self.first()
        return now if first is None else min(now, first.due)

    def _find_first(self, queues: Iterable[DueQueue]) -> PendingEntry | None:
        best = None
        for queue in queues:
            key = queue.first()
            if key is not None and (best is None or self._place(key) < self._place(best)):
                best = key
        return None if best is None else unpack(best, self._packed[best])

    def _waiting(self, key: str) -> PendingEntry | None:
        packed = self._packed.get(key)
        return unpack(key, packed) if packed else None

    def _place(self, key: str) -> DueKey:
        return PLACE.unpack_from(self._packed[key])

    def _place_of(self, key: str) -> DueKey | None:
        packed = self._packed.get(key)
        return PLACE.unpack_from(packed) if packed else None


def review_after(gap: float) -> float:
    """Seconds until a gap that relies on announcements is reviewed; the gap itself where it is short."""
    return min(gap, max(REVIEW_S, gap / REVIEWS))


def _group(entry: PendingEntry) -> _Group:
    ref = entry.watch.ref
    return ref.kind, ref.target, entry.reason == MISSING
