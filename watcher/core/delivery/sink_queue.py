"""What one sink takes next: per task in order, one event at a time; other tasks pass a task that waits.

A window over the outbox. Times are monotonic seconds.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from watcher.model import Event

WINDOW = 2000
"""Events of the outbox held in memory for each sink. When all of them wait for a retry, nothing behind them passes."""


class SinkQueue:
    """The window of one sink: `add` what the outbox holds, `take` a batch, then `settle` or `rest` each of it."""

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window
        self.position = 0
        """The last position that was added."""
        self._queues: dict[str, deque[Event]] = {}
        self._ready: dict[str, None] = {}
        """Keys in the order in which they became ready; each at most once."""
        self._resting: dict[str, float] = {}
        self._alarms: list[tuple[float, str]] = []
        """A heap over `_resting`. One that is not what `_resting` says any more is passed over."""
        self._tries: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._dropped: set[str] = set()
        """Keys under way whose first event is not to be tried again."""
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
        while (alarm := self._alarm()) is not None and alarm[0] <= now:
            del self._resting[alarm[1]]
            self._ready[alarm[1]] = None
        keys = list(islice(self._ready, limit))
        for key in keys:
            del self._ready[key]
        self._under_way.update(keys)
        return [self._queues[key][0] for key in keys]

    def settle(self, events: Sequence[Event]) -> None:
        """Done with these, one way or the other: the next event of each task may go."""
        for event in events:
            queue = self._queues[event.key]
            queue.popleft()
            self._size -= 1
            self._tries.pop(event.key, None)
            self._under_way.discard(event.key)
            self._dropped.discard(event.key)
            if queue:
                self._ready[event.key] = None
            else:
                del self._queues[event.key]

    def rest(self, event: Event, until: float) -> None:
        """Not taken this time: its task waits until then. One that was dropped meanwhile is not tried again."""
        if event.key in self._dropped:
            self.settle([event])
            return
        self._tries[event.key] = self._tries.get(event.key, 0) + 1
        self._under_way.discard(event.key)
        self._resting[event.key] = until
        heapq.heappush(self._alarms, (until, event.key))

    def drop(self, key: str, unwanted: Callable[[Event], bool] = lambda event: True) -> None:
        """Send no event of this task that is unwanted. One under way stands until it is settled, or rests, and is not tried again."""
        queue = self._queues.get(key)
        if queue is None:
            return
        if key in self._under_way and unwanted(queue[0]):
            self._dropped.add(key)
        kept = [event for n, event in enumerate(queue) if (n == 0 and key in self._under_way) or not unwanted(event)]
        self._size -= len(queue) - len(kept)
        if kept:
            self._queues[key] = deque(kept)
            return
        del self._queues[key]
        self._tries.pop(key, None)
        self._ready.pop(key, None)
        self._resting.pop(key, None)

    def is_dropped(self, event: Event) -> bool:
        """Whether this event, under way, was dropped meanwhile."""
        return event.key in self._dropped

    def tries(self, key: str) -> int:
        """Failed attempts at the event of this task that is next."""
        return self._tries.get(key, 0)

    def wait(self, now: float) -> float | None:
        """Seconds until a resting task is ready; 0 when one is; None when nothing waits for time."""
        if self._ready:
            return 0.0
        alarm = self._alarm()
        return None if alarm is None else max(0.0, alarm[0] - now)

    def _alarm(self) -> tuple[float, str] | None:
        """The next to go off, of those that still stand."""
        while self._alarms and self._resting.get(self._alarms[0][1]) != self._alarms[0][0]:
            heapq.heappop(self._alarms)
        return self._alarms[0] if self._alarms else None

    def _append(self, event: Event) -> None:
        queue = self._queues.setdefault(event.key, deque())
        queue.append(event)
        self._size += 1
        if len(queue) == 1:
            self._ready[event.key] = None
