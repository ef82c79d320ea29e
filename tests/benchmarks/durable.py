"""How many transitions per second SQLite commits durably, and how many the delivery loop then writes to a file."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio

from tests.benchmarks.table import Table, command
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Change, Event, Lease, Observation, TaskRef, Watch
from watcher.observe.metrics import Metrics
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.clock import Clock
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.wakeup import IntakeGate

CATALOG = builtin_catalog()
KIND = CATALOG["speaker-search"]
SINK = "file"
ONE_BY_ONE = 200
"""Transitions for the ways with one fsync each, which are slow."""

Held = Mapping[int, Lease]
Commit = Callable[[SqliteStore, Sequence[Change], Held], Awaitable[None]]


def run(quick: bool) -> Table:
    """Measure each way several times, in turn, each time with a new file. The results are medians."""
    rounds, count = (2, 2000) if quick else (7, 20_000)
    rates_of: dict[str, list[float]] = {name: [] for name in (*WAYS, TO_FILE, SYNCED)}
    for _ in range(rounds):
        for name, way in WAYS.items():
            rates_of[name].append(anyio.run(_committed, way, ONE_BY_ONE if way is _one_by_one else count))
        rates_of[TO_FILE].append(anyio.run(_delivered, count))
        rates_of[SYNCED].append(_synced_lines())
    rates = {name: statistics.median(measured) for name, measured in rates_of.items()}
    one = rates["SQLite, one at a time"]
    rows = [(name, f"{rate:,.0f}", f"{rate / one:,.1f}") for name, rate in sorted(rates.items(), key=lambda item: item[1])]
    return Table("Durable transitions per second", command("durable"), _note(rounds, count), HEADER, rows)


async def _committed(way: Commit, count: int) -> float:
    """Transitions per second, from the begin of the first commit to the end of the last one."""
    with tempfile.TemporaryDirectory() as folder:
        store, changes, leases = await _filled(Path(folder), count)
        began = time.perf_counter()
        await way(store, changes, leases)
        took = time.perf_counter() - began
        await store.close()
    return count / took


async def _delivered(count: int) -> float:
    """Transitions per second, until the last event is in the file, synced, and settled in the store."""
    with tempfile.TemporaryDirectory() as folder:
        store, changes, leases = await _filled(Path(folder), count)
        path = Path(folder) / "events.jsonl"
        sink = JsonlSink(JsonlSinkSettings(name=SINK, path=str(path)))
        await sink.open()
        left = count
        all_settled = anyio.Event()

        def settled(_: str, events: Sequence[Event]) -> None:
            nonlocal left
            left -= len(events)
            if left == 0:
                all_settled.set()

        worker = _worker(sink, store, leases)
        worker.settlements.on_settled = settled
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run)
            for start in range(0, count, 1000):
                await store.commit(changes[start : start + 1000], leases)
                worker.wake(0, ())
            await all_settled.wait()
            tasks.cancel_scope.cancel()
        took = time.perf_counter() - began
        await sink.close()
        await store.close()
        assert path.read_bytes().count(b"\n") == count
    return count / took


def _worker(sink: JsonlSink, store: SqliteStore, held: Held) -> SinkWorker:
    """A worker that owns all shards."""
    leases = Leases()
    leases.update(held.values(), 0.0)
    instruments = Instruments(Clock(), Health(time.time), Metrics(CATALOG))
    worker = SinkWorker(sink, store, leases, BacklogCounter([SINK], IntakeGate(), 10**9, instruments), instruments, retry_refused=600.0)
    worker.adopt(0)
    return worker


async def _filled(folder: Path, count: int) -> tuple[SqliteStore, list[Change], Held]:
    """A store with this many open watches, a rendered first transition of each, and the leases to commit them."""
    store = SqliteStore(SqliteStoreSettings(path=str(folder / "watcher.db")))
    await store.open([SINK])
    now, writer, settings = time.time(), EventWriter(EventSettings()), WatchSettings()
    names = (f"{n:08x}-5a7e-4c6b-9d2f-1b3c5d7e9f00" for n in range(count))
    watches = [
        Watch(TaskRef("speaker-search", ("abcdefghij0123456789ab", name)), f"{n:032x}", now, now + 86_400) for n, name in enumerate(names)
    ]
    for start in range(0, count, 1000):
        await store.admit(watches[start : start + 1000])
    seen = Observation("IN_QUEUE", now, None, now - 1, None, now - 1)
    steps = [advance(KIND, watch, seen, settings) for watch in watches]
    changes = [Change(s.watch, tuple(writer.write(KIND, s.watch, transition, now) for transition in s.transitions)) for s in steps]
    return store, changes, {lease.shard: lease for lease in (await store.claim()).leases}


async def _one_by_one(store: SqliteStore, changes: Sequence[Change], leases: Held) -> None:
    for change in changes:
        await store.commit([change], leases)


async def _at_once(callers: int, store: SqliteStore, changes: Sequence[Change], leases: Held) -> None:
    async def work(share: Sequence[Change]) -> None:
        for change in share:
            await store.commit([change], leases)

    async with anyio.create_task_group() as tasks:
        for n in range(callers):
            tasks.start_soon(work, changes[n::callers])


async def _thousands(store: SqliteStore, changes: Sequence[Change], leases: Held) -> None:
    for start in range(0, len(changes), 1000):
        await store.commit(changes[start : start + 1000], leases)


def _synced_lines() -> float:
    """Lines per second that the disk itself writes with an fsync for each."""
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(ONE_BY_ONE):
            file.write(b"x" * 800 + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return ONE_BY_ONE / (time.perf_counter() - began)


WAYS: dict[str, Commit] = {
    "SQLite, one at a time": _one_by_one,
    "SQLite, 50 polls in flight, each waiting for its commit": partial(_at_once, 50),
    "SQLite, 1,000 at once, each waiting for its commit": partial(_at_once, 1000),
    "SQLite, groups of 1,000": _thousands,
}
SYNCED = "a plain file, with an fsync after each line"
TO_FILE = "**end to end**: committed, delivered to a `jsonl` file with fsync, settled"
HEADER = ("transitions", "per second", "times one at a time")


def _note(rounds: int, count: int) -> str:
    return f"""
Transitions per second (the row of the watch and its event of about 800 bytes) that are committed to a new SQLite file with
`synchronous = FULL`, and then delivered by the delivery loop to a `jsonl` file until each event is settled in the store. {count:,}
transitions of as many tasks; medians of {rounds} rounds, in turn. The store commits all calls that wait as one transaction, so concurrent
calls share one fsync. Aim: 20,000 a second in groups.
"""
