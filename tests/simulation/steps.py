"""Ends a life at the Nth turn of the event loop: every await there is, not only those that call a port."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio


class StepFuse:
    """A fuse that counts the turns of the loop while a life goes on, and kills it at the `nth`."""

    def __init__(self, nth: int) -> None:
        self.steps = 0
        self.blown = ""
        """Says that it was reached; empty if the life had fewer."""
        self.life: anyio.CancelScope | None = None
        """What a kill cancels."""
        self._nth = nth
        self._wired = False

    def wire(self, what: str, part: Any) -> None:
        """Put it into the loop, once: whatever the part calls, the loop takes a turn for it."""
        if not self._wired:
            self._wired = True
            loop: Any = asyncio.get_running_loop()
            turn = loop._run_once
            loop._run_once = lambda: (self._count(), turn())

    def _count(self) -> None:
        if self.life is None or self.blown:
            return
        self.steps += 1
        if self.steps == self._nth:
            self.blown = f"turn {self._nth} of the loop"
            self.life.cancel()
