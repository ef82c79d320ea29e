"""An event loop with virtual time: whenever nothing is ready to run, its clock jumps to the next timer.

For runs without sockets, so that it never asks the operating system for input. looptime, which the other tests use, does,
and that took a quarter of the CPU time of a story. `turns.py` adds the thread of a SQLite store.
"""

from __future__ import annotations

import asyncio
from selectors import DefaultSelector, SelectorKey

TICKS_PER_S = 1_000_000
"""The clock counts microseconds as an int, so that adding timeouts causes no rounding errors."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and passes only while no task can run."""

    def __init__(self) -> None:
        self.suspended_s = 0.0
        """Seconds for which time passed and nothing ran, as in a suspended process or a blocked loop."""
        self._ticks = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Seconds since the loop was created."""
        return self._ticks / TICKS_PER_S + self.suspended_s

    def advance(self, seconds: float) -> None:
        """Move the clock, by at least one microsecond, so that a shorter timeout ends too."""
        self._ticks += round(seconds * TICKS_PER_S) + (seconds < 1 / TICKS_PER_S)


class _JumpingSelector(DefaultSelector):
    """Moves the clock of its loop instead of waiting."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return no input. Raises RuntimeError where no timer is left, because such a run would hang."""
        if timeout is None:
            raise RuntimeError("deadlock: all tasks wait, and no timer is left to wake one of them")
        if timeout > 0:
            self._loop.advance(timeout)
        return []
