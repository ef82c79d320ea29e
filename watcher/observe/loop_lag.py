"""Measures how late the event loop runs, and leaves a heartbeat that tells whether it runs at all.

Liveness hangs on this and on nothing else: never on a call to AWS, a store or a sink.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import anyio

from watcher.observe.metrics import Metrics

REMEMBERED_S = 30.0
"""The gauge shows the worst of this time, so that a delay between two scrapes is seen."""


class Heartbeat:
    """When the loop last turned, by a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """The loop turns."""
        self._last = self._clock()

    def age(self, now: float | None = None) -> float:
        """Seconds since the last beat, or since this was made. `now` is a reading of the same clock."""
        return max(0.0, (self._clock() if now is None else now) - self._last)


async def measure_loop_lag(
    metrics: Metrics, interval: float = 0.5, *, heartbeat: Heartbeat | None = None, clock: Callable[[], float] = time.monotonic
) -> None:
    """Sleep `interval` seconds again and again, show by how much that took longer, and beat. Runs until cancelled."""
    recent: deque[float] = deque(maxlen=max(1, round(REMEMBERED_S / interval)))
    while True:
        asleep = clock()
        await anyio.sleep(interval)
        recent.append(max(0.0, clock() - asleep - interval))
        metrics.loop_lag.set(max(recent))
        if heartbeat is not None:
            heartbeat.beat()
