"""Ways to write to a store, and the delivery loop on it: shared by the benchmarks of the stores."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Change, Event, Lease, Observation, TaskRef, Watch
from watcher.observe.metrics import Metrics
from watcher.ports import Sink, Store
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
GROUP = 1000
"""Items in one call of the way `thousands`."""

Held = Mapping[int, Lease]
Write = Callable[[Sequence[Any]], Awaitable[object]]
"""Writes some watches or changes with one call of a store."""
Way = Callable[[Write, Sequence[Any]], Awaitable[None]]


async def one_by_one(write: Write, items: Sequence[Any]) -> None:
    """Each call has one item, and begins when the one before it is durable."""
    for item in items:
        await write([item])


async def _at_once(callers: int, write: Write, items: Sequence[Any]) -> None:
    async with anyio.create_task_group() as tasks:
        for n in range(callers):
            tasks.start_soon(one_by_one, write, items[n::callers])


def at_once(callers: int) -> Way:
    """So many callers at the same time, each of which writes one item after the other."""
    return partial(_at_once, callers)


async def thousands(write: Write, items: Sequence[Any]) -> None:
    """Each call has 1,000 items."""
    for start in range(0, len(items), GROUP):
        await write(items[start : start + GROUP])


async def rate_of(way: Way, write: Write, items: Sequence[Any]) -> float:
    """Items per second, from the begin of the first call to the end of the last one."""
    began = time.perf_counter()
    await way(write, items)
    return len(items) / (time.perf_counter() - began)


def watches(count: int, name: str = "5a7e") -> list[Watch]:
    """So many new watches, with ids as long as real ones."""
    now = time.time()
    names = (f"{n:08x}-{name}-4c6b-9d2f-1b3c5d7e9f00" for n in range(count))
    return [
        Watch(TaskRef("speaker-search", ("abcdefghij0123456789ab", id_)), f"{n:032x}", now, now + 86_400) for n, id_ in enumerate(names)
    ]


def changes(found: Sequence[Watch], status: str = "IN_QUEUE") -> list[Change]:
    """A transition of each watch to this status, with its event of about 800 bytes."""
    now, writer, settings = time.time(), EventWriter(EventSettings()), WatchSettings()
    seen = Observation(status, now, None, now - 1, None if status == "IN_QUEUE" else now - 1, now - 1)
    steps = [advance(KIND, watch, seen, settings) for watch in found]
    return [Change(s.watch, tuple(writer.write(KIND, s.watch, transition, now) for transition in s.transitions)) for s in steps]


async def fill(store: Store, count: int) -> tuple[list[Change], Held]:
    """Admit so many watches. Returns their first transitions, and the leases to commit them."""
    found = watches(count)
    await thousands(store.admit, found)
    return changes(found), {lease.shard: lease for lease in (await store.claim()).leases}


async def delivery_rate(store: Store, found: Sequence[Change], held: Held, path: Path) -> float:
    """Transitions per second, until the last event is in the file, synced, and settled in the store."""
    sink = JsonlSink(JsonlSinkSettings(name=SINK, path=str(path)))
    await sink.open()
    left = len(found)
    all_settled = anyio.Event()

    def settled(_: str, events: Sequence[Event]) -> None:
        nonlocal left
        left -= len(events)
        if left == 0:
            all_settled.set()

    worker = sink_worker(sink, store, held)
    worker.settlements.on_settled = settled
    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        for start in range(0, len(found), GROUP):
            await store.commit(found[start : start + GROUP], held)
            for shard in held:
                worker.wake(shard, ())
        await all_settled.wait()
        tasks.cancel_scope.cancel()
    took = time.perf_counter() - began
    await sink.close()
    assert (await anyio.Path(path).read_bytes()).count(b"\n") == len(found)
    return len(found) / took


def sink_worker(sink: Sink, store: Store, held: Held) -> SinkWorker:
    """A worker that owns all shards, for any time: a benchmark has no other replica that could take them."""
    leases = Leases(store.shards)
    leases.update([Lease(lease.shard, lease.epoch) for lease in held.values()], 0.0)
    instruments = Instruments(Clock(), Health(time.time), Metrics(CATALOG))
    worker = SinkWorker(
        sink, store, leases, BacklogCounter([sink.name], IntakeGate(), 10**9, instruments), instruments, retry_refused=600.0
    )
    for shard in held:
        worker.adopt(shard)
    return worker
