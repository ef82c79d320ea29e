"""The component `leases`: whether a replica renews its leases in time."""

from __future__ import annotations

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, World
from watcher.adapters.stores.memory.replica import MemoryReplica, SharedMemory
from watcher.model import Claim, Report
from watcher.runtime.health import UNUSED
from watcher.runtime.ownership_report import LEASES, NOT_RENEWED
from watcher.runtime.service import Watcher
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

LEASE_S, RENEW_S = 15.0, 5.0
PAST_TWO_THIRDS_S = 12.0
"""Longer than two thirds of a lease and a report of its age, and shorter than the lease."""


class SlowDatabase:
    """Holds the claims of one replica while it is slow."""

    def __init__(self, store: MemoryReplica) -> None:
        self._claim = store.claim
        self._answers = anyio.Event()
        self._answers.set()
        store.claim = self.claim  # type: ignore[method-assign]

    def hang(self) -> None:
        self._answers = anyio.Event()

    def answer(self) -> None:
        self._answers.set()

    async def claim(self, report: Report | None = None) -> Claim:
        await self._answers.wait()
        return await self._claim(report)


def shared_memory(shards: int = 4) -> SharedMemory:
    return SharedMemory(shards, World.wall, lease_s=LEASE_S, renew_s=RENEW_S)


def replica(world: MakeWorld, store: MemoryReplica) -> World:
    return world(store=store, sinks=[SimulatedInbox()], finite=False)


def failing(watcher: Watcher) -> set[str]:
    return {name for name, condition in watcher.health.ready()[1].items() if not condition.ok}


async def test_only_a_store_whose_leases_end_has_the_component(world: MakeWorld) -> None:
    """It is listed from the start for a replica of a shared store, and never for a single owner."""
    shared = replica(world, shared_memory().replica("a")).watcher()
    assert shared.health.ready()[1][LEASES].reason == UNUSED
    single = world(finite=False)
    async with single.running() as watcher:
        await anyio.sleep(60)
        assert LEASES not in watcher.health.ready()[1]


async def test_leases_in_their_last_third_are_unhealthy_until_they_are_renewed(world: MakeWorld) -> None:
    """A replica whose renewal does not return says so with a hint; the other replica stays ready, and a renewal ends the trouble."""
    shared = shared_memory()
    first, second = shared.replica("a"), shared.replica("b")
    database = SlowDatabase(first)
    async with replica(world, first).running() as slow, replica(world, second).running() as other:
        await anyio.sleep(60)
        assert (failing(slow), failing(other)) == (set(), set())
        database.hang()
        await anyio.sleep(0.8 * RENEW_S)
        assert failing(slow) == set(), "one renewal that is late is no trouble"
        await anyio.sleep(PAST_TWO_THIRDS_S)
        assert LEASES in failing(slow)
        assert slow.health.ready()[1][LEASES].hint == NOT_RENEWED
        assert failing(other) == set()
        await anyio.sleep(10 * LEASE_S)
        assert LEASES in failing(slow), "also after the leases have ended"
        database.answer()
        await anyio.sleep(2 * RENEW_S)
        assert (failing(slow), failing(other)) == (set(), set())


async def test_a_replica_without_shards_is_healthy_while_it_renews(world: MakeWorld) -> None:
    """More replicas than shards are no trouble, but one that cannot renew could not take over anything either."""
    shared = shared_memory(shards=1)
    first, second = shared.replica("a"), shared.replica("b")
    database = SlowDatabase(second)
    async with replica(world, first).running(), replica(world, second).running() as spare:
        await anyio.sleep(60)
        assert spare.loops.leases.held == {}
        assert failing(spare) == set()
        database.hang()
        await anyio.sleep(RENEW_S + PAST_TWO_THIRDS_S)
        assert LEASES in failing(spare)
        database.answer()
        await anyio.sleep(2 * RENEW_S)
        assert failing(spare) == set()


async def test_a_replica_that_stops_does_not_become_unhealthy(world: MakeWorld) -> None:
    """After it has given back its shards it renews nothing more, and a last deadline that is long logs no trouble."""
    shared = shared_memory()
    with capture_logs() as lines:
        async with replica(world, shared.replica("a")).watcher() as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.loops.ownership.run)
            await anyio.sleep(60)
            await watcher.loops.ownership.give_back()
            await anyio.sleep(10 * LEASE_S)
            assert failing(watcher) == set()
            tasks.cancel_scope.cancel()
    assert [line for line in lines if line["event"] == "component_unhealthy"] == []
