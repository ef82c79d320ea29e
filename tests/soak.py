"""`python -m tests.soak --tasks 1000000`: waves of tasks through a watcher on virtual time, to find what it never forgets.

After each wave, all tasks have ended and were pruned, so the sizes of everything must be those after the second wave. The
watcher, its loops, and its stores are the real ones. Queue, service, and sinks are simulated and keep nothing themselves.
The thread of the SQLite store takes turns with the event loop (`tests/simulation/turns.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sqlite3
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType

import anyio
import structlog

from tests.simulation.turns import in_turns
from tests.simulation.virtual_time import VirtualTimeLoop
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.model import Event, Message
from watcher.ports import Delivered, Outcome, Store
from watcher.query import DeadLetterQuery, TaskQuery
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.maintenance import PRUNE_S
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

EPOCH = 1_800_000_000.0
RATE = 50
"""Tasks submitted per virtual second."""
RETENTION_S = 60.0
MAX_KEPT_PER_TASK = 0.7
"""Less than one leaked entry of a set or dict for each task."""
NOT_FOLLOWED = (type, ModuleType, FunctionType, asyncio.AbstractEventLoop, asyncio.Future, sqlite3.Connection)
WAVES = 10
MIN_WAVE = 300
"""Tasks in the smallest wave in which a leak exceeds the noise."""


@dataclass(frozen=True)
class Sizes:
    """What exists when no work is left."""

    elements: int
    """Elements of all collections that can be reached from the watcher."""
    resident: int
    """The memory of the process, in MiB. For information: a process does not return all memory that it frees."""
    descriptors: int
    threads: int
    tasks: int
    """Of the event loop."""
    rows: int
    """Watches, unsettled events, and dead letters in the store."""
    series: int
    """Time series of the metrics."""


class CountingInbox(SimulatedInbox):
    """Counts terminal events and keeps none."""

    ended = 0

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.ended += sum(event.terminal for event in events)
        return [Delivered() for _ in events]


class ForgettingQueue(SimulatedQueue):
    """Keeps no list of acknowledged messages."""

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        failed = await super().ack(messages)
        self.acked.clear()
        return failed


def soak(tasks: int, waves: int, path: Path | None = None, make: Callable[..., Watcher] = assemble) -> list[Sizes]:
    """The sizes after each of `waves` waves of `tasks` tasks, with the memory store, or with SQLite at `path`."""
    store: Store = MemoryStore(MemoryStoreSettings()) if path is None else SqliteStore(SqliteStoreSettings(path=str(path)))
    loop = VirtualTimeLoop()
    try:
        with in_turns(loop):
            return loop.run_until_complete(_soak(tasks, waves, store, make))
    finally:
        loop.close()


async def _soak(tasks: int, waves: int, store: Store, make: Callable[..., Watcher]) -> list[Sizes]:
    faults = dict.fromkeys(("503", "conflict", "reset", "garbage", "stale"), 0.02)
    scenario = Scenario(durations="queue=exponential(1),run=5+exponential(2)", faults=faults)
    service = VoiceService(scenario, clock=lambda: EPOCH + anyio.current_time())
    queue, sinks = ForgettingQueue(hold_s=300, finite=False), [CountingInbox(name="one"), CountingInbox(name="two")]
    adapters, rng = Adapters([queue], SimulatedProbe(service), store, sinks), Random(1)
    settings = ServiceSettings(watch=WatchSettings(retention=RETENTION_S), region="us-east-1")
    clock = Clock(lambda: EPOCH + anyio.current_time())
    watcher = make(adapters, settings, determinism=Determinism(clock, rng, lambda: f"{rng.getrandbits(128):032x}"))
    sizes = []
    async with watcher, anyio.create_task_group() as run:
        run.start_soon(watcher.run)
        for wave in range(waves):
            await _finish_wave(wave, tasks, queue, sinks)
            await anyio.sleep(RETENTION_S + PRUNE_S + 1)
            service.tasks.clear()
            sizes.append(await _measure(watcher, store))
            structlog.get_logger("soak").critical("wave", number=wave, **asdict(sizes[-1]))
        watcher.stop()
    return sizes


async def _finish_wave(wave: int, tasks: int, queue: SimulatedQueue, sinks: Sequence[CountingInbox]) -> None:
    """Submit the tasks, and wait until each sink has the last event of each."""
    for n in range(tasks):
        queue.put(f'{{"VoiceConnectorId": "vc{n % 7}", "SpeakerSearchTaskId": "task-{wave}-{n}"}}')
        if n % RATE == 0:
            await anyio.sleep(1)
            queue.put("poison")
    while len(queue) or any(sink.ended < (wave + 1) * tasks for sink in sinks):  # noqa: ASYNC110 - neither signals its progress
        await anyio.sleep(5)


async def _measure(watcher: Watcher, store: Store) -> Sizes:
    series = sum(1 for line in watcher.metrics.render().splitlines() if not line.startswith(b"#"))
    descriptors = len(os.listdir("/proc/self/fd"))
    rows = await _rows(store)
    return Sizes(elements(watcher), resident(), descriptors, threading.active_count(), len(asyncio.all_tasks()), rows, series)


async def _rows(store: Store) -> int:
    watches, dead_letters = (await store.tasks(TaskQuery())).items, (await store.dead_letters(DeadLetterQuery())).items
    return len(watches) + sum(backlog.events for backlog in (await store.backlog()).values()) + len(dead_letters)


def resident() -> int:
    """The memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def elements(watcher: Watcher) -> int:
    """The number of elements in all collections that can be reached from the watcher.

    Does not follow code, event loops (cancelled timers come and go), or connections (they keep their last cursors).
    """
    gc.collect()
    seen: set[int] = set()
    stack: list[object] = [watcher]
    count = 0
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, NOT_FOLLOWED):
            continue
        seen.add(id(item))
        if isinstance(item, dict | list | set | deque):
            count += len(item)
        stack += gc.get_referents(item)
    return count


def find_growth(first: Sizes, last: Sizes, tasks: int) -> list[str]:
    """What grew while this many tasks came and went, one sentence each."""
    found, more = [], last.elements - first.elements
    if more > MAX_KEPT_PER_TASK * tasks:
        found.append(f"elements: {more / tasks:.1f} more for each task")
    for name in ("descriptors", "threads", "tasks", "rows"):
        before, after = getattr(first, name), getattr(last, name)
        if after > before:
            found.append(f"{name}: {before} before, {after} after")
    if last.series > first.series + 20:
        found.append(f"series of metrics: {first.series} before, {last.series} after")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Look for leaks: run waves of tasks on virtual time.")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="tasks with the memory store; SQLite gets a fiftieth of them")
    tasks = parser.parse_args().tasks
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    growth = []
    with tempfile.TemporaryDirectory() as directory:
        for name, path, count in (("memory", None, tasks), ("sqlite", Path(directory) / "watcher.db", tasks // 50)):
            wave = max(MIN_WAVE, count // WAVES)
            print(f"{name}: {WAVES} waves of {wave} tasks", flush=True)
            sizes = soak(wave, WAVES, path)
            growth += [f"{name}: {sentence}" for sentence in find_growth(sizes[1], sizes[-1], (WAVES - 2) * wave)]
    print(*growth or ["no growth: all sizes are as they were after the second wave"], sep="\n")
    return 1 if growth else 0


if __name__ == "__main__":
    sys.exit(main())
