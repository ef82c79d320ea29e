"""Time as an argument: wall seconds for facts, monotonic seconds for waiting. A step of the wall clock moves no timer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio


@dataclass(frozen=True, slots=True)
class Clock:
    """`wall()` returns seconds since the epoch; `mono()` returns the time of the event loop, which tests make virtual."""

    wall: Callable[[], float] = time.time
    mono: Callable[[], float] = anyio.current_time
