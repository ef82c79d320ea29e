"""Keys by when they are due: the near ones in a heap, the far ones in bins that nobody sorts before their time comes.

A heap of a million costs eight microseconds a move, and a hundred and fifty bytes a key. Here a far key is one reference in the
list of its bin; when time reaches the bin, its keys go into the heap, which holds little more than one bin at a time.
Times are monotonic seconds. Nothing is ever taken out but at the front: `place_of` says where a key really stands by now.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

BIN_S = 0.25
"""Wide enough for few bins, narrow enough that opening one takes milliseconds with a million watches."""

DueKey = tuple[float, int]
"""When a key is due, and its turn, which orders what is due at the same time: no two places have the same."""


class DueQueue:
    """Which key comes first. `place_of` gives the place where a key waits now, None when it waits no more."""

    def __init__(self, place_of: Callable[[str], DueKey | None]) -> None:
        self._place_of = place_of
        self._near: list[tuple[float, int, str]] = []
        self._bins: dict[int, list[str]] = {}
        self._numbers: list[int] = []
        """A heap of the numbers of the bins."""
        self._opened = -math.inf
        """The last bin that went into the heap: what is due up to its end goes there at once."""

    def push(self, key: str, due: float, turn: int) -> None:
        """A key in its place. It may have other places, given before: they count no more."""
        number = math.floor(due / BIN_S)
        if number <= self._opened:
            heapq.heappush(self._near, (due, turn, key))
        elif number in self._bins:
            self._bins[number].append(key)
        else:
            self._bins[number] = [key]
            heapq.heappush(self._numbers, number)

    def first(self) -> str | None:
        """The key due first, left in its place."""
        while self._near or self._numbers:
            if not self._near:
                self._open(heapq.heappop(self._numbers))
            elif self._place_of(self._near[0][2]) != self._near[0][:2]:
                heapq.heappop(self._near)
            else:
                return self._near[0][2]
        return None

    def _open(self, number: int) -> None:
        self._opened = number
        for key in self._bins.pop(number):
            place = self._place_of(key)
            if place is not None and math.floor(place[0] / BIN_S) == number:
                self._near.append((*place, key))
        heapq.heapify(self._near)
