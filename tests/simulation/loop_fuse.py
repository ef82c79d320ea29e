"""A fuse that kills the process at the nth iteration of the event loop: at every await, not only at those of a port."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio


class LoopFuse:
    """Counts the iterations of the loop while the process runs, and kills it before the `nth`."""

    def __init__(self, nth: int) -> None:
        self.iterations = 0
        self.blown = ""
        """Not empty when the process was killed; empty if it had fewer iterations."""
        self.process: anyio.CancelScope | None = None
        """What a kill cancels."""
        self._nth = nth
        self._wired = False

    def wire(self, port: str, adapter: Any) -> None:
        """Count the iterations of the running loop, whatever the adapter."""
        if not self._wired:
            self._wired = True
            loop: Any = asyncio.get_running_loop()
            run_once = loop._run_once
            loop._run_once = lambda: (self._count(), run_once())

    def _count(self) -> None:
        if self.process is None or self.blown:
            return
        self.iterations += 1
        if self.iterations == self._nth:
            self.blown = f"iteration {self._nth} of the loop"
            self.process.cancel()
