"""Several replicas on one PostgreSQL store: what holds while one is killed, stopped, cut off, or replaced, and while the server restarts.

No assertion depends on how long something took. Measured times are printed: `pytest -rP`.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.fleet import ADOPTED, EXPIRED, LOST, Fleet, Replica, fleet, logged_at, one_in_each_shard
from tests.e2e.scene import ENDLESS, check_events, end_tasks
from tests.postgres import Database
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
        assert [poll for poll in victim.polls if expired_at < poll.at < again_at] == [], "it polls with its old leases"
        assert victim.lines(LOST)
        assert victim.name != old
        await found.until_shared(*found.replicas)
        await finish(found, refs)
