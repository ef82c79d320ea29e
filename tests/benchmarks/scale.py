"""What many watches cost: memory, time to put one back, time from the start to the first poll, and stalls of the event loop.

`python -m tests.benchmarks.scale FILE COUNT` measures one size in this process, which must be a fresh one, and prints JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence, Sized
from pathlib import Path

import anyio
import structlog

from tests.benchmarks.stall import measure_stalls
from tests.benchmarks.table import Table, command
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.model import Observation, TaskRef, Watch
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Limits, ServiceSettings

RATE = 50.0
"""Calls per second: a large quota, but few calls for a million watches."""
STEADY_S = 5.0
"""For how long stalls are measured after all watches are loaded."""
RESCHEDULED = 200_000
SIZES = (1_000, 100_000, 1_000_000)


def run(quick: bool) -> Table:
    """Measure each size in a new process, with a file that was written before."""
    sizes = (1_000, 20_000) if quick else SIZES
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "watcher.db"
            anyio.run(_fill, path, size)
            words = [sys.executable, "-m", "tests.benchmarks.scale", str(path), str(size)]
            found.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
    rows = [(what, *(shape.format(one[key]) for one in found)) for what, key, shape in ROWS]
    return Table("Memory and time for many watches", command("scale"), NOTE, ("open watches", *(f"{size:,}" for size in sizes)), rows)


async def _fill(path: Path, size: int) -> None:
    """Write a store as a killed process leaves it: all tasks were observed once."""
    store = SqliteStore(SqliteStoreSettings(path=str(path)))
    await store.open([])
    now = time.time()
    for start in range(0, size, 10_000):
        await store.admit([_watch(n, now) for n in range(start, min(start + 10_000, size))])
    await store.close()


def _watch(n: int, now: float) -> Watch:
    """A watch with ids as long as real ones."""
    ref = TaskRef("speaker-search", (f"abcdefghij{n % 10:012d}", f"{n:08x}-5a7e-4c6b-9d2f-1b3c5d7e9f00"))
    at = now - 30 + n * 1e-6
    return Watch(ref, f"{n:032x}", at, at + 86_400, None, "IN_PROGRESS", at + 2, at + 3, at, at + 2, at + 2, None, 2, 2)


class Probe:
    """Answers at once that the task is running. Keeps the time of the first call."""

    first_call_at = 0.0

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def refresh(self, target: str) -> None: ...
    async def check(self) -> str:
        return ""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation]:
        self.first_call_at = self.first_call_at or time.perf_counter()
        now = time.time()
        return [Observation("IN_PROGRESS", now, None, now - 35, now - 30, now - 30) for _ in refs]


async def _measure(path: str, size: int) -> dict[str, float]:
    probe, store = Probe(), SqliteStore(SqliteStoreSettings(path=path))
    settings = ServiceSettings(pace=PaceSettings(rate=RATE, burst=RATE), limits=Limits(max_watches=2 * size))
    gc.collect()
    gc.freeze()  # as `watcher run` does
    before = resident()
    async with measure_stalls() as stall:
        began = time.perf_counter()
        async with assemble(Adapters([], probe, store, []), settings) as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            loaded = await _until_loaded(watcher.loops.pollers, size) - began
            starting, stall.worst = stall.worst, 0.0
            await anyio.sleep(STEADY_S)
            steady = stall.worst
            bytes_each = (resident() - before) / size
            watcher.stop()
    return {
        "first_poll": probe.first_call_at - began,
        "loaded": loaded,
        "bytes": bytes_each,
        "starting": starting * 1e3,
        "steady": steady * 1e3,
        "reschedule": _rescheduled(size) * 1e6,
    }


async def _until_loaded(open_watches: Sized, size: int) -> float:
    while len(open_watches) < size:  # noqa: ASYNC110 - the pending set signals nothing
        await anyio.sleep(0.005)
    return time.perf_counter()


def _rescheduled(size: int) -> float:
    """CPU seconds to take the first watch and put it back with a gap, in a set of this size."""
    pending, now, rng = PendingSet(), 0.0, random.Random(1)
    for n in range(size):
        pending.add(_watch(n, 0.0), rng.uniform(0, 60))
    gaps = [rng.uniform(1, 60) for _ in range(RESCHEDULED)]
    began = time.process_time()
    for gap in gaps:
        (entry,) = pending.take()
        now = entry.due
        pending.put_back(entry.watch, now, gap, "cadence")
    return (time.process_time() - began) / RESCHEDULED


def resident() -> int:
    """The memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


ROWS = (
    ("memory for each watch, bytes (growth of the whole process)", "bytes", "{:,.0f}"),
    ("take one and put it back, µs", "reschedule", "{:.1f}"),
    ("start to first poll, s", "first_poll", "{:.2f}"),
    ("start to all watches in the pending set, s", "loaded", "{:.1f}"),
    ("longest stall of the loop until then, ms", "starting", "{:.0f}"),
    ("longest stall in the 5 s after, ms", "steady", "{:.0f}"),
)
NOTE = f"""
A new process opens a SQLite file with this number of open watches, as after a crash, with {RATE:.0f} calls a second to spend. Memory is the
growth of the process until all watches are in the pending set, divided by their number; with few watches it is mostly what a watcher
needs anyway. Aim with a million: 400 bytes a watch, 6 µs, 1 s, no stall above 50 ms.

Putting back one watch of a million takes longer than the aim; of a thousand it does not. A watch that waits is packed into bytes and
unpacked when it is taken, and of a million hardly one is in the CPU's cache. As objects they would need several times the memory, and the
garbage collector would stop the loop to visit them. Compared with a call of some milliseconds the time is small.
"""

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(anyio.run(_measure, sys.argv[1], int(sys.argv[2]))))
