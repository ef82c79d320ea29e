"""How several processes share the calls: under a quota that they must find, and under a configured rate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio

from tests.benchmarks.fleet import Tally
from tests.benchmarks.postgres import database
from tests.benchmarks.replicas.processes import Replica, Replicas, replicas
from tests.benchmarks.table import Part
from tests.postgres import PostgresServer

QUOTA = 50.0
RATE = 40.0
TASKS = 5000
EVERY_S = 5.0
"""How often each task should be polled: far more often than the calls allow."""


@dataclass(frozen=True)
class Times:
    """Seconds until the processes of a stage are in a steady state, and for how long they are measured then."""

    settle: float
    measure: float


@dataclass(frozen=True)
class Shares:
    """The calls of some processes in a steady state."""

    used: float
    """Accepted calls per second."""
    throttled: float
    """The share of throttled calls in all calls."""
    jain: float
    most: int
    """Calls in one second, the most since the processes of the stage were started."""


def measure(on: PostgresServer, quick: bool) -> Part:
    """Measure 1, 2, and 4 processes, with both fleets at the same time: they wait more than they compute."""
    stages, times = ((1, 2), Times(4, 2)) if quick else ((1, 2, 4), Times(20, 20))
    found = anyio.run(_measure, on, stages, times)
    rows = [_row(count, found["quota"][n], found["rate"][n]) for n, count in enumerate(stages)]
    return Part("The calls of several processes", _note(times), HEADER, rows)


async def _measure(on: PostgresServer, stages: Sequence[int], times: Times) -> Mapping[str, list[Shares]]:
    cadence = {"type": "fixed", "every": EVERY_S}
    fleets: Mapping[str, dict[str, Any]] = {
        "quota": {"quota": QUOTA, "cadence": cadence},
        "rate": {"cadence": cadence, "pace": {"rate": RATE}},
    }
    found: dict[str, list[Shares]] = {name: [] for name in fleets}
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        for name, options in fleets.items():
            empty = stack.enter_context(database(on))
            fleet = await stack.enter_async_context(replicas(empty, max(stages), TASKS, **options))
            tasks.start_soon(_stages, fleet, stages, times, found[name])
    return found


async def _stages(fleet: Replicas, stages: Sequence[int], times: Times, found: list[Shares]) -> None:
    running = 0
    for count in stages:
        began = time.monotonic()
        for replica in fleet.all[running:count]:
            replica.start()
        running = count
        await fleet.until_shared(count)
        await anyio.sleep(times.settle)
        since = time.monotonic()
        await anyio.sleep(times.measure)
        found.append(_shares(fleet.all[:count], began, since, time.monotonic()))


def _shares(running: Sequence[Replica], began: float, since: float, end: float) -> Shares:
    accepted, throttled = zip(*(replica.calls_between(since, end) for replica in running), strict=True)
    tally, all_ = Tally(list(accepted), list(throttled)), range(len(running))
    times = sorted(at for replica in running for at, _, _ in replica.calls if at >= began)
    return Shares(sum(accepted) / (end - since), tally.throttled_share(all_), tally.jain(all_), most_in_a_second(times))


def most_in_a_second(times: Sequence[float]) -> int:
    """How many of these times, in order, are in one second: the second with the most of them."""
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def _row(count: int, quota: Shares, rate: Shares) -> tuple[str, ...]:
    found = (f"{quota.used / QUOTA:.1%}", f"{quota.throttled:.2%}", f"{quota.jain:.3f}")
    return f"{count}", *found, f"{rate.used:.1f}", f"{rate.most}", f"{rate.jain:.3f}"


HEADER = (
    "processes",
    f"quota of {QUOTA:.0f}/s, not configured: used",
    "throttled",
    "Jain's index",
    f"configured rate of {RATE:.0f}/s: calls per second",
    "most in one second",
    "Jain's index",
)


def _note(times: Times) -> str:
    return f"""
Processes with {TASKS:,} open tasks, each to be polled every {EVERY_S:.0f} s, so that the calls are the limit. *Quota*: the simulated
service allows {QUOTA:.0f} calls a second, with a credit of one second, and throttles more; the processes do not know that.
*Configured rate*: the service has no quota, and `pace.rate` is {RATE:.0f}. Further processes are started while the earlier ones run.
From {times.settle:.0f} s after they share the tasks, the calls of {times.measure:.0f} s are counted at the service. *Most in one second*
also counts the time before that, in which shards change their owners.

Aim: as in [Pace](#pace-the-rate-of-all-calls), at least 98 % used and at most 1 % throttled; at most the configured rate, and
the one call of its burst for each process.
"""
