"""The pending set: all open watches, ordered by when to poll them. Each task is in the set once, and in flight at most once.

`add` a watch, `take` the ones to poll now, then `put_back` or `finish` each of them; from `take` until then it is in flight.
What concerns a watch in flight (`poll_now`, `drop`, another watch of the same task) takes effect when it is put back.
Times are monotonic seconds.

Watches wait in two lanes. Those that came with their shard, at a start or from another replica, are the backlog until all of
them were polled and none is overdue; all others are fresh. While both lanes have a watch that is due, each gets half of the
calls, so that neither lane waits until the other one is empty (docs/cadence.md, "After a restart").
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence

from watcher.core.polling.lane import ADOPTED, MISSING, Group, Lane
from watcher.core.polling.pending_entry import PendingEntry, pack, unpack
from watcher.model import TaskRef, Watch

ANNOUNCEMENTS = "announcements"
"""The reason to wait of a watch whose gap is longer because AWS is expected to announce its change. Such a watch becomes due
several times before the end of its gap, so that the gap is reviewed: announcements may have stopped."""

REVIEWS, REVIEW_S = 4, 1.0
"""The number of parts of such a gap, with a review after each, and the shortest part in seconds."""

EARLY = ("new", "cadence", ANNOUNCEMENTS, "poll_now")
"""The reasons to wait that let a watch join an earlier call. All others are errors."""

CANDIDATES = 3
"""The number of watches, in units of the size of a call, of which the others in a call are chosen: those that are due first."""

CREDIT = 20
"""The most calls that the fresh lane may make in a row to catch up on its half: new tasks come in bursts."""

_PRIORITY = 1 << 62
"""Subtracted from the turn of a watch to poll now: it comes before all others with its due time, and after earlier watches to poll now."""

MIN_RATE_GAP_S = 0.05
"""A shorter gap counts as this long in the rate of a watch, so that a tiny gap does not look like an endless demand."""


Choose = Callable[[Sequence[PendingEntry], int, float], Sequence[PendingEntry]]
"""Chooses at most so many of these entries, which are in order of their due times, for a call at this time."""


class PendingSet:
    """All open watches of one quota, ordered by when to poll them."""

    def __init__(self, outer: Callable[[TaskRef], tuple[str, ...]] = lambda ref: ()) -> None:
        """Create an empty set. `outer`: the params of a task that all tasks of a call must have in common (`Group.outer`)."""
        self._outer = outer
        self._packed: dict[str, bytes] = {}
        """Every key; empty bytes while in flight. Removing and adding keys would make a dict of a million rebuild itself regularly."""
        self._in_flight: dict[str, PendingEntry] = {}
        self._shared_calls = 0
        """Entries in flight with `shares_call`."""
        self._fresh, self._backlog = Lane(self._packed), Lane(self._packed)
        self._owed = 0
        """By how many calls the fresh lane is behind its half, from -1 to `CREDIT`. At -1 the backlog is next."""
        self._turns = 0
        self.backlog = 0
        """The number of watches that wait in the backlog."""
        self.wanted = 0.0
        """The sum of all rates, in polls per second."""
        self.backlog_wanted = 0.0
        """The part of `wanted` that comes from watches of the backlog."""
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

    @property
    def draining(self) -> bool:
        """Whether a watch of the backlog still waits for its first poll. Such watches come before all others in it."""
        head = self._backlog.first()
        return head is not None and head.reason == ADOPTED

    def __len__(self) -> int:
        return len(self._packed)

    def __contains__(self, key: str) -> bool:
        return key in self._packed

    def get(self, key: str) -> PendingEntry | None:
        """The entry of this key, waiting or in flight. The caller must not change it."""
        return self._in_flight.get(key) or self._waiting(key)

    def add(self, watch: Watch, now: float, reason: str = "new", *, gap: float = 0.0, source: str = "") -> None:
        """Add a watch that is due `gap` seconds from now, or has been due if `gap` is negative.

        It replaces another watch of the same task; one in flight, as soon as that is back.
        """
        in_flight = self._in_flight.get(watch.key)
        if in_flight is not None:
            in_flight.successor = watch
            return
        self.drop(watch.key)
        due = now + gap if gap >= 0 else self._after_announced(now + gap)
        self._insert(PendingEntry(watch, due, now, _rate(gap), reason, source, backlog=reason == ADOPTED))

    def add_in_flight(self, watch: Watch, now: float) -> PendingEntry | None:
        """Add a watch about which something else than a call decides first; it counts as no call. None: one in flight comes before it."""
        self.add(watch, now)
        return self.take_without_call(watch.key)

    def take_without_call(self, key: str) -> PendingEntry | None:
        """Take this watch, due or not, to decide about it without a call. None if it is not pending, or is in flight."""
        entry = self._waiting(key)
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
        self._land(watch, PendingEntry(watch, due, now, _rate(gap), reason))

    def poll_alone(self, key: str, *, alone: bool) -> None:
        """Poll a watch in flight in a call of its own when it is back, or with others again."""
        if key in self._in_flight:
            self._in_flight[key].alone = alone

    def postpone(self, key: str, due: float, reason: str) -> None:
        """Change the due time and the reason of a watch that waits, and nothing else."""
        entry = self._waiting(key)
        if entry is not None:
            self._withdraw(entry)
            entry.due, entry.reason = due, reason
            self._enqueue(entry)

    def take(
        self, limit: int = 1, *, now: float = math.inf, missing: bool = True, choose: Choose = lambda waiting, room, now: waiting[:room]
    ) -> list[PendingEntry]:
        """Take the watch that `first` returns, and others of its batch group, due or not, up to `limit` in all.

        `choose` chooses the others among some that are due first. Where the two lanes take turns, those that are due come before
        those that are not, and among them those of the same lane. A watch that waits because of an error is not taken before it is
        due: each failed poll may count against its task. All of them are in flight until they are put back or finished. The
        list is empty when nothing waits. `missing` is that of `first`.
        """
        head = self.first(now, missing=missing)
        if head is None:
            return []
        if self.backlog and head.reason != "poll_now":
            self._owed = min(CREDIT, self._owed + 1) if head.backlog else max(-1, self._owed - 1)
        lanes = self._lanes_for_others(head) if limit > 1 and not head.alone else ()
        self._launch(head)
        others: list[PendingEntry] = []
        for lane, early in lanes:
            waiting = self._waiting_beside(head, lane, CANDIDATES * limit, now, early=early)
            for entry in choose(waiting, limit - 1 - len(others), now):
                entry.shares_call = True
                self._shared_calls += 1
                self._launch(entry)
                others.append(entry)
        return [head, *others]

    def first(self, now: float = math.inf, *, missing: bool = True) -> PendingEntry | None:
        """The entry whose turn it is: one to poll now, else the one that is due first. It stays in the set.

        While both lanes have an entry that is due, they take turns. `missing=False` leaves out those
        whose tasks were not found last.
        """
        fresh = self._fresh.first(missing=missing)
        if not self.backlog:  # the usual case, on the path of every call
            return fresh
        waiting = self._backlog.first(missing=missing)
        if fresh is None or waiting is None or fresh.reason == "poll_now":
            return fresh or waiting
        if fresh.due > now or waiting.due > now:
            return min(fresh, waiting, key=lambda entry: (entry.due, entry.turn))
        return fresh if self._owed >= 0 else waiting

    def poll_now(self, key: str, now: float) -> bool:
        """Make a watch due before all others, because its task has changed: no other call saves more. False for an unknown key."""
        if key in self._in_flight:
            self._in_flight[key].poll_now = True
            return True
        entry = self._waiting(key)
        if entry is not None and entry.reason != "poll_now":
            self._withdraw(entry)
            self.backlog_wanted = max(0.0, self.backlog_wanted - entry.rate * entry.backlog)
            entry.due, entry.reason, entry.backlog = self._front(now), "poll_now", False
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
            self._withdraw(entry)
            self._subtract(entry)
        return entry is not None

    def drop_where(self, predicate: Callable[[str], bool]) -> None:
        """Drop every watch whose key matches, such as those of a shard that another replica takes over."""
        for key in [key for key in self._packed if predicate(key)]:
            self.drop(key)

    def finish(self, watch: Watch) -> None:
        """Remove a watch in flight that has ended."""
        self._land(watch, None)

    def lateness(self, now: float, *, fresh: bool = True, backlog: bool = True) -> float:
        """How long the watch that is due first has been due, in seconds; 0 when none is due. Of both lanes, or of one of them."""
        heads = (self._fresh.first() if fresh else None, self._backlog.first() if backlog else None)
        return max((max(0.0, now - head.due) for head in heads if head is not None), default=0.0)

    def _lanes_for_others(self, head: PendingEntry) -> Sequence[tuple[Lane, bool]]:
        """The lanes from which the other watches of a call come, in order, each with whether it gives watches that are not due yet."""
        if not self.backlog:
            return ((self._fresh, True),)
        own, other = (self._backlog, self._fresh) if head.backlog else (self._fresh, self._backlog)
        return (own, False), (other, False), (self._fresh, True), (self._backlog, True)

    def _launch(self, entry: PendingEntry) -> None:
        key = entry.watch.ref.key
        self._packed[key], self._in_flight[key] = b"", entry
        self._withdraw(entry)

    def _withdraw(self, entry: PendingEntry) -> None:
        """Take an entry out of its lane, before anything about it changes. `_enqueue` puts it into one."""
        self.backlog -= entry.backlog
        self._fresh.head = self._backlog.head = None

    def _waiting_beside(self, head: PendingEntry, lane: Lane, count: int, now: float, *, early: bool) -> Sequence[PendingEntry]:
        """Of the first entries of a lane in the group of the head, those that may be polled now. `early`: also before they are due."""
        group, missing = self._group_of(head), head.reason == MISSING
        found = lane.firsts_of(group, count, math.inf if early else now, missing=missing)
        return [
            entry
            for entry in found
            if (entry.due <= now or entry.reason in EARLY) and (entry.reason == MISSING) == missing and self._group_of(entry) == group
        ]

    def _group_of(self, entry: PendingEntry) -> Group:
        ref = entry.watch.ref
        return Group(ref.kind, ref.target, self._outer(ref), entry.alone)

    def _land(self, watch: Watch, again: PendingEntry | None) -> None:
        """End the flight of a watch. Its place goes to its successor, or to `again`, or away."""
        key = watch.ref.key
        entry = self._in_flight.get(key)
        if entry is None or entry.watch.id != watch.id:
            return
        del self._in_flight[key]
        self._shared_calls -= entry.shares_call
        if entry.successor is not None:
            again = PendingEntry(entry.successor, self._after_announced(entry.due), entry.due, 0.0, "new")
        elif again is None or entry.dropped:
            self._subtract(entry)
            del self._packed[key]
            return
        elif entry.poll_now:
            again.due, again.rate, again.reason = self._front(again.placed_at), 0.0, "poll_now"
        elif entry.backlog:  # it stays there until no watch of the backlog is overdue
            next_one = self._backlog.first()
            again.backlog = next_one is not None and next_one.due <= again.placed_at
        if again.watch.id == watch.id:
            again.alone = entry.alone
            again.source = entry.source if again.watch.status is None else ""
        if again.watch.status == entry.watch.status:  # the usual case, without the costly counter
            self.wanted = max(0.0, self.wanted - entry.rate) + again.rate
            if entry.backlog:
                self.backlog_wanted = max(0.0, self.backlog_wanted - entry.rate) + again.rate * again.backlog
            self._enqueue(again)
        else:
            self._subtract(entry)
            self._insert(again)

    def _insert(self, entry: PendingEntry) -> None:
        self.wanted += entry.rate
        self.backlog_wanted += entry.rate * entry.backlog
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
        self.backlog_wanted = max(0.0, self.backlog_wanted - entry.rate * entry.backlog) if self.counts else 0.0

    def _enqueue(self, entry: PendingEntry) -> None:
        key = entry.watch.ref.key
        self._turns += 1
        entry.turn = self._turns - _PRIORITY if entry.reason == "poll_now" else self._turns
        self._packed[key] = pack(entry)
        if entry.backlog:
            self.backlog += 1
            self._backlog.push(entry, self._group_of(entry))
        else:
            self._fresh.push(entry, self._group_of(entry))

    def _front(self, now: float) -> float:
        """The due time that comes before all others of the fresh lane: that of its first watch, or now."""
        first = self._fresh.first()
        return now if first is None else min(now, first.due)

    def _after_announced(self, due: float) -> float:
        """This due time, but none before that of a watch to poll now: it comes before all others."""
        first = self._fresh.first()
        return due if first is None or first.reason != "poll_now" else max(due, first.due)

    def _waiting(self, key: str) -> PendingEntry | None:
        packed = self._packed.get(key)
        return unpack(key, packed) if packed else None


def review_after(gap: float) -> float:
    """Seconds until a gap that relies on announcements is reviewed; the gap itself where it is short."""
    return min(gap, max(REVIEW_S, gap / REVIEWS))


def _rate(gap: float) -> float:
    return 1 / max(gap, MIN_RATE_GAP_S) if gap > 0 else 0.0
