"""How many admissions and transitions per second PostgreSQL commits, beside SQLite on the same disk."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from tests.benchmarks.postgres import database, settings_of
from tests.benchmarks.store_writes import SINK, Way, at_once, changes, delivery_rate, fill, one_by_one, rate_of, thousands, watches
from tests.benchmarks.table import Part
from tests.postgres import PostgresServer
from watcher.adapters.stores.postgres import PostgresStore
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.ports import Store

ONE_BY_ONE = 200
"""Items for the ways with one fsync each, which are slow."""
SHARDS = 64

Rates = Mapping[str, float]
"""By what is measured, so many per second."""


def measure(on: PostgresServer, quick: bool) -> Part:
    """Measure each way several times, in turn, each time with a new file and a new schema. The results are medians."""
    rounds, count = (1, 2000) if quick else (5, 6000)
    postgres: list[Rates] = []
    sqlite: list[Rates] = []
    for _ in range(rounds):
        postgres.append(anyio.run(_round, on, count))
        sqlite.append(anyio.run(_round, None, count))
    rows = [_row(what, postgres, sqlite) for what in postgres[0]]
    return Part("Admissions and transitions per second", _note(on, rounds, count), HEADER, rows)


async def _round(on: PostgresServer | None, count: int) -> Rates:
    """Each way with a store of its own: first the admissions, then the first transitions of the same tasks."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, way in WAYS.items():
        async with _store(on) as store:
            await _write(store, way, ONE_BY_ONE if way is one_by_one else count, name, found)
    async with _store(on) as store:
        held = await fill(store, count)
        with tempfile.TemporaryDirectory() as folder:
            found[END_TO_END] = await delivery_rate(store, *held, Path(folder) / "events.jsonl")
    return {what: found[what] for what in (*(f"{kind}, {name}" for kind in KINDS for name in WAYS), END_TO_END)}


async def _write(store: Store, way: Way, count: int, name: str, found: dict[str, float]) -> None:
    admitted = watches(count)
    held = {lease.shard: lease for lease in (await store.claim()).leases}
    found[f"admissions, {name}"] = await rate_of(way, store.admit, admitted)
    found[f"transitions, {name}"] = await rate_of(way, partial(store.commit, leases=held), changes(admitted))


@asynccontextmanager
async def _store(on: PostgresServer | None) -> AsyncIterator[Store]:
    """A new, empty store: on this server, or in a file."""
    store: PostgresStore | SqliteStore
    with tempfile.TemporaryDirectory() as folder:
        if on is None:
            store = SqliteStore(SqliteStoreSettings(path=str(Path(folder) / "watcher.db")))
            await store.open([SINK])
            yield store
            await store.close()
            return
        with database(on) as empty:
            store = PostgresStore(empty.settings(shards=SHARDS))
            await store.open([SINK])
            yield store
            await store.close()


def _row(what: str, postgres: Sequence[Rates], sqlite: Sequence[Rates]) -> tuple[str, ...]:
    here, there = (statistics.median(rates[what] for rates in of) for of in (postgres, sqlite))
    ratio = statistics.median(one[what] / other[what] for one, other in zip(postgres, sqlite, strict=True))
    return what, f"{here:,.0f}", f"{there:,.0f}", f"{ratio:.2f}"


WAYS: dict[str, Way] = {
    "one at a time": one_by_one,
    "50 at the same time, each waiting for its commit": at_once(50),
    "groups of 1,000": thousands,
}
KINDS = ("admissions", "transitions")
END_TO_END = "**end to end**: transitions committed, delivered to a `jsonl` file with fsync, settled"
HEADER = ("per second", "PostgreSQL", "SQLite", "ratio")


def _note(on: PostgresServer, rounds: int, count: int) -> str:
    found = settings_of(on)
    version = found.pop("server_version")
    settings = ", ".join(f"`{name} = {value}`" for name, value in found.items())
    return f"""
As in [Durable transitions per second](#durable-transitions-per-second): both stores in one process, in turn, with new tables each
time, on the same disk. {count:,} tasks; medians of {rounds} rounds, and for the ratio the median of those within a round. PostgreSQL
{version} runs on the same machine, over a Unix socket, with its default settings ({settings}).

PostgreSQL has {SHARDS} shards, SQLite has one. Calls that wait at the same time become one transaction: for transitions two round trips
and one fsync, for admissions one of each.
"""
