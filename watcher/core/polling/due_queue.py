"""A priority queue of keys by due time: near keys in a heap, far keys in unsorted bins.

With a million keys, a heap takes eight microseconds a move and 150 bytes a key. Here a far key is one reference in the
list of its bin. When a bin comes to the front, its keys move to the heap, so the heap holds little more than one bin.

Keys are removed at the front only. A key that moves is pushed again, and its earlier places become obsolete: `place_of`
returns the current place of a key. Times are monotonic seconds.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

BIN_S = 0.25
"""The width of a bin in seconds: wide enough for few bins, narrow enough that opening one of a million keys takes milliseconds."""

DueKey = tuple[float, int]
"""The place of a key: its due time, and its turn, which orders keys with the same due time. No two places are equal."""


class DueQueue:
    """Finds the key that is due first. `place_of` returns the current place of a key, None for a key that no longer waits."""

    def __init__(self, place_of: Callable[[str], DueKey | None]) -> None:
        self._place_of = place_of
        self._near: list[tuple[float, int, str]] = []
        """A heap of the places, also obsolete ones, of the keys in opened bins."""
        self._bins: dict[int, list[str]] = {}
        self._numbers: list[int] = []
        """A heap of the numbers of the bins."""
        self._opened = -math.inf
        """The number of the last bin that moved to the heap. A key that is due before its end goes to the heap at once."""

    def push(self, key: str, due: float, turn: int) -> None:
        """Add a key, or move it, to this place."""
        number = math.floor(due / BIN_S)
        if number <= self._opened:
            heapq.heappush(self._near, (due, turn, key))
        elif number in self._bins:
            self._bins[number].append(key)
        else:
            self._bins[number] = [key]
            heapq.heappush(self._numbers, number)

    def first(self) -> str | None:
        """The key that is due first. It stays in the queue."""
        while self._near or self._numbers:
            if not self._near:
                self._open(heapq.heappop(self._numbers))
            elif self._place_of(self._near[0][2]) != self._near[0][:2]:
                heapq.heappop(self._near)
            else:
                return self._near[0][2]
        return None

    def firsts(self, count: int, until: float) -> list[str]:
        """The keys that are due first, in order: at most `count`, and none that is due later than `until`. They stay in the queue."""
        found: list[tuple[float, int, str]] = []
        while len(found) < count and self.first() is not None and self._near[0][0] <= until:
            place = heapq.heappop(self._near)
            if not found or place != found[-1]:  # a bin may have named it twice
                found.append(place)
        for place in found:
            heapq.heappush(self._near, place)
        return [key for _, _, key in found]

    def _open(self, number: int) -> None:
        self._opened = number
        for key in self._bins.pop(number):
            place = self._place_of(key)
            if place is not None and math.floor(place[0] / BIN_S) == number:
                self._near.append((*place, key))
        heapq.heapify(self._near)
