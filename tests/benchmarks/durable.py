"""How many transitions per second SQLite commits durably, and how many the delivery loop then writes to a file."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

from tests.benchmarks.store_writes import SINK, Way, at_once, delivery_rate, fill, one_by_one, rate_of, thousands
from tests.benchmarks.table import Table, command
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings

ONE_BY_ONE = 200
"""Transitions for the ways with one fsync each, which are slow."""


def run(quick: bool) -> Table:
    """Measure each way several times, in turn, each time with a new file. The results are medians."""
    rounds, count = (2, 2000) if quick else (7, 20_000)
    rates_of: dict[str, list[float]] = {name: [] for name in (*WAYS, TO_FILE, SYNCED)}
    for _ in range(rounds):
        for name, way in WAYS.items():
            rates_of[name].append(anyio.run(_committed, way, ONE_BY_ONE if way is one_by_one else count))
        rates_of[TO_FILE].append(anyio.run(_delivered, count))
        rates_of[SYNCED].append(_synced_lines())
    rates = {name: statistics.median(measured) for name, measured in rates_of.items()}
    one = rates["SQLite, one at a time"]
    rows = [(name, f"{rate:,.0f}", f"{rate / one:,.1f}") for name, rate in sorted(rates.items(), key=lambda item: item[1])]
    return Table("Durable transitions per second", command("durable"), _note(rounds, count), HEADER, rows)


async def _committed(way: Way, count: int) -> float:
    """Transitions per second, from the begin of the first commit to the end of the last one."""
    with tempfile.TemporaryDirectory() as folder:
        store = await _store(Path(folder))
        changes, leases = await fill(store, count)
        rate = await rate_of(way, partial(store.commit, leases=leases), changes)
        await store.close()
    return rate


async def _delivered(count: int) -> float:
    """Transitions per second, until the last event is in the file, synced, and settled in the store."""
    with tempfile.TemporaryDirectory() as folder:
        store = await _store(Path(folder))
        changes, leases = await fill(store, count)
        rate = await delivery_rate(store, changes, leases, Path(folder) / "events.jsonl")
        await store.close()
    return rate


async def _store(folder: Path) -> SqliteStore:
    store = SqliteStore(SqliteStoreSettings(path=str(folder / "watcher.db")))
    await store.open([SINK])
    return store


def _synced_lines() -> float:
    """Lines per second that the disk itself writes with an fsync for each."""
    with tempfile.NamedTemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(ONE_BY_ONE):
            file.write(b"x" * 800 + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return ONE_BY_ONE / (time.perf_counter() - began)


WAYS: dict[str, Way] = {
    "SQLite, one at a time": one_by_one,
    "SQLite, 50 polls in flight, each waiting for its commit": at_once(50),
    "SQLite, 1,000 at once, each waiting for its commit": at_once(1000),
    "SQLite, groups of 1,000": thousands,
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
