"""Decides when the log says that calls fail, before a circuit opens. A single failure between answers is normal, and no line."""

from __future__ import annotations

import math

IN_A_ROW = 3
"""The failed calls in a row that are worth a line. Before the first answer, one is: the setup may be wrong."""
PERIOD_S = 60.0
"""The shortest time between two lines, in seconds."""


class CallFailures:
    """The failed calls under one quota since the last answer. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.in_a_row = 0
        """The failed calls since the last answer."""
        self._answered = False
        self._next_line_at = -math.inf

    def answered(self) -> None:
        """The service answered a call."""
        self._answered = True
        self.in_a_row = 0

    def failed(self, now: float) -> bool:
        """Count a failed call. Returns whether a line is due."""
        self.in_a_row += 1
        if self.in_a_row < (IN_A_ROW if self._answered else 1) or now < self._next_line_at:
            return False
        self._next_line_at = now + PERIOD_S
        return True
