"""Limits how many lines about the same problem are logged. Times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

LINES, PERIOD_S = 10, 60.0
"""The most lines in a period, and its length in seconds."""


@dataclass(slots=True)
class LogLimit:
    """The lines of one log event of one sink."""

    _began: float = float("-inf")
    _lines: int = 0
    _suppressed: int = 0

    def admit(self, now: float) -> int | None:
        """Count a line. Returns how many were suppressed since the last one, None where this one is suppressed too."""
        if now - self._began >= PERIOD_S:
            self._began, self._lines = now, 0
        if self._lines >= LINES:
            self._suppressed += 1
            return None
        self._lines += 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed
