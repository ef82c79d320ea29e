"""Several replicas on one PostgreSQL store: what holds while one is killed, stopped, cut off, or replaced, and while the server restarts.

No assertion depends on how long something took. Measured times are printed: `pytest -rP`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from tests.e2e.fleet import ADOPTED, EXPIRED, LEASE_S, LOST, Delivery, Fleet, Poll, Replica, fleet, logged_at, one_in_each_shard
from tests.e2e.log_events import HEALTHY, UNHEALTHY
from tests.e2e.scene import ENDLESS, check_events, end_tasks, tasks
from tests.postgres import Database
from tests.relay import Relay
from watcher.model import TaskRef
from watcher.simulator import Scenario

pytestmark = pytest.mark.process


def scenario(**settings: object) -> Scenario:
    """Tasks that run until the test ends them."""
    return Scenario(**{"seed": 1, "partial": 0, "quota": 100, "durations": ENDLESS, **settings})


def check(found: Fleet, refs: Sequence[TaskRef]) -> None:
    """Check that every event has arrived, each task's events in order, and that no two Gets of one task were in flight at once."""
    check_events(found.webhook.accepted, refs, found.sim)
    assert found.sim.stats.peak_per_task == 1


async def running(found: Fleet, refs: Sequence[TaskRef]) -> None:
    """Start all replicas, and let them poll these tasks."""
    found.start(*found.replicas)
    await found.until_shared(*found.replicas)
    await found.submit(refs)
    await found.until_polled(refs)


async def finish(found: Fleet, refs: Sequence[TaskRef]) -> None:
    """End the tasks, and check their events when all have arrived."""
    end_tasks(found.sim, refs)
    await found.until_delivered(refs)
    check(found, refs)


