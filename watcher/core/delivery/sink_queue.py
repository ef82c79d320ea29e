"""Which event a sink gets next: the events of a task in order, one at a time. A task whose event must wait delays no other task.

The queue is a window over the outbox of the shards that this process owns. Times are monotonic seconds.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

from watcher.model import Event

WINDOW = 2000
"""The most events in memory for each sink. While all of them wait for a retry, no event behind them is sent."""


class SinkQueue:
    """The window of one sink: `add` what the outbox holds, `take` a batch, then `settle` or `postpone` each event of it."""

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window
        self._positions: dict[int, int] = {}
        """The last position that was added, for each adopted shard."""
        self._queues: dict[str, deque[Event]] = {}
        """The events of each task, in order."""
        self._ready: OrderedDict[str, None] = OrderedDict()
        """Keys in the order in which they became ready; each at most once."""
        self._postponed: dict[str, float] = {}
        """The time until which a key waits; infinite for one that is held."""
        self._timers: list[tuple[float, str]] = []
        """A heap of (time, key). A timer that does not match `_postponed` is obsolete."""
        self._attempts: dict[str, int] = {}
        """Failed attempts at the first event of a key."""
        self._under_way: set[str] = set()
        self._dropped: set[str] = set()
        """Keys under way whose first event must not be retried."""
        self._requeued: set[str] = set()
        """Ids of events that were dead letters."""
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def room(self) -> int:
        """How many more events fit."""
        return self.window - self._size

    @property
    def shards(self) -> Collection[int]:
        """The adopted shards."""
        return self._positions.keys()

    @property
    def oldest_at(self) -> float | None:
        """When the oldest event in the window was committed (seconds since the epoch), None where there is none.

        Retries of dead letters do not count. Takes time in proportion to the number of keys.
        """
        heads = (next((event for event in queue if event.id not in self._requeued), None) for queue in self._queues.values())
        return min((event.at for event in heads if event is not None), default=None)

    def adopt(self, shard: int) -> None:
        """Start delivering the events of a shard, from its first unsettled event. No effect on an adopted shard."""
        self._positions.setdefault(shard, 0)

    def release(self, shard: int) -> None:
        """Stop delivering the events of a shard: drop those that wait, and mark those under way as dropped."""
        self._positions.pop(shard, None)
        for key in [key for key, queue in self._queues.items() if queue[0].shard == shard]:
            self.drop(key)

    def position(self, shard: int) -> int:
        """The last position of an adopted shard that was added."""
        return self._positions[shard]

    def add(self, shard: int, events: Iterable[Event], *, after: int | None = None) -> None:
        """Add events of a shard, in order of position.

        Ignored where the shard is not adopted, or where its position is not `after`: the shard was released, and perhaps
        adopted again, while the outbox was read.
        """
        if shard not in self._positions or after not in (None, self._positions[shard]):
            return
        for event in events:
            self._positions[shard] = max(self._positions[shard], event.position)
            self._append(event)

    def requeue(self, event: Event) -> bool:
        """Add a dead letter to retry, behind the waiting events of its task. False where its shard is not adopted."""
        if event.shard not in self._positions:
            return False
        self._requeued.add(event.id)
        self._append(event)
        return True

    def take(self, now: float, limit: int) -> list[Event]:
        """Up to `limit` events, no two of the same task. They are under way until they are settled or postponed."""
        while (timer := self._next_timer()) is not None and timer[0] <= now:
            del self._postponed[timer[1]]
            self._ready[timer[1]] = None
        keys = list(islice(self._ready, limit))
        for key in keys:
            del self._ready[key]
        self._under_way.update(keys)
        return [self._queues[key][0] for key in keys]

    def settle(self, events: Sequence[Event]) -> None:
        """Remove events under way that are delivered, or never will be. The next event of each task is ready."""
        for event in events:
            queue = self._queues[event.key]
            self._forget([queue.popleft()])
            self._attempts.pop(event.key, None)
            self._under_way.discard(event.key)
            self._dropped.discard(event.key)
            if queue:
                self._ready[event.key] = None
            else:
                del self._queues[event.key]

    def postpone(self, event: Event, until: float) -> None:
        """Return an event that the sink did not accept. Its task waits until then. An event that was dropped meanwhile is removed."""
        if self._return(event, until):
            heapq.heappush(self._timers, (until, event.key))

    def hold(self, event: Event) -> bool:
        """Return an event that the sink refused. Its task waits until `resume` or `claim`. False where it was dropped meanwhile."""
        return self._return(event, math.inf)  # without a timer

    def resume(self, event: Event) -> bool:
        """Make an event ready that is held, before all others. False where it is not held any more."""
        if not self._is_held(event):
            return False
        del self._postponed[event.key]
        self._ready[event.key] = None
        self._ready.move_to_end(event.key, last=False)
        return True

    def claim(self, event: Event) -> bool:
        """Take an event that is held, to settle it without sending it. False where it is not held any more."""
        if not self._is_held(event):
            return False
        del self._postponed[event.key]
        self._under_way.add(event.key)
        return True

    def drop(self, key: str, unwanted: Callable[[Event], bool] = lambda event: True) -> None:
        """Remove the unwanted events of a task. One that is under way stays until it is settled, but is not retried."""
        queue = self._queues.get(key)
        if queue is None:
            return
        under_way = key in self._under_way
        if under_way and unwanted(queue[0]):
            self._dropped.add(key)
        kept: list[Event] = []
        removed: list[Event] = []
        for n, event in enumerate(queue):
            (kept if (n == 0 and under_way) or not unwanted(event) else removed).append(event)
        self._forget(removed)
        if kept and kept[0].id == queue[0].id:
            self._queues[key] = deque(kept)
            return
        del self._queues[key]
        self._attempts.pop(key, None)
        self._ready.pop(key, None)
        self._postponed.pop(key, None)
        if kept:  # the event that waited is gone: the next one need not wait
            self._queues[key] = deque(kept)
            self._ready[key] = None

    def is_dropped(self, event: Event) -> bool:
        """Whether this event, which is under way, was dropped in the meantime."""
        return event.key in self._dropped

    def attempts(self, key: str) -> int:
        """The number of failed attempts at the next event of this task."""
        return self._attempts.get(key, 0)

    def wait(self, now: float) -> float | None:
        """Seconds until an event is ready: 0 when one is, None when none waits for a time."""
        if self._ready:
            return 0.0
        timer = self._next_timer()
        return None if timer is None else max(0.0, timer[0] - now)

    def _return(self, event: Event, until: float) -> bool:
        """End an attempt that failed. False where the event was dropped meanwhile: it is removed."""
        if event.key in self._dropped:
            self.settle([event])
            return False
        self._attempts[event.key] = self._attempts.get(event.key, 0) + 1
        self._under_way.discard(event.key)
        self._postponed[event.key] = until
        return True

    def _is_held(self, event: Event) -> bool:
        return self._postponed.get(event.key) == math.inf and self._queues[event.key][0].id == event.id

    def _next_timer(self) -> tuple[float, str] | None:
        while self._timers and self._postponed.get(self._timers[0][1]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0] if self._timers else None

    def _append(self, event: Event) -> None:
        queue = self._queues.setdefault(event.key, deque())
        queue.append(event)
        self._size += 1
        if len(queue) == 1:
            self._ready[event.key] = None

    def _forget(self, events: Collection[Event]) -> None:
        self._size -= len(events)
        self._requeued.difference_update(event.id for event in events)
