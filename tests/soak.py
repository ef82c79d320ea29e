"""`python -m tests.soak --tasks 1000000`: waves of tasks through a watcher on virtual time; after each, all must be as after the second.

The pending set, receipts, lanes, circuits, metrics and rows forget what has ended. The watcher, its loops and its stores are the real
ones; only queue, service and sink are simulated, and keep nothing themselves. SQLite's thread takes turns with the loop.
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
import looptime
import structlog
from watcher.runtime.upkeep import PRUNE_S

from tests.simulation.turns import in_turns
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.model import Event, Message
from watcher.ports import Delivered, Outcome, OwnedStore
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, ServiceSettings, Watcher
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

EPOCH = 1_800_000_000.0
RATE = 50
"""Tasks per virtual second."""
RETENTION_S = 60.0
KEPT_A_TASK = 0.7
"""Less than one entry of a set or dict that somebody forgot to take out."""
NOT_OURS = (type, ModuleType, FunctionType, asyncio.AbstractEventLoop, asyncio.Future, sqlite3.Connection)
WAVES = 10
WAVE = 300
"""Tasks in the smallest wave that shows anything."""


@dataclass(frozen=True)
class House:
    """What there is, when nothing is left to do."""

    kept: int
    """Elements of all collections that can be reached from the watcher."""
    resident: int
    """The memory of the process, in MiB: to look at, for it never comes back quite."""
    descriptors: int
    threads: int
    tasks: int
    rows: int
    series: int
    """Time series of the metrics."""


class Counting(SimulatedInbox):
    """Keeps the number of ends it was told, and nothing else."""

    ended = 0

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.ended += sum(event.terminal for event in events)
        return [Delivered() for _ in events]


class Forgetting(SimulatedQueue):
    """Keeps no list of what was acknowledged."""

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        failed = await super().ack(messages)
        self.acked.clear()
        return failed


def soak(tasks: int, waves: int, path: Path | None = None, make: Callable[..., Watcher] = Watcher) -> list[House]:
    """The house after each of so many waves of tasks, with the memory store or with SQLite at `path`."""
    store: OwnedStore = MemoryStore(MemoryStoreSettings()) if path is None else SqliteStore(SqliteStoreSettings(path=str(path)))
    loop = looptime.new_event_loop(noop_cycles=0)
    try:
        with in_turns(loop):
            return loop.run_until_complete(_soak(tasks, waves, store, make))
    finally:
        loop.close()


async def _soak(tasks: int, waves: int, store: OwnedStore, make: Callable[..., Watcher]) -> list[House]:
    faults = dict.fromkeys(("503", "conflict", "reset", "garbage", "stale"), 0.02)
    scenario = Scenario(durations="queue=exponential(1),run=5+exponential(2)", faults=faults)
    service = VoiceService(scenario, clock=lambda: EPOCH + anyio.current_time())
    queue, sinks = Forgetting(hold_s=300, finite=False), [Counting(name="one"), Counting(name="two")]
    parts, rng = Adapters([queue], SimulatedProbe(service), store, sinks), Random(1)
    plan = ServiceSettings(watch=WatchSettings(retention=RETENTION_S), region="us-east-1")
    clock = Clock(lambda: EPOCH + anyio.current_time())
    watcher = make(parts, plan, clock=clock, rng=rng, new_id=lambda: f"{rng.getrandbits(128):032x}")
    houses = []
    async with watcher, anyio.create_task_group() as run:
        run.start_soon(watcher.run)
        for wave in range(waves):
            await _wave(wave, tasks, queue, sinks)
            await anyio.sleep(RETENTION_S + PRUNE_S + 1)
            service.tasks.clear()
            houses.append(await _house(watcher, store))
            structlog.get_logger("soak").critical("wave", number=wave, **asdict(houses[-1]))
        watcher.stop()
    return houses


async def _wave(wave: int, tasks: int, queue: SimulatedQueue, sinks: Sequence[Counting]) -> None:
    """Until all of them have ended, been told and been erased."""
    for n in range(tasks):
        queue.put(f'{{"VoiceConnectorId": "vc{n % 7}", "SpeakerSearchTaskId": "task-{wave}-{n}"}}')
        if n % RATE == 0:
            await anyio.sleep(1)
            queue.put("poison")
    while len(queue) or any(sink.ended < (wave + 1) * tasks for sink in sinks):  # noqa: ASYNC110 - they ring no bell
        await anyio.sleep(5)


async def _rows(store: OwnedStore) -> int:
    return len(await store.tasks()) + sum(waiting.events for waiting in (await store.backlog()).values()) + len(await store.letters())


async def _house(watcher: Watcher, store: OwnedStore) -> House:
    rows = await _rows(store)
    series = sum(1 for line in watcher.metrics.render().splitlines() if not line.startswith(b"#"))
    descriptors = len(os.listdir("/proc/self/fd"))
    return House(kept(watcher), resident(), descriptors, threading.active_count(), len(asyncio.all_tasks()), rows, series)


def resident() -> int:
    """The memory of this process, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def kept(watcher: Watcher) -> int:
    """Looks into all but code, the event loop, whose cancelled timers come and go, and connections, which keep their last cursors."""
    gc.collect()
    seen: set[int] = set()
    stack: list[object] = [watcher]
    count = 0
    while stack:
        thing = stack.pop()
        if id(thing) in seen or isinstance(thing, NOT_OURS):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | set | deque):
            count += len(thing)
        stack += gc.get_referents(thing)
    return count


def grown(first: House, last: House, tasks: int) -> list[str]:
    """What is more than it was, after so many tasks. Empty: nothing is."""
    told, more = [], last.kept - first.kept
    if more > KEPT_A_TASK * tasks:
        told.append(f"{more / tasks:.1f} things a task are kept")
    for what in ("descriptors", "threads", "tasks", "rows"):
        before, after = getattr(first, what), getattr(last, what)
        if after > before:
            told.append(f"{what}: {before} before, {after} after")
    if last.series > first.series + 20:
        told.append(f"series of metrics: {first.series} before, {last.series} after")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many in all; a fiftieth of it with SQLite")
    tasks = parser.parse_args().tasks
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    told = []
    with tempfile.TemporaryDirectory() as directory:
        for name, path, count in (("memory", None, tasks), ("sqlite", Path(directory) / "watcher.db", tasks // 50)):
            wave = max(WAVE, count // WAVES)
            print(f"{name}: {WAVES} waves of {wave} tasks", flush=True)
            houses = soak(wave, WAVES, path)
            told += [f"{name}: {words}" for words in grown(houses[1], houses[-1], (WAVES - 2) * wave)]
    print(*told or ["everything came back to where it was"], sep="\n")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
