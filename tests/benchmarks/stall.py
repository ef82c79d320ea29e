"""Measures how long an event loop is blocked, beside the code that is measured."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

TICK_S = 0.001


@dataclass(slots=True)
class Stall:
    """The longest time, in seconds, that a ready task waited for the loop."""

    worst: float = 0.0


@asynccontextmanager
async def measure_stalls() -> AsyncIterator[Stall]:
    """Measure the loop while the block runs."""
    stall = Stall()

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await anyio.sleep(TICK_S)
            stall.worst = max(stall.worst, time.perf_counter() - began - TICK_S)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.sleep(0.05)
        stall.worst = 0.0
        yield stall
        await anyio.sleep(2 * TICK_S)  # the last stall counts too
        tasks.cancel_scope.cancel()
