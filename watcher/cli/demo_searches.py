"""The application of `watcher demo --serve`: it starts speaker searches on the simulated service, and submits them to the watcher."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import anyio

from watcher.model import TaskRef
from watcher.simulator import TaskTable
from watcher.simulator.simulated_kinds import SPEAKER_SEARCH

CONNECTOR = "demo0voice0connector0"
FIRST_S = 12.0
"""The time in which the first searches are started, in seconds."""
SHORTEST_S, LONGEST_S = 0.7, 6.0
"""The minimum and the maximum of the mean time between two later searches, in seconds. The mean alternates between them."""
PERIOD_S = 180.0
"""The period of this alternation, in seconds."""
SUBMITTED_AGAIN = 20
"""The searches that are submitted again after a restart: a pipe loses the lines that were not read."""


def mean_gap_s(elapsed_s: float) -> float:
    """Return the mean time until the next search, in seconds, at this time after the start."""
    wave = (1 - math.cos(2 * math.pi * elapsed_s / PERIOD_S)) / 2
    return SHORTEST_S + (LONGEST_S - SHORTEST_S) * wave


class SearchStarter:
    """Starts `first` searches within `FIRST_S`, then further ones without an end. `pipe` is where the watcher reads tasks.

    If there are searches of an earlier run, it starts no first ones.
    """

    def __init__(self, tasks: TaskTable, pipe: Path, first: int) -> None:
        self.started = 0
        """The searches of this process."""
        self._tasks = tasks
        self._pipe = pipe
        known = [ref for ref in tasks.refs() if ref.params[0] == CONNECTOR]
        self._again = known[-SUBMITTED_AGAIN:]
        self._first = 0 if known else first
        seed = tasks.scenario.seed
        self._rng = Random(f"{seed} {time.time_ns()}" if known else seed)  # noqa: S311 - names and times, not secrets

    async def run(self) -> None:
        """Start and submit searches until cancelled."""
        with _opened(self._pipe) as pipe:
            for ref in self._again:
                await _write(pipe, ref)
            began = time.monotonic()
            while True:
                await _write(pipe, self._start())
                elapsed_s = time.monotonic() - began
                gap_s = FIRST_S / self._first if self.started < self._first else self._rng.expovariate(1 / mean_gap_s(elapsed_s))
                await anyio.sleep(gap_s)

    def _start(self) -> TaskRef:
        task_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._tasks.ensure(SPEAKER_SEARCH, CONNECTOR, task_id, time.time())
        self.started += 1
        return TaskRef(SPEAKER_SEARCH.name, (CONNECTOR, task_id))


@contextmanager
def _opened(pipe: Path) -> Iterator[int]:
    """Yield the named pipe. It is opened for reading too, so that no reader is needed to open it or to write to it."""
    fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


async def _write(pipe: int, ref: TaskRef) -> None:
    """Submit a task. Waits while the pipe is full, because a watcher at a limit does not read."""
    line = "/".join(ref.params).encode() + b"\n"
    while True:
        try:
            os.write(pipe, line)
        except BlockingIOError:
            await anyio.wait_writable(pipe)
        else:
            return
