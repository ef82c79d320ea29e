"""Measures how late the event loop runs, and keeps the time at which it last ran.

Liveness (/healthz) depends on this time only, never on a call to AWS, a store or a sink.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import anyio

from watcher.observe.metrics import Metrics

WINDOW_S = 30.0
"""The gauge shows the longest delay of this time, in seconds, so that a delay between two scrapes is not missed."""


class Heartbeat:
    """The time at which the event loop last ran, in seconds of a monotonic clock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Record that the event loop runs now."""
        self._last = self._clock()

    def age(self, now: float | None = None) -> float:
        """Seconds since the last beat, or since the start. `now` is a reading of the same clock."""
        return max(0.0, (self._clock() if now is None else now) - self._last)


async def measure_loop_lag(
    metrics: Metrics, interval: float = 0.5, *, heartbeat: Heartbeat | None = None, clock: Callable[[], float] = time.monotonic
) -> None:
    """Sleep for `interval` seconds again and again; show by how much a sleep was too long, and beat. Runs until cancelled."""
    recent: deque[float] = deque(maxlen=max(1, round(WINDOW_S / interval)))
    while True:
        asleep_at = clock()
        await anyio.sleep(interval)
        recent.append(max(0.0, clock() - asleep_at - interval))
        metrics.loop_lag.set(max(recent))
        if heartbeat is not None:
            heartbeat.beat()
