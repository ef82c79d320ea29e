"""Writes that end although their client was told that they take too long.

A write that is given up may be in the store all the same, and what follows from it must happen then: a watch that is stored and not
announced would be polled only after the next start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import structlog

from watcher.api.problems import unavailable

log = structlog.get_logger("watcher.api")

MAX_LATE = 16
"""The most writes that go on without a client. Each keeps the body of its request, so there is no further one until one has ended."""

T = TypeVar("T")


class LateWrites:
    """Runs writes, and waits for each one for a limited time."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Any]] = set()

    async def run(self, write: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
        """Return the result of a write that takes at most `seconds`. Raises Problem, 503, for one that takes longer, and goes on."""
        if len(self._late) >= MAX_LATE:
            raise unavailable("The store does not answer; earlier requests wait for it.")
        task = asyncio.create_task(write())
        try:
            with anyio.move_on_after(seconds):
                await asyncio.wait([task])
        finally:
            if not task.done():
                self._late.add(task)
                task.add_done_callback(self._ended)
        if task.done():
            return task.result()
        raise unavailable("The store did not answer in time. Send the same request again: a task that was stored is then known.")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("api_store_error", reason=str(error))
