"""The pending set: which watch is due when. Each key stands here once, and is in flight at most once.

Contract: `add` a watch; `take` the one that has been due longest; it is then in flight until it is `put_back` or `finish`ed.
What happens to a watch in flight (a hint, a drop) is remembered and takes effect when it comes back.
Times are monotonic seconds. A heap with lazy deletion: an entry that was moved leaves its old place in the heap behind.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from watcher.model import Watch


@dataclass(slots=True)
class Entry:
    """A watch and its place in time."""

    watch: Watch
    due: float
    looked: float
    """When it was put here: the last look at the task."""
    rate: float
    """The calls per second it asks for: 1 / gap."""
    why: str
    """The reason it waits until then: `new`, `cadence`, `hint`, or one of a setback."""
    turn: int = 0
    in_flight: bool = False
    hinted: bool = False
    dropped: bool = False
    successor: Watch | None = None
    """Another watch of the same task, added while this one was in flight: its turn comes when this one is back."""


class PendingSet:
    """All open watches, ordered by when to ask."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._turns = 0
        self.in_flight = 0
        self.wanted = 0.0
        """The sum of all rates asked for, in calls per second."""
        self.counts: Counter[tuple[str, str | None]] = Counter()
        """Watches by (kind, status)."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def get(self, key: str) -> Entry | None:
        """The entry of this key, waiting or in flight."""
        return self._entries.get(key)

    def add(self, watch: Watch, now: float, why: str = "new") -> None:
        """Begin with a watch, due now. It replaces one that stands here under the same key; one in flight, when that is back."""
        old = self._entries.get(watch.key)
        if old is not None and old.in_flight:
            old.successor = watch
            return
        if old is not None:
            self._leave(self._entries.pop(watch.key))
        self._place(Entry(watch, now, now, 0.0, why))

    def put_back(self, watch: Watch, now: float, gap: float, why: str) -> None:
        """The watch was in flight: due again `gap` seconds from now, or at once if a hint came meanwhile."""
        entry = self._return(watch)
        if entry is None or entry.dropped or entry.successor is not None:
            return
        if entry.hinted:
            gap, why = 0.0, "hint"
        self._place(Entry(watch, now + gap, now, 1 / max(gap, 0.05) if gap > 0 else 0.0, why))

    def take(self) -> Entry | None:
        """The one due first, now in flight. None when nothing waits."""
        head = self._head()
        if head is None:
            return None
        heapq.heappop(self._heap)
        head.in_flight = True
        head.turn = 0
        self.in_flight += 1
        return head

    def first(self) -> Entry | None:
        """The one due first, left in its place."""
        return self._head()

    def hint(self, key: str, now: float) -> bool:
        """Somebody says that something happened: due now. False for a key that is not here."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.in_flight:
            entry.hinted = True
        elif entry.due > now:
            entry.due, entry.why = now, "hint"
            self._push(entry)
        return True

    def drop(self, key: str) -> bool:
        """Nothing more to ask about it. In flight: it goes when it comes back."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.in_flight:
            entry.dropped, entry.successor = True, None
            return True
        self._leave(self._entries.pop(key))
        return True

    def finish(self, watch: Watch) -> None:
        """The watch in flight has ended."""
        self._return(watch)

    def lateness(self, now: float) -> float:
        """For how long the first one has been due, in seconds; 0 when nothing is."""
        head = self._head()
        return 0.0 if head is None else max(0.0, now - head.due)

    def _return(self, watch: Watch) -> Entry | None:
        """Out of the set comes what was in flight; its successor takes the place."""
        entry = self._entries.get(watch.key)
        if entry is None or entry.watch.id != watch.id:
            return None
        self._leave(self._entries.pop(watch.key))
        if entry.successor is not None:
            self._place(Entry(entry.successor, entry.due, entry.due, 0.0, "new"))
        return entry

    def _head(self) -> Entry | None:
        while self._heap:
            _, turn, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.turn == turn and not entry.in_flight:
                return entry
            heapq.heappop(self._heap)
        return None

    def _place(self, entry: Entry) -> None:
        self.wanted += entry.rate
        self.counts[entry.watch.ref.kind, entry.watch.status] += 1
        self._entries[entry.watch.key] = entry
        self._push(entry)

    def _push(self, entry: Entry) -> None:
        self._turns += 1
        entry.turn = self._turns
        heapq.heappush(self._heap, (entry.due, entry.turn, entry.watch.key))

    def _leave(self, entry: Entry) -> None:
        self.wanted = max(0.0, self.wanted - entry.rate)
        state = (entry.watch.ref.kind, entry.watch.status)
        self.counts[state] -= 1
        if not self.counts[state]:
            del self.counts[state]
        self.in_flight -= entry.in_flight
        if not self._entries:
            self.wanted = 0.0  # floats that were added and taken away do not quite come back to nothing
