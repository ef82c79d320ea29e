"""How long the tasks of a replica wait for another one: after SIGKILL, and after SIGTERM."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Sequence
from random import Random

import anyio

from tests.benchmarks.postgres import database
from tests.benchmarks.replicas.processes import Replica, Replicas, replicas
from tests.benchmarks.table import Part
from tests.postgres import Database, PostgresServer

TASKS = 300
EVERY_S = 2.0
"""How often each task is polled."""
Waits = list[tuple[float, float]]
"""For each round, seconds to the first poll of a task of the gone replica, and until all its tasks were polled."""


def measure(on: PostgresServer, quick: bool) -> Part:
    """Let one of three replicas end, in several rounds."""
    rounds, lease = (1, 3.0) if quick else (4, 15.0)
    with database(on) as empty:
        killed, stopped = anyio.run(_measure, empty, rounds, lease)
    rows = [_row("`kill -9`", killed, f"lease + 2 s = {lease + 2:.0f} s"), _row("SIGTERM", stopped, "1 s")]
    return Part("From the end of a replica to the first poll by another", _note(rounds, lease), HEADER, rows)


async def _measure(empty: Database, rounds: int, lease: float) -> tuple[Waits, Waits]:
    cadence, rng = {"type": "fixed", "every": EVERY_S}, Random(1)
    killed: Waits = []
    stopped: Waits = []
    async with replicas(empty, 3, TASKS, start_rate=1000.0, lease=lease, cadence=cadence) as fleet:
        for replica in fleet.all:
            replica.start()
        for turn in range(rounds):
            victim, leaver, stays = (fleet.all[(turn + n) % 3] for n in range(3))
            await _polling(fleet, 3)
            stopped.append(await _stop(fleet, leaver, [victim, stays]))
            await _polling(fleet, 2)
            await anyio.sleep(rng.uniform(0, lease / 3))  # a kill may come at any time between two renewals
            killed.append(await _kill(fleet, victim, [stays]))
            victim.start()
            leaver.start()
    return killed, stopped


async def _polling(fleet: Replicas, count: int) -> None:
    """Wait until so many replicas share the work, and each has polled all its tasks since."""
    await fleet.until_shared(count)
    await anyio.sleep(1.5 * EVERY_S)


async def _kill(fleet: Replicas, victim: Replica, others: Sequence[Replica]) -> tuple[float, float]:
    keys = victim.tasks_since(time.monotonic() - 1.5 * EVERY_S)
    return await _waits(fleet, keys, others, victim.kill())


async def _stop(fleet: Replicas, leaver: Replica, others: Sequence[Replica]) -> tuple[float, float]:
    keys, at = leaver.tasks_since(time.monotonic() - 1.5 * EVERY_S), time.monotonic()
    leaver.watcher.send(signal.SIGTERM)
    waits = await _waits(fleet, keys, others, at)
    code = await leaver.watcher.wait()
    assert code in (0, 143), (code, leaver.watcher.text()[-4000:])
    leaver.kill()
    return waits


async def _waits(fleet: Replicas, keys: set[str], others: Sequence[Replica], since: float) -> tuple[float, float]:
    await fleet.until_polled(keys, others, since)
    first: dict[str, float] = {}
    for replica in others:
        for at, key, _ in replica.calls:
            if at >= since and key in keys:
                first[key] = min(at, first.get(key, at))
    return min(first.values()) - since, max(first.values()) - since


def _row(what: str, waits: Waits, aim: str) -> tuple[str, ...]:
    first, last = ([wait[n] for wait in waits] for n in (0, 1))
    return what, f"{statistics.median(first):.2f}", f"{max(first):.2f}", f"{statistics.median(last):.2f}", f"{max(last):.2f}", aim


HEADER = ("the replica ends by", "first poll, s: median", "longest", "all its tasks polled, s: median", "longest", "aim for the first")


def _note(rounds: int, lease: float) -> str:
    return f"""
Three processes, with leases of {lease:.0f} s that are renewed every {lease / 3:.0f} s (the defaults are 15 s and 5 s), poll {TASKS} tasks
of one simulated service. One of them ends, at a random time between two renewals. *First poll*: the first call of another process about
one of its tasks. Rounds: {rounds}.
"""
