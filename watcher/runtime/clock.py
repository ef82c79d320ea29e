"""Time, handed in: wall seconds for facts, monotonic seconds for waiting. A step of the wall clock moves no timer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall()` is seconds since the epoch; `mono()` is the event loop's own time, virtual where the loop is."""

    wall: Callable[[], float] = time.time
    mono: Callable[[], float] = anyio.current_time
