"""How a replica takes over a shard with many watches, while it goes on with its own.

`python -m tests.benchmarks.replicas.adoption DSN SCHEMA COUNT` is that replica, in a process of its own, and prints JSON.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice, pairwise

import anyio
import structlog

from tests.benchmarks.postgres import database
from tests.benchmarks.scale import Probe, resident
from tests.benchmarks.stall import measure_stalls
from tests.benchmarks.store_writes import KIND, thousands
from tests.benchmarks.table import Part
from tests.postgres import Database, PostgresServer
from watcher.adapters.stores.postgres import PostgresStore, PostgresStoreSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.schedule import state_name
from watcher.model import Claim, Observation, Report, TaskRef, Watch, shard_of
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Adapters
from watcher.runtime.settings import Limits, ServiceSettings

SHARDS, OWN = 2, 1000
RATE = 50.0


def measure(on: PostgresServer, quick: bool) -> Part:
    """Let a replica with this shard go silent, and another one take it over."""
    size = 5000 if quick else 100_000
    with database(on) as empty:
        command = anyio.run(_leave_behind, empty, size, 4.0 if quick else 15.0)
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows = [(what, shape.format(found[key]), aim) for what, key, shape, aim in ROWS]
    return Part("Takeover of a large shard", _note(size), ("", "measured", "aim"), rows)


async def _leave_behind(empty: Database, size: int, lease: float) -> Sequence[str]:
    """Fill a store, and own both shards as a replica that never renews. Returns the command of the other replica."""
    settings = empty.settings(shards=SHARDS, lease=lease, renew=lease / 3)
    store = PostgresStore(settings)
    await store.open([])
    await thousands(store.admit, [*islice(_watches(0), OWN), *islice(_watches(1), size)])
    await store.save_state(state_name("pace", KIND.quota), repr(RATE))
    other = [sys.executable, "-m", "tests.benchmarks.replicas.adoption", empty.server.dsn, empty.schema, str(size), str(lease)]
    silent = PostgresStore(settings)
    await silent.open([])
    claim = await silent.claim()
    await silent.release([each for each in claim.leases if each.shard == 0])
    await store.close()
    return other


def _watches(shard: int) -> Iterator[Watch]:
    """Watches of one shard, as a replica leaves them whose tasks were observed once."""
    at = time.time() - 30
    for n in count():
        ref = TaskRef("speaker-search", ("abcdefghij0123456789ab", f"{n:08x}-5a7e-4c6b-9d2f-1b3c5d7e9f00"))
        watch = Watch(ref, f"{n:032x}", at, at + 86_400, None, "IN_PROGRESS", at + 2, at + 3, at, at + 2, at + 2, None, 2, 2)
        if shard_of(watch.key, SHARDS) == shard:
            yield watch


class _Store(PostgresStore):
    """Keeps when the other replica's leases end, and when this one renewed its own."""

    def __init__(self, settings: PostgresStoreSettings) -> None:
        super().__init__(settings)
        self.renewals: list[float] = []
        self.others_end = 0.0
        self.claim_took = 0.0

    async def claim(self, report: Report | None = None) -> Claim:
        sent = time.perf_counter()
        claim = await super().claim(report)
        now = time.perf_counter()
        self.renewals.append(sent)
        self.claim_took = max(self.claim_took, now - sent)
        for other in claim.others:
            self.others_end = now + other.expires_in_s
        return claim


class _Timed(Probe):
    """Keeps when it was called."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation]:
        self.calls.append(time.perf_counter())
        return await super().observe(refs)


async def _take_over(dsn: str, schema: str, size: int, lease: float) -> Mapping[str, float]:
    store = _Store(PostgresStoreSettings(dsn=dsn, schema_name=schema, lease=lease, renew=lease / 3))
    probe = _Timed()
    settings = ServiceSettings(pace=PaceSettings(rate=RATE, burst=RATE), limits=Limits(max_watches=10 * size))
    async with assemble(Adapters([], probe, store, []), settings) as watcher, anyio.create_task_group() as tasks:
        tasks.start_soon(watcher.run)
        pollers = watcher.loops.pollers
        while len(pollers) < OWN:  # noqa: ASYNC110 - the pending set signals nothing
            await anyio.sleep(0.005)
        await anyio.sleep(1.0)
        before = resident()
        async with measure_stalls() as stall:
            while len(pollers) == OWN:  # noqa: ASYNC110
                await anyio.sleep(0.005)
            first = time.perf_counter()
            while len(pollers) < OWN + size:  # noqa: ASYNC110
                await anyio.sleep(0.005)
            last = time.perf_counter()
        bytes_each = (resident() - before) / size
        await anyio.sleep(lease / 3 + 0.5)  # so that the renewal after the takeover counts
        watcher.stop()
    ends = [each for each in store.renewals if each >= first - lease]
    return {
        "first": first - store.others_end,
        "last": last - store.others_end,
        "renewals": max(b - a for a, b in pairwise(ends)),
        "claim": store.claim_took * 1e3,
        "polls": max((b - a for a, b in pairwise(probe.calls) if b > first and a < last), default=last - first) * 1e3,
        "stall": stall.worst * 1e3,
        "bytes": bytes_each,
    }


ROWS = (
    ("end of the lease to its first watches loaded, s", "first", "{:.2f}", "2"),
    ("end of the lease to its last watch loaded, s", "last", "{:.1f}", ""),
    ("longest time between two renewals of the other's own leases, s", "renewals", "{:.1f}", "5: not delayed"),
    ("longest renewal, ms", "claim", "{:.0f}", ""),
    ("longest time between two polls meanwhile, ms (50 a second are allowed)", "polls", "{:.0f}", ""),
    ("longest stall of the event loop meanwhile, ms", "stall", "{:.0f}", "50"),
    ("memory for each watch, bytes", "bytes", "{:,.0f}", "400"),
)


def _note(size: int) -> str:
    return f"""
A replica with {OWN:,} watches of its own, and {RATE:.0f} calls a second, takes over a shard with {size:,} open watches. The owner of that
shard does not renew its leases any more. The shard is loaded in pieces, beside the renewals and the polls.
"""


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(anyio.run(_take_over, sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
