"""Several replicas on one PostgreSQL store in daily work: stops, updates, operators, messages that any of them receives, a wrong clock.

No assertion depends on how long something took. Measured times are printed: `pytest -rP`.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import anyio
import pytest

from tests.e2e.fleet import EXPIRED, LEASE_S, LOST, Fleet, Own, Replica, endless, fleet, one_in_each_shard, takeover_s
from tests.e2e.queues import Queue
from tests.e2e.scene import check_events, end_tasks, tasks
from tests.postgres import Database
from tests.process import POLL_S
from watcher.model import TaskRef
from watcher.simulator import Scenario
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

EVERY_SECOND = {"type": "fixed", "every": 1}
SHORT = Scenario(seed=2, quota=100, durations=parse_durations("queue=exponential(0.5),run=1+exponential(1)"))
"""Tasks that end while the test runs."""
WRONG_CLOCK = """
import time
real = time.time
time.time = lambda: real() + {seconds}
time.time_ns = lambda: int(time.time() * 1e9)
"""
"""A sitecustomize.py: the wall clock of the process is wrong. The signatures of its AWS calls are made with another clock."""


async def feed(found: Fleet, sent: list[TaskRef]) -> None:
    """Submit one task after another until cancelled, and note each one in `sent` before."""
    for ref in tasks(9999, "fed"):
        sent.append(ref)
        with anyio.CancelScope(shield=True):
            await found.submit([ref])
        await anyio.sleep(POLL_S)


def check_clean(found: Fleet) -> None:
    """Check that no lease has ended by its time, no shard was lost, and no event was sent twice."""
    assert found.logged(EXPIRED) == []
    assert found.logged(LOST) == []
    assert found.webhook.repeats() == 0


async def stop(found: Fleet, replica: Replica) -> float:
    """Stop a replica with SIGTERM. Returns the time at which it had ended."""
    replica.send(signal.SIGTERM)
    assert await found.ended(replica) == 143, replica.text()[-4000:]
    return time.time()


async def test_a_stop_hands_the_tasks_over(tmp_path: Path, database: Database, moto_url: str) -> None:
    """One of two replicas stops under load: the other polls its tasks, and no event is lost, out of order, or sent twice."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, endless(), count=2, cadence=EVERY_SECOND) as found:
        await found.polling(refs)
        leaving, staying = found.replicas
        orphans = await found.tasks_of(leaving, refs)
        asked_at = time.time()
        ended_at = await stop(found, leaving)
        await found.until_polled(orphans, staying, since=asked_at)
        print(
            f"takeover {takeover_s(orphans, [staying], asked_at):.2f} s after SIGTERM; the process ended after {ended_at - asked_at:.2f} s"
        )
        await found.until_shared(staying)
        await found.finish(refs)
        check_clean(found)


@pytest.mark.long
async def test_a_rolling_restart_loses_nothing(tmp_path: Path, database: Database, moto_url: str) -> None:
    """Three replicas are stopped and started again, one after the other, while tasks come in: no event is lost or sent twice."""
    sent: list[TaskRef] = []
    async with fleet(tmp_path, database, moto_url, SHORT) as found:
        found.start(*found.replicas)
        await found.until_shared(*found.replicas)
        async with anyio.create_task_group() as feeding:
            feeding.start_soon(feed, found, sent)
            for replica in found.replicas:
                await stop(found, replica)
                found.start(replica)
                await found.until_shared(*found.replicas)
            feeding.cancel_scope.cancel()
        await found.until_delivered(sent)
        found.check(sent)
        check_clean(found)
        print(f"{len(sent)} tasks, {len(found.webhook.accepted)} events")


@pytest.mark.long
async def test_the_owner_polls_what_another_replica_received(tmp_path: Path, database: Database, moto_url: str) -> None:
    """All messages come to one replica. Each task is polled by the owner of its shard, and by no other."""
    refs, idle = one_in_each_shard(), Queue(moto_url, "idle")
    await idle.create()
    own = {1: Own(queue=idle.name), 2: Own(queue=idle.name)}
    async with fleet(tmp_path, database, moto_url, endless(), own=own, cadence=EVERY_SECOND, pace={"rate": 90}) as found:
        await found.polling(refs)
        admitted = dict(await found.execute("SELECT key, admitted_at FROM watches"))
        for replica in found.replicas:
            mine = {ref.key for ref in await found.tasks_of(replica, refs)}
            assert replica.polled == mine
            first = {poll.key: poll.at for poll in reversed(replica.polls)}
            print(f"replica {replica.number}: polled {max(first[key] - admitted[key] for key in mine):.2f} s after admission at the latest")
        await found.finish(refs)
        check_clean(found)


