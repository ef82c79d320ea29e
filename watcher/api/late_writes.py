"""Writes that run to their end, although the client already got 503 because they take too long.

Such a write may still be committed, and then the steps after it must follow: a watch that is stored but not announced would be
polled only after the next start.
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
"""The maximum number of writes that continue without a client. Each keeps the body of its request, so further ones are refused."""

T = TypeVar("T")


class LateWrites:
    """Runs writes, and waits for each one for a limited time."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Any]] = set()

    async def run(self, write: Callable[[], Coroutine[Any, Any, T]], seconds: float) -> T:
        """Return the result of a write. Raises Problem (503) if it takes longer than `seconds`; the write then continues."""
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
        raise unavailable("The store did not answer in time. Send the request again: a task that was stored has the outcome known.")

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("api_store_error", reason=str(error))
