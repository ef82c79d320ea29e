"""Several replicas on one PostgreSQL store: what holds while one is killed, stopped, cut off, or replaced, and while the server restarts.

No assertion depends on how long something took. Measured times are printed: `pytest -rP`.
"""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from tests.e2e.fleet import (
    ADOPTED,
    EXPIRED,
    LEASE_S,
    LOST,
    RENEW_S,
    Fleet,
    Own,
    Replica,
    endless,
    fleet,
    logged_at,
    one_in_each_shard,
    takeover_s,
)
from tests.e2e.scene import end_tasks, tasks
from tests.postgres import Database
from tests.relay import Relay
from watcher.simulator import Scenario
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process
UNDER_WAY = 3
"""The most calls and deliveries that a replica has under way when it is frozen."""


@pytest.mark.parametrize(
    "terms",
    [
        pytest.param({"lease": LEASE_S, "renew": RENEW_S}, id="short leases", marks=pytest.mark.slow),
        pytest.param({"lease": 15, "renew": 5}, id="default leases", marks=pytest.mark.long),
    ],
)
async def test_nothing_is_lost_or_polled_twice_over_failures(
    tmp_path: Path, database: Database, moto_url: str, terms: dict[str, float]
) -> None:
    """2,000 tasks under a quota of 100 calls per second. One replica gets SIGKILL and is replaced, one gets SIGSTOP for longer than its
    leases last, and the database restarts: each task's events arrive in order, a repeat has the same id and the same bytes, and the
    service never has two calls about one task at once."""
    refs = tasks(2000)
    lives = parse_durations("queue=exponential(1),run=10+exponential(4)")
    async with fleet(tmp_path, database, moto_url, Scenario(seed=10, quota=100, durations=lives), terms=terms) as found:
        first, second, third = found.replicas
        found.start(*found.replicas)
        await found.until_shared(*found.replicas)
        await found.submit([*refs[:600], *refs[:100]])  # some tasks in two messages
        await found.until(lambda: len(found.webhook.ended) > 100, "some tasks have ended")
        orphans = await found.tasks_of(first, refs)
        killed_at = found.kill(first)
        await found.until(lambda: takeover_s(orphans, [second, third], killed_at) < math.inf, "the others poll its tasks")
        print(f"takeover after {takeover_s(orphans, [second, third], killed_at):.1f} s with leases of {terms['lease']:g} s")
        found.start(first)
        await found.submit(refs[600:1100])
        await found.until_shared(*found.replicas)
        second.send(signal.SIGSTOP)
        await found.until(lambda: len(found.logged(EXPIRED)) == 2, "the leases of the second one have ended")
        second.send(signal.SIGCONT)
        await found.submit(refs[1100:1600])
        await found.until_shared(*found.replicas)
        await run_sync(database.server.restart, "fast")
        await found.submit(refs[1600:])
        await found.until_delivered(refs)
        await found.until_async(found.queue.is_empty, "all messages are acknowledged")
        print(f"{found.webhook.repeats()} of {len(found.webhook.accepted)} events were repeats")
        found.check(refs)


