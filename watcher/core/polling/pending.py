"""The pending set: which watch is due when. Each key stands here once, and is in flight at most once.

Contract: `add` a watch; `take` the one that has been due longest, hinted ones before all others; it is then in flight until it
is `put_back` or `finish`ed.
What happens to a watch in flight (a hint, a drop) is remembered and takes effect when it comes back.
Times are monotonic seconds.

A watch that waits is folded into bytes: a third of the memory, and nothing that the garbage collector has to visit. With a
million watches as objects it would stop the loop for a second, again and again.
"""

from __future__ import annotations

import marshal
from collections import Counter
from dataclasses import dataclass
from struct import Struct

from watcher.core.polling.due_queue import DueKey, DueQueue
from watcher.model import DEFAULT_TARGET, TaskRef, Watch

_PLACE = Struct("dq")
"""A `DueKey` at the head of the bytes of an entry, so that the queue can look at it without unfolding the rest."""


@dataclass(slots=True)
class PendingEntry:
    """A watch and its place in time."""

    watch: Watch
    due: float
    looked: float
    """When it was put here: the last look at the task."""
    rate: float
    """The calls per second it asks for: 1 / gap."""
    why: str
    """The reason it waits until then: `new`, `cadence`, `hint`, or one of a on_poll_error."""
    turn: int = 0
    hinted: bool = False
    dropped: bool = False
    successor: Watch | None = None
    """Another watch of the same task, added while this one was in flight: its turn comes when this one is back."""


_BEFORE = 1 << 62
"""What a hint's turn is less by: it goes before all others that are due at the same time, and after earlier hints."""


def pack(entry: PendingEntry) -> bytes:
    """An entry that waits, without its key."""
    target, facts = entry.watch.ref.target, entry.watch[1:]
    elsewhere = None if target == DEFAULT_TARGET else target
    return _PLACE.pack(entry.due, entry.turn) + marshal.dumps((entry.looked, entry.rate, entry.why, elsewhere, *facts))


def unpack(key: str, folded: bytes) -> PendingEntry:
    """The entry again. The bytes are our own, of this very process."""
    due, turn = _PLACE.unpack_from(folded)
    looked, rate, why, elsewhere, *facts = marshal.loads(folded[_PLACE.size :])  # noqa: S302 - never from outside
    return PendingEntry(Watch(TaskRef.of(key, elsewhere or DEFAULT_TARGET), *facts), due, looked, rate, why, turn)


