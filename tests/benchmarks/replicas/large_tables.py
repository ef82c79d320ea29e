"""How long the statements of a replica take with a million rows: each reads or writes a bounded piece."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import anyio

from tests.benchmarks.postgres import database
from tests.benchmarks.store_writes import SINK, changes, watches
from tests.benchmarks.table import Part
from tests.postgres import Database, PostgresServer
from watcher.adapters.stores.postgres import PostgresStore
from watcher.model import Lease

REPEATS = 15
GROUP = 50
OUTBOX = 100
PRUNED = 500
SHARD = 0
"""The only one: all rows belong to it."""

# The names are those of `store_writes.watches`. The second half has ended, one every 10 ms, and each of these has two events.
_FILL_WATCHES = """INSERT INTO watches (n, shard, key, id, target, kind, params, admitted_at, deadline_at, status, status_since, changed_at,
        created_at, started_at, updated_at, sequence, polls, ended_at, end_reason)
    SELECT nextval('watch_numbers'), 0, 'speaker-search/abcdefghij0123456789ab/' || name, lpad(to_hex(i), 32, '0'), '', 'speaker-search',
        ARRAY['abcdefghij0123456789ab', name], 1e9, 2e9, status, 1e9, 1e9, 1e9, 1e9, 1e9, sequence, sequence, ended_at, reason
    FROM generate_series(0, %(size)s - 1) i,
        LATERAL (SELECT lpad(to_hex(i), 8, '0') || '-5a7e-4c6b-9d2f-1b3c5d7e9f00' AS name, i >= %(size)s / 2 AS ended) names,
        LATERAL (SELECT CASE WHEN ended THEN 'SUCCEEDED' END AS status, CASE WHEN ended THEN 2 ELSE 0 END AS sequence,
            CASE WHEN ended THEN 1e9 + i * 0.01 END AS ended_at, CASE WHEN ended THEN 'terminal' END AS reason) states
"""
_FILL_EVENTS = """INSERT INTO events (shard, watch, id, type, "to", terminal, at, body)
    SELECT 0, n, w.id || ':' || number, 'watcher.task.transition.v1', 'SUCCEEDED', number = 2, 1e9, %(body)s
    FROM watches w, generate_series(1, 2) number WHERE w.ended_at IS NOT NULL ORDER BY n, number"""
_SETTLE = "UPDATE cursors SET position = (SELECT max(position) FROM events) - %(unsettled)s"

Step = Callable[[int], Awaitable[object]]
"""One statement, or a few; the argument is the number of the repeat."""


def measure(on: PostgresServer, quick: bool) -> Part:
    """Measure a small store and a large one."""
    sizes = (20_000, 50_000) if quick else (20_000, 1_000_000)
    found = []
    for size in sizes:
        with database(on) as empty:
            found.append(anyio.run(_measure, empty, size))
    rows = [(what, *(f"{one[what] * 1e3:.1f}" for one in found)) for what in found[0]]
    return Part("Large tables", NOTE, ("ms (median)", *(f"{size:,} watches" for size in sizes)), rows)


async def _measure(empty: Database, size: int) -> Mapping[str, float]:
    store = PostgresStore(empty.settings(shards=1))
    await store.open([SINK])
    await anyio.to_thread.run_sync(_fill, empty, size)
    (lease,) = (await store.claim()).leases
    steps = _steps(store, lease, size)
    found = {what: await _median(step) for what, step in steps.items()}
    await store.close()
    return found


def _fill(empty: Database, size: int) -> None:
    values = {"size": size, "body": b"x" * 100, "unsettled": 10_000 if size > 50_000 else 1000}
    with empty.connection() as db:
        for statement in (_FILL_WATCHES, _FILL_EVENTS, _SETTLE):
            db.execute(statement, values)
        for table in ("watches", "events", "cursors"):
            db.execute(f"VACUUM (ANALYZE) {empty.schema}.{table}")


def _steps(store: PostgresStore, lease: Lease, size: int) -> Mapping[str, Step]:
    held = {SHARD: lease}
    open_ = changes(watches(REPEATS * GROUP))

    async def commit(n: int) -> None:
        await store.commit(open_[n * GROUP : (n + 1) * GROUP], held)

    async def load(n: int) -> None:
        async for _ in store.load(lease):
            break

    async def read(n: int) -> None:
        assert len(await store.read_outbox(SINK, SHARD, 0, OUTBOX)) == OUTBOX

    async def settle(n: int) -> None:
        await store.settle(SINK, (await store.read_outbox(SINK, SHARD, 0, GROUP)), (), held)

    async def prune(n: int) -> None:
        pruned = await store.prune(1e9 + (size / 2 + (n + 1) * PRUNED) * 0.01 - 0.005)
        assert pruned.watches == PRUNED, (n, pruned)

    return {
        f"admit a group of {GROUP}": partial(_admit, store),
        f"commit a group of {GROUP}": commit,
        "load the first 1,000 open watches of the shard": load,
        "read arrivals": partial(_arrivals, store, lease),
        f"read {OUTBOX} events of the outbox": read,
        f"read and settle {GROUP} events": settle,
        f"prune {PRUNED} ended watches with their events": prune,
    }


async def _admit(store: PostgresStore, n: int) -> None:
    await store.admit(watches(GROUP, f"new{n:x}"))


async def _arrivals(store: PostgresStore, lease: Lease, n: int) -> None:
    async for _ in store.arrivals([lease]):
        pass


async def _median(step: Step) -> float:
    """Seconds of a step, without the first one, whose statements are planned and whose pages are read."""
    took: list[float] = []
    for n in range(REPEATS):
        began = time.perf_counter()
        await step(n)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


NOTE = f"""
One shard has all the watches. Half of them are open, and each of the others has two events of 100 bytes, of which the last 1,000 or
10,000 wait for the sink. The tables are written with `generate_series` and vacuumed. Medians of {REPEATS - 1} calls of the store, each
write with its fsync. Aim: no call takes time in proportion to the rows.
"""
