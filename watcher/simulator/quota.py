"""The service's own limit on calls: a token bucket. It never waits; the caller reads the clock."""

from __future__ import annotations


class TokenBucket:
    """`rate` calls per second with `burst` calls of credit; full at the beginning. A rate of None: no limit."""

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = burst if burst is not None else max(1.0, rate or 0.0) if rate != 0 else 0.0
        self._level = self.burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more call is allowed at `now` (seconds on any clock; one that steps back adds nothing)."""
        if self.rate is None:
            return True
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._level = min(self.burst, self._level + elapsed * self.rate)
        if self._level < 1 - 1e-5:  # wall time is a float of 0.2 µs: a whole token may be a hair short of one
            return False
        self._level -= 1
        return True
