"""How much of an unknown quota the pace uses, for one replica and for several, and how fast it follows a change."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import mean, median

from tests.benchmarks.fleet import Client, Fleet, Paced, Steady
from tests.benchmarks.table import Table, command

QUOTAS, REPLICAS, SEEDS = (5, 20, 100), (1, 4, 16), range(5)
NEAR = 0.1
"""Settled: the sum of the rates of the replicas is within a tenth of the quota."""
RIVAL = 0.4
"""The share of the quota that a client without a pace takes."""

NOTE = """
Replicas of the real pace, which do not know the quota and have more work than it allows, call a server-side token bucket (credit of one
second) on virtual time, with a round trip of 25 to 75 ms. Every 5 s they blend in the mean of their rates. *Used* is the accepted calls
divided by the quota in steady state. *Throttled* is the rejected calls divided by all calls. *Halved* and *restored* are the seconds until
the rates together are within a tenth of the new quota (median of five runs). *Rival*: a client without a pace takes 40 % of the quota; then
*used* refers to the rest. The last two rows are without blending.

Aim: at least 98 % used; at most 1 % throttled at 5/s and more for each replica; settled within 10 s after the quota was halved and within
60 s after it was restored. Below 5/s for each replica the aim is missed: each throttle says the same about the rate, whatever the rate is,
so throttles are a larger share of few calls; and a replica that calls once in several seconds needs that much longer to find a restored
quota. [Several replicas on PostgreSQL](#several-replicas-on-postgresql) has the same for real processes.
"""


def run(quick: bool) -> Table:
    """Run every quota and number of replicas, on two processes."""
    cases = [(quota, replicas, True) for quota, replicas in product(QUOTAS, REPLICAS)] + [(20, 4, False), (20, 16, False)]
    with ProcessPoolExecutor(2) as processes:
        rows = list(processes.map(_row, [(case, quick) for case in (cases[:2] if quick else cases)]))
    header = ["quota, replicas", "used", "throttled", "Jain's index", "halved", "restored", "rival: used", "throttled", "Jain's index"]
    return Table("Pace: the rate of all calls", command("pace"), NOTE, header, rows)


def _row(job: tuple[tuple[float, int, bool], bool]) -> Sequence[str]:
    (quota, replicas, blend), quick = job
    runs = [_run(quota, replicas, blend, seed) for seed in (SEEDS[:1] if quick else SEEDS)]
    used, throttled, jain, halved, restored, rival_used, rival_throttled, rival_jain = zip(*runs, strict=True)
    return (
        f"{quota:g}/s, {replicas}" + ("" if blend else ", no blending"),
        f"{mean(used):.1%}",
        f"{mean(throttled):.2%}",
        f"{mean(jain):.3f}",
        f"{median(halved):.0f} s",
        f"{median(restored):.0f} s",
        f"{mean(rival_used):.1%}",
        f"{mean(rival_throttled):.2%}",
        f"{mean(rival_jain):.3f}",
    )


def _run(quota: float, replicas: int, blend: bool, seed: int) -> tuple[float, ...]:
    clients: list[Client] = [Paced() for _ in range(replicas)]
    fleet, ours = Fleet(quota, clients, blend, seed), range(replicas)
    fleet.run(300 + 17 * seed)
    steady = _steady(fleet, ours, quota)
    fleet.change_quota(quota / 2)
    halved = fleet.run(600, lambda: abs(fleet.rate / fleet.quota - 1) <= NEAR)
    fleet.run(200)
    fleet.change_quota(quota)
    restored = fleet.run(600, lambda: abs(fleet.rate / fleet.quota - 1) <= NEAR)
    fleet.run(100)
    fleet.join(Steady(RIVAL * quota, fleet.now))
    fleet.run(200)
    return *steady, halved, restored, *_steady(fleet, ours, (1 - RIVAL) * quota)


def _steady(fleet: Fleet, ours: range, quota: float, seconds: float = 400) -> tuple[float, float, float]:
    fleet.reset_tally()
    fleet.run(seconds)
    accepted = sum(fleet.tally.accepted[i] for i in ours)
    return accepted / (quota * seconds), fleet.tally.throttled_share(ours), fleet.tally.jain(ours)
