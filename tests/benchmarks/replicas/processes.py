"""Replicas as processes of their own, on one PostgreSQL store and one simulated service, which counts the calls of each."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from tests.benchmarks.store_writes import KIND, thousands, watches
from tests.e2e.scene import RUN, configure, service
from tests.postgres import Database
from tests.process import WatcherProcess
from watcher.adapters.stores.postgres import PostgresStore
from watcher.core.polling.schedule import state_name
from watcher.model import TaskRef
from watcher.simulator import Scenario, Simulator, VoiceService, serve
from watcher.simulator.distributions import parse_durations

ENDLESS = parse_durations("queue=0,run=never")
CHECK_S = 0.01


class Replica:
    """A directory and a port of the service. Its process can be started again, and is another replica then."""

    def __init__(self, watcher: WatcherProcess) -> None:
        self.calls: list[tuple[float, str, bool]] = []
        """Each call: its monotonic time, the key of the task, whether it was accepted."""
        self.watcher = watcher
        self._process = ExitStack()

    def start(self) -> None:
        """Start the process."""
        self._process.enter_context(self.watcher.running(*RUN))

    def kill(self) -> float:
        """End the process as a machine that loses power would. Returns the monotonic time of that."""
        at = time.monotonic()
        self._process.close()
        return at

    def calls_between(self, begin: float, end: float) -> tuple[int, int]:
        """How many calls were accepted in this time, and how many were throttled."""
        outcomes = Counter(accepted for at, _, accepted in self.calls if begin <= at < end)
        return outcomes[True], outcomes[False]

    def tasks_since(self, begin: float) -> set[str]:
        """The keys of the tasks about which it called since then."""
        return {key for at, key, _ in self.calls if at >= begin}


class Replicas:
    """Those of one store."""

    def __init__(self, database: Database, all_: Sequence[Replica]) -> None:
        self.database = database
        self.all = all_

    async def until_shared(self, count: int) -> None:
        """Wait until so many replicas own a fair share of the shards each, and poll all their watches."""
        statement = """SELECT count(*), min(share) >= floor(sum(share) / count(*)), bool_and(share = adopted) FROM (
            SELECT (SELECT count(*) FROM shards s WHERE s.owner = r.name) AS share, (report::json->>'adopted')::int AS adopted
            FROM replicas r WHERE r.expires_at > clock_timestamp()) AS shares"""
        await self._until(lambda: self.database.execute(statement) == [(count, True, True)])

    async def until_polled(self, keys: set[str], by: Sequence[Replica], since: float) -> None:
        """Wait until these replicas have called about each of these tasks."""

        def polled() -> bool:
            return keys <= set().union(*(replica.tasks_since(since) for replica in by))

        await self._until(polled)

    async def _until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(120):
            while not await run_sync(holds):  # noqa: ASYNC110 - what other processes do sets no event
                await anyio.sleep(CHECK_S)


@asynccontextmanager
async def replicas(
    database: Database,
    count: int,
    tasks: int,
    *,
    quota: float | None = None,
    start_rate: float | None = None,
    lease: float = 15.0,
    **sections: Any,
) -> AsyncIterator[Replicas]:
    """So many replicas, not started, on a store with so many endless tasks.

    `quota`: of the service. `start_rate`: what an earlier process has learned about it. `lease`: in seconds; it is renewed after a third
    of it, as by default. `sections`: of the configuration.
    """
    await _fill(database, tasks, start_rate)
    simulated = VoiceService(Scenario(durations=ENDLESS, quota=quota), time.time)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = []
        for number in range(count):
            sim = await stack.enter_async_context(serve(simulated))
            store = {"dsn": database.server.dsn, "schema_name": database.schema, "lease": lease, "renew": lease / 3}
            found.append(replica := _replica(folder / f"replica-{number}", sim, {"store": {"type": "postgres", **store}, **sections}))
            stack.callback(replica.kill)
        yield Replicas(database, found)


async def _fill(database: Database, tasks: int, start_rate: float | None) -> None:
    store = PostgresStore(database.settings(shards=64))
    await store.open(["jsonl"])
    await thousands(store.admit, watches(tasks))
    if start_rate is not None:
        await store.save_state(state_name("pace", KIND.quota), repr(start_rate))
    await store.close()


def _replica(folder: Path, sim: Simulator, sections: dict[str, Any]) -> Replica:
    folder.mkdir()
    os.mkfifo(folder / "tasks.pipe")  # a source without an end
    configure(folder, sources=[{"type": "lines", "path": "tasks.pipe"}], **sections)
    replica = Replica(service(folder, sim))

    def record(request: dict[str, Any]) -> None:
        _, _, connector, _, task = request["path"].split("/")
        at = time.monotonic() - request["duration_s"]
        replica.calls.append((at, TaskRef("speaker-search", (connector, task)).key, request["status"] == 200))

    sim.on_request = record
    return replica