class PendingSet:
    """All open watches, ordered by when to ask."""

    def __init__(self) -> None:
        self._folded: dict[str, bytes] = {}
        """By key; empty while in flight, so that a dict of a million is not rebuilt again and again for those that come and go."""
        self._flying: dict[str, PendingEntry] = {}
        self._queue = DueQueue(self._place_of)
        self._first: PendingEntry | None = None
        """The one due first, unfolded; None: to be looked up again."""
        self._turns = 0
        self.wanted = 0.0
        """The sum of all rates asked for, in calls per second."""
        self.counts: Counter[tuple[str, str | None]] = Counter()
        """Watches by (kind, status)."""

    @property
    def in_flight(self) -> int:
        """How many were taken and are not back."""
        return len(self._flying)

    def __len__(self) -> int:
        return len(self._folded)

    def __contains__(self, key: str) -> bool:
        return key in self._folded

    def get(self, key: str) -> PendingEntry | None:
        """The entry of this key, waiting or in flight. To be read only."""
        return self._flying.get(key) or self._unfolded(key)

    def add(self, watch: Watch, now: float, why: str = "new") -> None:
        """Begin with a watch, due now. It replaces one that stands here under the same key; one in flight, when that is back."""
        flying = self._flying.get(watch.key)
        if flying is not None:
            flying.successor = watch
            return
        self.drop(watch.key)
        self._place(PendingEntry(watch, now, now, 0.0, why))

    def put_back(self, watch: Watch, now: float, gap: float, why: str) -> None:
        """The watch was in flight: due again `gap` seconds from now, or at once if a hint came meanwhile."""
        self._land(watch, PendingEntry(watch, now + gap, now, 1 / max(gap, 0.05) if gap > 0 else 0.0, why))

    def take(self) -> PendingEntry | None:
        """The one due first, now in flight. None when nothing waits."""
        head = self.first()
        if head is None:
            return None
        key = head.watch.ref.key
        self._folded[key], self._flying[key], self._first = b"", head, None
        return head

    def first(self) -> PendingEntry | None:
        """The one due first, left in its place."""
        if self._first is None:
            key = self._queue.first()
            self._first = None if key is None else self._unfolded(key)
        return self._first

    def hint(self, key: str, now: float) -> bool:
        """Somebody says that something happened: due before all others, for no call saves more. False for a key that is not here."""
        if key in self._flying:
            self._flying[key].hinted = True
            return True
        entry = self._unfolded(key)
        if entry is not None and entry.why != "hint":
            entry.due, entry.why = self._front(now), "hint"
            self._wait(entry)
        return entry is not None

    def drop(self, key: str) -> bool:
        """Nothing more to ask about it. In flight: it goes when it comes back."""
        if key in self._flying:
            self._flying[key].dropped, self._flying[key].successor = True, None
            return True
        entry = self._unfolded(key)
        if entry is not None:
            del self._folded[key]
            self._first = None
            self._leave(entry)
        return entry is not None

    def finish(self, watch: Watch) -> None:
        """The watch in flight has ended."""
        self._land(watch, None)

    def lateness(self, now: float) -> float:
        """For how long the first one has been due, in seconds; 0 when nothing is."""
        head = self.first()
        return 0.0 if head is None else max(0.0, now - head.due)

    def _land(self, watch: Watch, again: PendingEntry | None) -> None:
        """What was in flight is back. Its place takes its successor, or itself `again`, or nobody."""
        key = watch.ref.key
        entry = self._flying.get(key)
        if entry is None or entry.watch.id != watch.id:
            return
        del self._flying[key]
        self._leave(entry)
        if entry.successor is not None:
            self._place(PendingEntry(entry.successor, entry.due, entry.due, 0.0, "new"))
        elif again is None or entry.dropped:
            del self._folded[key]
        else:
            if entry.hinted:
                again.due, again.rate, again.why = self._front(again.looked), 0.0, "hint"
            self._place(again)

    def _place(self, entry: PendingEntry) -> None:
        self.wanted += entry.rate
        self.counts[entry.watch.ref.kind, entry.watch.status] += 1
        self._wait(entry)

    def _leave(self, entry: PendingEntry) -> None:
        state = (entry.watch.ref.kind, entry.watch.status)
        left = self.counts[state] - 1
        if left:
            self.counts[state] = left
        else:
            del self.counts[state]
        # floats that were added and taken away do not quite come back to nothing
        self.wanted = max(0.0, self.wanted - entry.rate) if self.counts else 0.0

    def _wait(self, entry: PendingEntry) -> None:
        key = entry.watch.ref.key
        self._turns += 1
        entry.turn = self._turns - _BEFORE if entry.why == "hint" else self._turns
        self._folded[key] = pack(entry)
        self._queue.push(key, entry.due, entry.turn)
        first = self._first
        if first is not None and ((entry.due, entry.turn) < (first.due, first.turn) or first.watch.ref.key == key):
            self._first = None

    def _front(self, now: float) -> float:
        """When what is due first is due, at the latest now."""
        first = self.first()
        return now if first is None else min(now, first.due)

    def _unfolded(self, key: str) -> PendingEntry | None:
        folded = self._folded.get(key)
        return unpack(key, folded) if folded else None

    def _place_of(self, key: str) -> DueKey | None:
        folded = self._folded.get(key)
        return _PLACE.unpack_from(folded) if folded else None
