"""`python -m tests.benchmarks.replicas.soak [--minutes 10]`: whether autovacuum keeps up with one replica at full rate.

Tasks are admitted, change twice, are delivered, and are pruned, as fast as the store allows. So the number of rows becomes
constant, and so should the sizes of the tables and indexes. The server has the default settings.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

import anyio
from anyio.to_thread import run_sync

from tests.benchmarks.postgres import database, server
from tests.benchmarks.store_writes import SINK, Held, changes, sink_worker, watches
from tests.benchmarks.table import Part
from tests.postgres import Database
from watcher.adapters.stores.postgres import PostgresStore
from watcher.model import Event, shard_of
from watcher.ports import Delivered, Outcome

GROUP = 50
WORKERS = 4
"""Groups of tasks under way at the same time."""
MAX_UNDELIVERED = 20_000
RETENTION_S, PRUNE_S, RENEW_S = 20.0, 5.0, 5.0
WARM_UP = 0.2
"""The share of the time until the first sample: by then rows are pruned, and autovacuum has run."""

_SIZES = """SELECT s.relname, pg_relation_size(s.relid), pg_indexes_size(s.relid), s.n_dead_tup, s.n_live_tup, s.autovacuum_count,
    s.n_tup_upd, s.n_tup_hot_upd FROM pg_stat_user_tables s WHERE s.schemaname = %s ORDER BY s.relname"""


class DeliveringSink:
    """Accepts every event, and keeps none."""

    name, max_batch, concurrency = SINK, 1000, 4

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str:
        return ""

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        return [Delivered()] * len(events)


@dataclass(frozen=True, slots=True)
class Sizes:
    """One table at one time. Sizes in bytes."""

    table: int
    indexes: int
    dead: int
    live: int
    autovacuums: int
    updates: int
    hot_updates: int


Sample = Mapping[str, Sizes]
Wake = Callable[[int, Sequence[Event]], None]


@dataclass
class Load:
    """What one replica has done so far."""

    store: PostgresStore
    held: Held
    ended: int = 0
    settled: int = 0
    committed: int = 0
    pruned: int = 0
    marks: list[tuple[float, int]] = field(default_factory=list)
    """The time, and the tasks that had ended, at each sample."""

    @property
    def undelivered(self) -> int:
        """Events that are committed and not settled."""
        return self.committed - self.settled


async def soak(empty: Database, seconds: float) -> tuple[Load, list[Sample]]:
    """Run for this long. Returns what was done, and the sizes after the warm-up, in the middle of the rest, and at the end."""
    store = PostgresStore(empty.settings(shards=64))
    await store.open([SINK])
    load, samples = Load(store, {lease.shard: lease for lease in (await store.claim()).leases}), []
    worker = sink_worker(DeliveringSink(), store, load.held)

    def settled(_: str, events: Sequence[Event]) -> None:
        load.settled += len(events)

    worker.settlements.on_settled = settled
    async with anyio.create_task_group() as tasks:
        for number in range(WORKERS):
            tasks.start_soon(_tasks, load, number, worker.wake)
        for loop in (_renew, _prune):
            tasks.start_soon(loop, load)
        tasks.start_soon(worker.run)
        for share in (WARM_UP, (1 - WARM_UP) / 2, (1 - WARM_UP) / 2):
            await anyio.sleep(share * seconds)
            samples.append(await run_sync(_sample, empty))
            load.marks.append((time.monotonic(), load.ended))
        tasks.cancel_scope.cancel()
    await store.close()
    return load, samples


async def _tasks(load: Load, number: int, wake: Wake) -> None:
    """Admit groups of tasks, and commit both transitions of each."""
    for turn in count():
        while load.undelivered > MAX_UNDELIVERED:  # noqa: ASYNC110 - the limit of the outbox, which pauses intake
            await anyio.sleep(0.01)
        found = watches(GROUP, f"{number:x}-{turn:x}")
        await load.store.admit(found)
        for status in ("IN_PROGRESS", "SUCCEEDED"):
            made = changes(found, status)
            await load.store.commit(made, load.held)
            found = [change.watch for change in made]
            load.committed += len(made)
            for shard in {shard_of(watch.key, load.store.shards) for watch in found}:
                wake(shard, ())
        load.ended += len(found)


async def _renew(load: Load) -> None:
    while True:
        await anyio.sleep(RENEW_S)
        await load.store.claim()


async def _prune(load: Load) -> None:
    while True:
        await anyio.sleep(PRUNE_S)
        load.pruned += (await load.store.prune(time.time() - RETENTION_S)).watches


def _sample(empty: Database) -> Sample:
    return {name: Sizes(*values) for name, *values in empty.execute(_SIZES, empty.schema)}


def report(load: Load, samples: Sequence[Sample], seconds: float) -> Part:
    """The sizes of each table that had rows."""
    begin, _, end = samples
    rows = [_row(name, [sample[name] for sample in samples]) for name in begin if end[name].live + end[name].dead or end[name].updates]
    return Part("Autovacuum at full rate", _note(load, seconds), HEADER, rows)


def _row(name: str, found: Sequence[Sizes]) -> tuple[str, ...]:
    end = found[-1]
    table = " / ".join(f"{each.table / 1e6:,.1f}" for each in found)
    indexes = " / ".join(f"{each.indexes / 1e6:,.1f}" for each in found)
    dead = " / ".join(f"{each.dead:,}" for each in found)
    hot = f"{end.hot_updates / end.updates:.0%}" if end.updates else ""
    return name, table, indexes, dead, f"{end.live:,}", f"{end.autovacuums}", hot


def _note(load: Load, seconds: float) -> str:
    (begin, first), (middle, second), (end, third) = load.marks
    early, late = (second - first) / (middle - begin), (third - second) / (end - middle)
    return f"""
One replica for {seconds / 60:.1f} minutes, with the default settings of the server. {WORKERS} groups of {GROUP} tasks at a time are
admitted, change their status twice, and are delivered to a sink that accepts everything. Ended tasks are pruned after {RETENTION_S:.0f} s.
{load.ended:,} tasks ended, {load.pruned:,} were pruned: {early:,.0f} a second in the first half of the measured time, {late:,.0f} in the
second. Each cell has the values after the warm-up, in the middle, and at the end. Autovacuum looks at a table once a minute.
Aim: no size grows from the middle to the end.
"""


HEADER = ("table", "table, MB", "indexes, MB", "dead rows", "live rows", "autovacuums", "updates within a page (HOT)")


def main() -> int:
    """Run the soak and print its table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.replicas.soak", description="Does autovacuum keep up?")
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = 60 * parser.parse_args().minutes
    with server() as on, database(on) as empty:
        print(report(*anyio.run(soak, empty, seconds), seconds).markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
