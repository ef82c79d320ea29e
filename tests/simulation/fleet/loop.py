"""Freezes one process while the others run: the event loop keeps what belongs to it until the process goes on.

Each process runs in contexts in which `PROCESS` has its number, so each callback and timer of the loop tells whose it is.
A frozen process runs nothing, as after SIGSTOP. Its timers fire late, and it reads replies late. Its clock goes on.

What this leaves out: a process is frozen between two iterations of the loop, never between two lines of code that do not
wait; what it was doing at the service stays in flight until it goes on; and a sink takes what was being sent to it only then.
"""

from __future__ import annotations

import asyncio
import heapq
from contextvars import ContextVar
from typing import Any

from tests.simulation.virtual_time import VirtualTimeLoop

PROCESS: ContextVar[int] = ContextVar("process", default=-1)
"""The number of the process to which a task belongs; -1: none, it is a part of the world."""


class FreezingLoop(VirtualTimeLoop):
    """A loop of several processes."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, list[asyncio.Handle]] = {}
        """By frozen process, what it would have run."""

    def is_frozen(self, process: int) -> bool:
        """Whether this process is frozen."""
        return process in self._kept

    def freeze(self, process: int) -> None:
        """Run nothing of this process from now on."""
        timers = [timer for timer in self._scheduled if _owner(timer) == process]  # type: ignore[attr-defined]
        self._kept[process] = list(timers)
        self._scheduled = [timer for timer in self._scheduled if _owner(timer) != process]  # type: ignore[has-type]
        heapq.heapify(self._scheduled)

    def thaw(self, process: int) -> None:
        """Let this process go on: it reads what has arrived, then its timers that are overdue fire."""
        for handle in self._kept.pop(process, ()):
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)
            else:
                self._ready.append(handle)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        if self._kept:
            self._keep_back()
        super()._run_once()  # type: ignore[misc]

    def _keep_back(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        for _ in range(len(ready)):
            handle = ready.popleft()
            (self._kept.get(_owner(handle), ready)).append(handle)


def _owner(handle: asyncio.Handle) -> int:
    return handle._context.get(PROCESS, -1)  # type: ignore[attr-defined]
