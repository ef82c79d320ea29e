"""Several replicas on a real PostgreSQL server lose no event and invent none: in seeded stories, and with planted bugs as a check."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import structlog

from tests.postgres import PostgresServer
from tests.simulation.fleet.link import Link, Network
from tests.simulation.fleet.loop import FreezingLoop
from tests.simulation.fleet.oracle import judge_fleet
from tests.simulation.fleet.story import draw_fleet
from tests.simulation.fleet_postgres.mutants import STORE_MUTANTS, planted, story_of
from tests.simulation.fleet_postgres.play import play_on_postgres, replay
from tests.simulation.fleet_postgres.server import PostgresFleet
from tests.simulation.world import MARK
from watcher.errors import StoreUnavailable
from watcher.observe.logs import LogSettings, configure

QUICK = (1, 2)
"""Seeds of short stories, which `make test` plays."""
PLAYED = range(3, 5)
"""Seeds that `make verify` plays too."""
PLAYED_LONG = range(5, 20)
"""Seeds that `make long` plays."""
SEARCHED = range(40)
"""Seeds in which a planted bug must show."""
OFTEN = (
    "kill",
    "stop",
    "takeover",
    "hand-over",
    "arrival",
    "erasure",
    "fenced",
    "lock wait",
    "slow commit",
    "frozen",
    "hanging",
    "cut off",
)
"""What occurs in all stories together."""


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.StringIO]:
    """All that is logged, down to debug."""
    before = structlog.get_config()
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    structlog.configure(**before)


@pytest.mark.parametrize("seed", QUICK)
def test_every_promise_holds_in_short_stories_on_postgres(postgres_server: PostgresServer, seed: int, logs: io.StringIO) -> None:
    """Whatever fails between replicas, server, and service, the oracle finds no broken promise, and no log line names a person."""
    assert judge_fleet(play_on_postgres(postgres_server, draw_fleet(seed))) == [], replay(seed)
    assert MARK not in logs.getvalue()
    assert "probe_raised_unexpectedly" not in logs.getvalue()


@pytest.mark.parametrize("seeds", [pytest.param(PLAYED, marks=pytest.mark.slow), pytest.param(PLAYED_LONG, marks=pytest.mark.long)])
def test_every_promise_holds_in_many_stories_on_postgres(postgres_server: PostgresServer, seeds: range, logs: io.StringIO) -> None:
    """The same in more and longer stories."""
    for seed in seeds:
        assert judge_fleet(play_on_postgres(postgres_server, draw_fleet(seed))) == [], replay(seed)
    assert MARK not in logs.getvalue()


@pytest.mark.long
def test_every_kind_of_trouble_occurs_on_postgres(postgres_server: PostgresServer) -> None:
    """In the stories that are played, each kind of trouble occurs, and transactions wait for the locks of others."""
    seen: Counter[str] = Counter()
    for seed in (*PLAYED, *PLAYED_LONG):
        seen.update(play_on_postgres(postgres_server, draw_fleet(seed)).audit.seen)
    assert [name for name in OFTEN if not seen[name]] == [], "stories in which nothing happens prove nothing"


@pytest.mark.parametrize("bug", [pytest.param(bug, marks=pytest.mark.long) for bug in STORE_MUTANTS])
def test_the_stories_find_planted_bugs_of_the_postgres_store(postgres_server: PostgresServer, bug: str) -> None:
    """Each known bug breaks a promise within 40 seeds."""
    with planted(bug):
        seeds = (STORE_MUTANTS[bug].seed, *SEARCHED)
        assert any(judge_fleet(play_on_postgres(postgres_server, story_of(bug, seed), slow_commits=0.5)) for seed in seeds)


class Trial:
    """The stores of two processes in a story in which nothing happens, on a loop of its own."""

    def __init__(self, server: PostgresServer) -> None:
        self.loop = FreezingLoop()
        fleet = draw_fleet(0)
        self._fleet = PostgresFleet(server, replace(fleet, story=replace(fleet.story, shards=1, disk_s=0.0)), self.loop)

    def __enter__(self) -> Trial:
        self._fleet.__enter__()
        self._fleet.audit(self.loop.time)
        self.links = [Link(Network(0.0, 0.0), Random(number)) for number in range(2)]
        self.stores = [self._fleet.store(number, link) for number, link in enumerate(self.links)]
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.run_until_complete(self._fleet.close())
        self._fleet.__exit__()
        self.loop.close()

    async def execute(self, process: int, *statements: str, between_s: float = 0.0) -> float:
        """Execute these statements in one transaction. Returns the time of the loop at its end."""

        async def work(db: Any) -> float:
            async with db.transaction():
                for statement in statements:
                    await db.execute(statement)
                    await asyncio.sleep(between_s)
            return self.loop.time()

        store: Any = self.stores[process]
        return await store._reads.run(work)


def test_the_clock_stands_still_while_the_server_works(postgres_server: PostgresServer) -> None:
    """A statement takes the virtual time of its round trips, however long the server works on it."""
    with Trial(postgres_server) as trial:
        trial.loop.run_until_complete(trial.execute(0, "SELECT 1"))
        began = trial.loop.time()
        ended = trial.loop.run_until_complete(trial.execute(0, "SELECT pg_sleep(0.3)"))
    assert ended - began < 0.1


def test_the_clock_goes_on_while_all_that_wait_for_the_server_wait_for_locks(postgres_server: PostgresServer) -> None:
    """A transaction that waits for a lock gets it when the one that holds it ends, in virtual time."""
    lock = "SELECT pg_advisory_xact_lock(1)"
    with Trial(postgres_server) as trial:

        async def both() -> list[float]:
            return await asyncio.gather(trial.execute(0, lock, between_s=2.0), trial.execute(1, "SELECT 1", lock))

        holds, waits = trial.loop.run_until_complete(both())
    assert holds >= 2.0
    assert holds <= waits < holds + 0.2


def test_a_wait_for_a_lock_ends_by_virtual_time(postgres_server: PostgresServer) -> None:
    """After the lock timeout of the store, which the server itself measures in real time, the statement fails."""
    lock = "SELECT pg_advisory_xact_lock(1)"
    with Trial(postgres_server) as trial:

        async def both() -> list[Any]:
            waiting = asyncio.gather(trial.execute(0, lock, between_s=9.0), trial.execute(1, "SELECT 1", lock), return_exceptions=True)
            return await waiting

        holds, waits = trial.loop.run_until_complete(both())
    assert holds >= 9.0
    assert isinstance(waits, StoreUnavailable)


def test_a_transaction_of_a_process_that_hangs_is_ended_by_virtual_time(postgres_server: PostgresServer) -> None:
    """The server ends it after the limit for idle transactions, so its locks are free for others."""
    lock = "SELECT pg_advisory_xact_lock(1)"
    with Trial(postgres_server) as trial:

        async def both() -> list[Any]:
            holds = asyncio.ensure_future(trial.execute(0, lock, "SELECT 1", between_s=0.2))
            await asyncio.sleep(0.15)
            trial.links[0].hanging = True
            await asyncio.sleep(10.3)
            free = await trial.execute(1, lock)
            trial.links[0].hanging = False
            return [*await asyncio.gather(holds, return_exceptions=True), free]

        held, free = trial.loop.run_until_complete(both())
    assert isinstance(held, StoreUnavailable)
    assert free < 10.9, "this is before the limit of the store for the whole call"
