"""What clients that follow the events over HTTP cost the watcher, and how late they get an event."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import anyio

from tests.benchmarks.stall import measure_stalls
from tests.benchmarks.store_writes import SINK, fill
from tests.benchmarks.table import Table, command
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.api.access import Access
from watcher.api.application import build_api
from watcher.api.assembly import HttpApi
from watcher.api.backend import Backend
from watcher.api.cursors import Cursors
from watcher.api.event_routes import event_router
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Change
from watcher.observe.metrics import Metrics
from watcher.runtime.event_tail import EventTail
from watcher.runtime.feed import Feed

RATE = 20
"""Transitions per second, one in each commit."""
RETENTION_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Load:
    """The readers of one run. `stuck` ones read nothing."""

    name: str
    readers: int
    stuck: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds: the median commit, the longest block of the loop, and the time from a commit to its reader. CPU in seconds per second."""

    commit: float
    stall: float
    cpu: float
    delay_median: float
    delay_p99: float
    received: int


def run(quick: bool) -> Table:
    """Commit at a constant rate, with each number of readers in turn."""
    count = 100 if quick else 600
    loads = [Load("no reader", 0), Load("1 reader", 1), Load("100 readers", 100)]
    if not quick:
        loads += [Load("1,000 readers", 1000), Load("1,000 readers, 100 of which read nothing", 900, 100)]
    results = {load: anyio.run(_measured, load, count, backend_options={"use_uvloop": True}) for load in loads}
    base = results[loads[0]]
    rows = [
        (
            load.name,
            f"{result.commit / base.commit:.2f}",
            f"{100 * result.cpu:.0f} %",
            f"{1000 * result.stall:.0f} ms",
            "" if not load.readers else f"{1000 * result.delay_median:.0f} ms",
            "" if not load.readers else f"{1000 * result.delay_p99:.0f} ms",
            "" if not load.readers else f"{100 * result.received / (load.readers * count):.1f} %",
        )
        for load, result in results.items()
    ]
    return Table("Readers of events", command("readers"), _note(count), HEADER, rows)


async def _measured(load: Load, count: int) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(SqliteStoreSettings(path=str(Path(folder) / "watcher.db")))
        await store.open([SINK])
        changes, leases = await fill(store, count)
        feed = Feed()
        async with _serving(store, feed) as port, _clients(port, load, count) as clients, measure_stalls() as stall:
            cpu, began = time.process_time(), time.perf_counter()
            commits = []
            for number, change in enumerate(changes):
                await anyio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
                stamped = _stamped(change)
                at = time.perf_counter()
                await store.commit([stamped], leases)
                commits.append(time.perf_counter() - at)
                feed.events(0, stamped.events)
            used = (time.process_time() - cpu) / (time.perf_counter() - began)
            report = await clients()
        await store.close()
    delays = sorted(report["delays"]) or [0.0]
    p99 = delays[int(0.99 * (len(delays) - 1))]
    return Result(statistics.median(commits), stall.worst, used, statistics.median(delays), p99, report["received"])


def _stamped(change: Change) -> Change:
    """The same change, whose event says when it was committed."""
    (event,) = change.events
    body = json.loads(event.body) | {"committed": time.time()}
    return Change(change.watch, (type(event)(**{**_fields(event), "body": json.dumps(body).encode()}),))


def _fields(event: object) -> dict[str, object]:
    return {name: getattr(event, name) for name in type(event).__dataclass_fields__}  # type: ignore[attr-defined]


@asynccontextmanager
async def _serving(store: SqliteStore, feed: Feed) -> AsyncIterator[int]:
    cursors = Cursors(store, RETENTION_S, time.time)
    tail = EventTail(store, feed, cursors.frame)  # type: ignore[arg-type]  # a store without retries
    catalog = builtin_catalog()
    unused: dict[str, None] = {"admission": None, "gate": None, "loaded": None, "polls": None, "scopes": None}
    backend = Backend(store=store, tail=tail, catalog=catalog, metrics=Metrics(catalog), max_readers=1000, wall=time.time, **unused)  # type: ignore[arg-type]
    access = Access(())
    api = HttpApi(HttpServer(ApiSettings(listen="127.0.0.1:0"), build_api([event_router(backend, access, cursors)])), access, tail)
    await api.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(api.serve)
        yield api.server.port
        tasks.cancel_scope.cancel()
    await api.close()


@asynccontextmanager
async def _clients(port: int, load: Load, count: int) -> AsyncIterator[object]:
    """Readers in a process of their own. Yields a function that waits for their report."""
    arguments = [sys.executable, "-m", "tests.benchmarks.readers_clients", str(port), str(load.readers), str(load.stuck), str(count)]
    async with await anyio.open_process(arguments, stdout=PIPE, stderr=None) as process:
        assert process.stdout is not None
        received = await process.stdout.receive()  # one line: all are connected

        async def report() -> dict[str, object]:
            text = received.partition(b"\n")[2]
            async for piece in process.stdout:  # type: ignore[union-attr]
                text += piece
            return dict(json.loads(text))

        yield report


HEADER = ("readers", "time of a commit", "CPU", "longest block of the loop", "delay, median", "delay, 99th percentile", "received")


def _note(count: int) -> str:
    return f"""
A watcher commits {RATE} transitions a second to SQLite, durably, one by one, {count} in all. Clients in another process follow them
as server-sent events. The time of a commit is relative to that without readers. CPU is that of the watcher's process, in one core.
The delay is from before the commit until the client has the event. A client that reads nothing is disconnected when the buffers of
its connection are full. Aim: commits as fast as without readers, all events received, and no block of the loop above 50 ms. With
1,000 readers, the longest block is a full run of Python's garbage collector, which visits the objects of all connections.
"""
