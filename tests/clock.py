"""Moves the clock of an event loop ahead, where a deadline meets real sockets and virtual time cannot be used."""

from __future__ import annotations

import asyncio


def advance(seconds: float) -> None:
    """Move the clock of the running loop ahead: timers that are due by then fire in its next iteration. The loop keeps the lead."""
    loop = asyncio.get_running_loop()
    time = loop.time
    loop.time = lambda: time() + seconds  # type: ignore[method-assign]