@pytest.mark.slow
async def test_an_operator_reaches_every_replica(tmp_path: Path, database: Database, moto_url: str) -> None:
    """Commands on a machine that runs no replica read the work of all, erase a task, and retry a dead letter, which its owner sends."""
    refs = one_in_each_shard()
    async with fleet(tmp_path, database, moto_url, endless(), cadence=EVERY_SECOND) as found:
        erased, refused, *kept = refs
        accepts = False
        found.webhook.status = lambda event: 422 if event["subject"] == refused.key and not accepts else 204
        await found.polling(refs)
        assert "16 of 16 shards have an owner" in await found.command("replicas")
        listed = json.loads(await found.command("tasks", "--json"))
        assert {each["key"] for each in listed} == {ref.key for ref in refs}
        assert "speaker-search" in await found.command("explain", erased.key)
        await found.until_async(lambda: dead_letters(found), "the refused event is a dead letter")
        assert "Erased 1 task" in await found.command("forget", erased.key)
        await found.until(lambda: not_polled_in(found, erased, rounds=3), "the owner polls the erased task no more")
        accepts = True
        owner = next(replica for replica in found.replicas if refused.key in replica.polled)
        await found.command("dead-letters", "retry", "--all")
        await found.until(lambda: refused.key in {event["subject"] for event in found.webhook.accepted}, "the dead letter is delivered")
        delivery = next(each for each in found.webhook.deliveries if each.status == 204 and json.loads(each.body)["subject"] == refused.key)
        assert delivery.replica == owner.number
        assert not await dead_letters(found)
        end_tasks(found.sim, refs)
        await found.until(lambda: len(found.webhook.ended) == len(refs) - 1, "all other tasks have ended")
        check_events([event for event in found.webhook.accepted if event["subject"] not in (erased.key, refused.key)], kept, found.sim)
        # A dead letter that is retried comes after the later events of its task.
        sequences = {int(event["sequence"]) for event in found.webhook.accepted if event["subject"] == refused.key}
        assert sequences == set(range(1, len(sequences) + 1))


async def dead_letters(found: Fleet) -> list[object]:
    """What the list of dead letters prints."""
    letters: list[object] = json.loads(await found.command("dead-letters", "list", "--json"))
    return letters


def not_polled_in(found: Fleet, erased: TaskRef, rounds: int) -> bool:
    """Whether its owner has polled each of its other tasks so many times since it polled this one."""
    for replica in found.replicas:
        keys = [poll.key for poll in replica.polls]
        if erased.key in keys:
            after = keys[len(keys) - keys[::-1].index(erased.key) :]
            return all(after.count(key) >= rounds for key in set(keys) - {erased.key})
    return False


@pytest.mark.long
@pytest.mark.parametrize("seconds", [600, -600])
async def test_a_wrong_clock_costs_no_lease(tmp_path: Path, database: Database, moto_url: str, seconds: int) -> None:
    """A replica whose wall clock is wrong by ten minutes keeps its shards, takes over from another, and hands over to another."""
    (tmp_path / "sitecustomize.py").write_text(WRONG_CLOCK.format(seconds=seconds))
    refs, own = one_in_each_shard(), {0: Own(variables={"PYTHONPATH": str(tmp_path)})}
    async with fleet(tmp_path, database, moto_url, endless(), own=own, cadence=EVERY_SECOND) as found:
        await found.polling(refs)
        wrong, right, last = found.replicas
        began = time.time()
        await found.until(lambda: time.time() > began + 2 * LEASE_S, "leases would have ended")
        await found.until_shared(*found.replicas)
        assert found.logged(EXPIRED) == []
        orphans = await found.tasks_of(right, refs)
        killed_at = found.kill(right)
        await found.until_shared(wrong, last)
        await found.until_polled(orphans, wrong, last, since=killed_at)
        assert wrong.polled_since(killed_at)
        killed_at = found.kill(wrong)
        await found.until_polled(refs, last, since=killed_at)
        await found.finish(refs)
