"""The service's limit on calls: a token bucket. It never waits, and takes the time as an argument."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` calls per second and `burst` calls at once; full at the start. A rate of None: no limit."""

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        self.rate = rate
        self.burst = burst if burst is not None else max(1.0, rate or 0.0) if rate != 0 else 0.0
        self._level = self.burst
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Return whether one more call is allowed at `now`, in seconds of any clock. A clock that steps back adds no tokens."""
        if self.rate is None:
            return True
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._level = min(self.burst, self._level + elapsed * self.rate)
        if self._level < 1 - 1e-5:  # wall time as a float has steps of 0.2 µs, so a whole token may be slightly less than 1
            return False
        self._level -= 1
        return True
