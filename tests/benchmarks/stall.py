"""For how long an event loop stood still: the watch that runs beside what is measured."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

TICK_S = 0.001


@dataclass(slots=True)
class Stall:
    """The longest the loop kept a ready task waiting, in seconds, with the time at which it ended."""

    worst: float = 0.0
    at: float = 0.0


@asynccontextmanager
async def watched() -> AsyncIterator[Stall]:
    """Measures the loop while the block runs."""
    found = Stall()

    async def tick() -> None:
        while True:
            asked = time.perf_counter()
            await anyio.sleep(TICK_S)
            now = time.perf_counter()
            if now - asked - TICK_S > found.worst:
                found.worst, found.at = now - asked - TICK_S, now

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.sleep(0.05)
        found.worst = 0.0
        yield found
        await anyio.sleep(2 * TICK_S)  # the last stall counts too
        tasks.cancel_scope.cancel()