async def test_the_others_take_over_from_a_killed_replica(tmp_path: Path, database: Database, moto_url: str) -> None:
    """The others poll the tasks of a replica that got SIGKILL, no event is lost, and no two calls about one task are in flight."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, endless()) as found:
        await found.polling(refs)
        victim, *others = found.replicas
        orphans = await found.tasks_of(victim, refs)
        assert orphans
        killed_at = found.kill(victim)
        await found.until_polled(orphans, *others, since=killed_at)
        print(f"takeover after {takeover_s(orphans, others, killed_at):.1f} s")
        await found.finish(refs)
        assert {line["replica"] for line in found.logged(EXPIRED)} == {victim.name}


@pytest.mark.slow
async def test_a_stopped_replica_does_nothing_under_its_old_leases(tmp_path: Path, database: Database, moto_url: str) -> None:
    """A replica that got SIGSTOP for longer than its leases last neither polls nor commits when it goes on, until it owns shards again."""
    refs, cadence = one_in_each_shard(), {"type": "fixed", "every": 2}
    async with fleet(tmp_path, database, moto_url, endless(), cadence=cadence) as found:
        await found.polling(refs)
        victim, *others = found.replicas
        orphans = await found.tasks_of(victim, refs)
        victim.send(signal.SIGSTOP)
        await found.until(lambda: found.logged(EXPIRED), "its leases have ended")
        expired_at = logged_at(found.logged(EXPIRED)[0])
        await found.until_polled(orphans, *others, since=expired_at)
        adoptions, old = len(victim.lines(ADOPTED)), victim.name
        victim.send(signal.SIGCONT)
        again_at = logged_at(await victim.until_logged(ADOPTED, adoptions + 1))
        # a call or a delivery that was under way when it froze may still arrive; under its old leases it would make dozens
        late = found.activity(victim, expired_at, again_at)
        assert len(late) <= UNDER_WAY, f"it works under its old leases: {late}"
        assert victim.lines(LOST)
        assert victim.name != old
        await found.until_shared(*found.replicas)
        await found.finish(refs)


@pytest.mark.parametrize("how", [pytest.param("cut", marks=pytest.mark.slow), pytest.param("stall", marks=pytest.mark.long)])
async def test_a_replica_without_the_database_stops_before_its_leases_end(
    tmp_path: Path, database: Database, moto_url: str, how: str
) -> None:
    """A replica that is cut off from the database, or gets no answer from it, says so, and neither polls nor sends after its leases
    have ended. The others take over. It takes part again when the network works."""
    refs, down = one_in_each_shard(), True
    async with Relay(database.server.socket) as relay:
        own = {0: Own(dsn=database.server.dsn_through(relay.host, relay.port))}
        async with fleet(tmp_path, database, moto_url, endless(), own=own, cadence={"type": "fixed", "every": 1}) as found:
            found.webhook.status = lambda event: 503 if down else 204  # so that each replica always has something to send
            await found.polling(refs)
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
            last = max(each.at for each in found.activity(victim, 0, expired_at))
            print(f"{how}: the last call or delivery was {expired_at - last:.1f} s before its leases had ended")
            assert found.activity(victim, expired_at, logged_at(adopted)) == []
            await found.until_ready(victim)
            await found.until_shared(*found.replicas)
            down = False
            await found.finish(refs)
            assert victim.name != old


@pytest.mark.parametrize("mode", [pytest.param("fast", marks=pytest.mark.slow), pytest.param("immediate", marks=pytest.mark.long)])
async def test_a_restart_of_the_database_loses_nothing(tmp_path: Path, database: Database, moto_url: str, mode: str) -> None:
    """When the server restarts under load, all replicas connect again and renew their leases, and every event arrives."""
    refs, more = one_in_each_shard(), tasks(40, "later")
    async with fleet(tmp_path, database, moto_url, endless(), cadence={"type": "fixed", "every": 1}) as found:
        await found.polling(refs)
        async with anyio.create_task_group() as work:
            work.start_soon(found.submit, more)
            end_tasks(found.sim, refs)
            await run_sync(database.server.restart, mode)
        restarted_at = time.time()
        for replica in found.replicas:
            await replica.until_logged("signals_lost")  # other connections are used rarely, and may be opened again unnoticed
            await found.until_async(lambda replica=replica: renewed_since(found, replica, restarted_at), "it renews its leases")
            await found.until_ready(replica)
        await found.until_shared(*found.replicas)
        await found.until_polled(more)
        end_tasks(found.sim, more)
        await found.until_delivered([*refs, *more])
        found.check([*refs, *more])


async def renewed_since(found: Fleet, replica: Replica, at: float) -> bool:
    """Whether a replica has renewed its leases since then."""
    statement = "SELECT extract(epoch FROM renewed_at)::float8 > %s FROM replicas WHERE name = %s"
    return (await found.execute(statement, at, replica.name)) == [(True,)]


@pytest.mark.long
async def test_without_a_database_nothing_is_polled_after_the_leases_end(tmp_path: Path, database: Database, moto_url: str) -> None:
    """While the database is down for longer than the leases last, all replicas say so and poll nothing. Then they go on."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, endless(), cadence={"type": "fixed", "every": 1}) as found:
        await found.polling(refs)
        await run_sync(database.server.stop)
        stopped_at = time.time()
        try:
            for replica in found.replicas:
                await found.until_ready(replica, "store", "leases")
            await found.until(lambda: time.time() > stopped_at + 2 * LEASE_S, "the leases have ended long ago")
        finally:
            await run_sync(database.server.start)
        down = [poll for replica in found.replicas for poll in found.activity(replica, stopped_at + LEASE_S, stopped_at + 2 * LEASE_S)]
        assert down == []
        for replica in found.replicas:
            await found.until_ready(replica)
        await found.until_polled(refs, since=stopped_at + 2 * LEASE_S)
        await found.until_shared(*found.replicas)
        await found.finish(refs)
