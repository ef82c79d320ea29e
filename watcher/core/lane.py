"""What one sink takes next: per task in order, one event at a time; other tasks pass a task that waits.

A window over the outbox. Times are monotonic seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

from watcher.model import Event

WINDOW = 2000
"""Events of the outbox held in memory for each sink. When all of them wait for a retry, nothing behind them passes."""


class Lane:
    """The window of one sink: `add` what the outbox holds, `take` a batch, then `settle` or `rest` each of it."""

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window
        self.position = 0
        """The last position that was added."""
        self._queues: dict[str, deque[Event]] = {}
        self._ready: deque[str] = deque()
        self._resting: list[tuple[float, str]] = []
        self._tries: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def room(self) -> int:
        """How many more events fit."""
        return self.window - self._size

    def add(self, events: Iterable[Event]) -> None:
        """Events in order of position."""
        for event in events:
            self.position = max(self.position, event.position)
            self._append(event)

    def retry(self, event: Event) -> None:
        """An event that was a dead letter: it goes behind what its task has waiting."""
        self._append(event)

    def take(self, now: float, limit: int) -> list[Event]:
        """Up to `limit` events, no two of the same task. They are under way until settled or rested."""
        while self._resting and self._resting[0][0] <= now:
            self._ready.append(heapq.heappop(self._resting)[1])
        batch: list[Event] = []
        while self._ready and len(batch) < limit:
            queue = self._queues.get(key := self._ready.popleft())
            if queue:  # else it was dropped while it waited
                batch.append(queue[0])
                self._under_way.add(key)
        return batch

    def settle(self, events: Sequence[Event]) -> None:
        """Done with these, one way or the other: the next event of each task may go."""
        for event in events:
            queue = self._queues[event.key]
            queue.popleft()
            self._size -= 1
            self._tries.pop(event.key, None)
            self._under_way.discard(event.key)
            if queue:
                self._ready.append(event.key)
            else:
                del self._queues[event.key]

    def rest(self, event: Event, until: float) -> None:
        """Not taken this time: its task waits until then."""
        self._tries[event.key] = self._tries.get(event.key, 0) + 1
        self._under_way.discard(event.key)
        heapq.heappush(self._resting, (until, event.key))

    def drop(self, key: str) -> None:
        """Send nothing more of this task; what is under way is under way."""
        queue = self._queues.get(key)
        if queue is None:
            return
        kept = 1 if key in self._under_way else 0
        self._size -= len(queue) - kept
        while len(queue) > kept:
            queue.pop()
        if not queue:
            del self._queues[key]
            self._tries.pop(key, None)

    def tries(self, key: str) -> int:
        """Failed attempts at the event of this task that is next."""
        return self._tries.get(key, 0)

    def wait(self, now: float) -> float | None:
        """Seconds until a resting task is ready; 0 when one is; None when nothing waits for time."""
        if self._ready:
            return 0.0
        return max(0.0, self._resting[0][0] - now) if self._resting else None

    def _append(self, event: Event) -> None:
        queue = self._queues.setdefault(event.key, deque())
        queue.append(event)
        self._size += 1
        if len(queue) == 1:
            self._ready.append(event.key)