async def test_the_others_take_over_from_a_killed_replica(tmp_path: Path, database: Database, moto_url: str) -> None:
    """The others poll the tasks of a replica that got SIGKILL, no event is lost, and no two calls about one task are in flight."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, scenario()) as found:
        await running(found, refs)
        victim, *others = found.replicas
        orphans = await found.tasks_of(victim, refs)
        assert orphans
        killed_at = found.kill(victim)
        await found.until_polled(orphans, *others, since=killed_at)
        print(f"takeover after {takeover_s(orphans, others, killed_at):.1f} s")
        await finish(found, refs)
        assert {line["replica"] for line in found.logged(EXPIRED)} == {victim.name}


def takeover_s(orphans: Sequence[TaskRef], others: Sequence[Replica], since: float) -> float:
    """Seconds from then to the first poll by one of these replicas of a task of which it was not the owner."""
    keys = {ref.key for ref in orphans}
    return min(poll.at for replica in others for poll in replica.polls if poll.at > since and poll.key in keys) - since


async def test_a_stopped_replica_does_nothing_under_its_old_leases(tmp_path: Path, database: Database, moto_url: str) -> None:
    """A replica that got SIGSTOP for longer than its leases last neither polls nor commits when it goes on, until it owns shards again."""
    refs, cadence = one_in_each_shard(), {"type": "fixed", "every": 2}
    async with fleet(tmp_path, database, moto_url, scenario(), cadence=cadence) as found:
        await running(found, refs)
        victim, *others = found.replicas
        orphans = await found.tasks_of(victim, refs)
        victim.send(signal.SIGSTOP)
        await found.until(lambda: found.logged(EXPIRED), "its leases have ended")
        expired_at = logged_at(found.logged(EXPIRED)[0])
        await found.until_polled(orphans, *others, since=expired_at)
        adoptions, old = len(victim.lines(ADOPTED)), victim.name
        victim.send(signal.SIGCONT)
        again_at = logged_at(await victim.until_logged(ADOPTED, adoptions + 1))
        assert did(victim, found, expired_at, again_at) == [], "it works under its old leases"
        assert victim.lines(LOST)
        assert victim.name != old
        await found.until_shared(*found.replicas)
        await finish(found, refs)


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_a_replica_without_the_database_stops_before_its_leases_end(
    tmp_path: Path, database: Database, moto_url: str, how: str
) -> None:
    """A replica that is cut off from the database, or gets no answer from it, says so, and neither polls nor sends after its leases
    have ended. The others take over. It takes part again when the network works."""
    refs, down = one_in_each_shard(), True
    async with Relay(database.server.socket) as relay:
        dsns = {0: database.server.dsn_through(relay.host, relay.port)}
        async with fleet(tmp_path, database, moto_url, scenario(), dsns=dsns, cadence={"type": "fixed", "every": 1}) as found:
            found.webhook.status = lambda event: 503 if down else 204  # so that each replica always has something to send
            await running(found, refs)
            victim, *others = found.replicas
            orphans = await found.tasks_of(victim, refs)
            old = victim.name
            getattr(relay, how)()
            await found.until_ready(victim, "store", "leases")
            await found.until(lambda: found.logged(EXPIRED), "its leases have ended")
            expired_at = logged_at(found.logged(EXPIRED)[0])
            await found.until_polled(orphans, *others, since=expired_at)
            (relay.restore if how == "cut" else relay.release)()
            adopted = await victim.until_logged(ADOPTED, len(victim.lines(ADOPTED)) + 1)
            last = max(each.at for each in did(victim, found, 0, expired_at))
            print(f"{how}: the last call or delivery was {expired_at - last:.1f} s before its leases had ended")
            assert did(victim, found, expired_at, logged_at(adopted)) == []
            await found.until_ready(victim)
            await found.until_shared(*found.replicas)
            down = False
            await finish(found, refs)
            assert victim.name != old


def did(replica: Replica, found: Fleet, begin: float, end: float) -> list[Poll | Delivery]:
    """The polls and deliveries of a replica between two times."""
    deliveries = [each for each in found.webhook.deliveries if each.replica == replica.number]
    return [each for each in (*replica.polls, *deliveries) if begin < each.at < end]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_the_database_loses_nothing(tmp_path: Path, database: Database, moto_url: str, mode: str) -> None:
    """While the server restarts under load, all replicas say so, connect again, and keep their shards; every event arrives."""
    refs, more = one_in_each_shard(), tasks(40, "later")
    async with fleet(tmp_path, database, moto_url, scenario(), cadence={"type": "fixed", "every": 1}) as found:
        await running(found, refs)
        async with anyio.create_task_group() as work:
            work.start_soon(found.submit, more)
            end_tasks(found.sim, refs)
            await run_sync(database.server.restart, mode)
        for replica in found.replicas:
            await found.until(lambda replica=replica: components(replica, HEALTHY) >= {"store"}, "each replica works again")
            assert "store" in components(replica, UNHEALTHY)
            await found.until_ready(replica)
        await found.until_shared(*found.replicas)
        await found.until_polled(more)
        end_tasks(found.sim, more)
        await found.until_delivered([*refs, *more])
        check(found, [*refs, *more])


def components(replica: Replica, event: str) -> set[str]:
    """The components about which a replica logged that they work, or do not."""
    return {line["component"] for line in replica.lines(event)}


async def test_without_a_database_nothing_is_polled_after_the_leases_end(tmp_path: Path, database: Database, moto_url: str) -> None:
    """While the database is down for longer than the leases last, all replicas say so and poll nothing. Then they go on."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, scenario(), cadence={"type": "fixed", "every": 1}) as found:
        await running(found, refs)
        await run_sync(database.server.stop)
        stopped_at = time.time()
        try:
            for replica in found.replicas:
                await found.until_ready(replica, "store", "leases")
            await found.until(lambda: time.time() > stopped_at + 2 * LEASE_S, "the leases have ended long ago")
        finally:
            await run_sync(database.server.start)
        down = [poll for replica in found.replicas for poll in did(replica, found, stopped_at + LEASE_S, stopped_at + 2 * LEASE_S)]
        assert down == []
        for replica in found.replicas:
            await found.until_ready(replica)
        await found.until_polled(refs, since=stopped_at + 2 * LEASE_S)
        await found.until_shared(*found.replicas)
        await finish(found, refs)
