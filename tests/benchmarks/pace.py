"""How much of an unknown quota the pace uses, for one replica and for several, and how fast it follows a change."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import mean, median

from tests.benchmarks.fleet import Client, Crowd, Fleet, Paced, Steady
from tests.benchmarks.table import Part, Table, command

QUOTAS, REPLICAS, SEEDS = (5, 20, 100), (1, 4, 16), range(5)
NEAR = 0.1
"""Settled: the sum of the rates of the replicas is within a tenth of the quota."""
RIVAL = 0.4
"""The share of the quota that a client without a pace takes."""
FALLS = ((100, 5), (100, 20), (20, 1))
SOON_S, THEN_S = 120.0, 400.0
"""How long the calls after a fall are counted: at first, and from then on."""
RIVALS = (0.8, 1.0, 1.5, 5.0)
"""The calls of a client without a pace, as multiples of the quota."""
EARLY_S, LATE_S = 600.0, 3000.0
"""How long after that client began its first and its last calls are counted, in seconds: for ten minutes each."""
GRANTS = (5, 20, 100)
REACHED = 0.95

NOTE = """
Replicas of the real pace, which do not know the quota and have more work than it allows, call a server-side token bucket (credit of one
second) on virtual time, with a round trip of 25 to 75 ms. Every 5 s they blend in the mean of their rates. *Used* is the accepted calls
divided by the quota in steady state. *Throttled* is the rejected calls divided by all calls. *Halved* and *restored* are the seconds until
the rates together are within a tenth of the new quota (median of five runs). *Rival*: a client without a pace takes 40 % of the quota; then
*used* refers to the rest. The last two rows are without blending.

Aim: at least 98 % used; at most 1 % throttled at 5/s and more for each replica; settled within 10 s after the quota was halved and within
60 s after it was restored. Below 5/s for each replica the aim is missed: each throttle says the same about the rate, whatever the rate is,
so throttles are a larger share of few calls; and a replica that calls once in several seconds needs that much longer to find a restored
quota. The benchmark `replicas` has the same for real processes.
"""


FELL_NOTE = """
The quota falls and does not rise again. *Throttled* is the rejected calls divided by all calls: in the first two minutes, and in the 400 s
after that. *Used* refers to the same 400 s. The last two columns have the same for a quota that was low from the beginning. Aim: at most
10 % throttled from two minutes on. Four replicas at 1/s miss it in both cases: each one calls once in four seconds, and this quota has room
for one call at a time.
"""

RIVAL_NOTE = """
After five minutes alone, many other clients begin to call at random times and ignore throttling. *Its calls* are their calls together, as
a multiple of the quota. *Ours* is our accepted calls divided by the quota, in the first ten minutes and in the last ten of an hour.
*Throttled* is our rejected calls divided by our calls. A pace without a memory would get the rest of the quota, which is nothing at 1 x and
more. Aim: our share after an hour is that of the first ten minutes, or else the rest of the quota.
"""

START_NOTE = """
A process starts with nothing learned. *Configured* and *found* are the seconds until 95 % of the quota were accepted within one second,
with this rate configured, and without. The configured rate is divided among the replicas. *Throttled* is the rejected calls divided by all
calls in the first minute.
"""


def run(quick: bool) -> Table:
    """Run every quota and number of replicas, on two processes."""
    cases = [(quota, replicas, True) for quota, replicas in product(QUOTAS, REPLICAS)] + [(20, 4, False), (20, 16, False)]
    falls, rivals = list(product(FALLS, (1, 4))), list(product((5, 20), (1, 4), RIVALS))
    starts = list(product(GRANTS, (1, 4)))
    with ProcessPoolExecutor(2) as processes:
        tables = [
            list(processes.map(row, [(case, quick) for case in (rows[:2] if quick else rows)]))
            for row, rows in ((_row, cases), (_fall_row, falls), (_rival_row, rivals), (_start_row, starts))
        ]
    header = ["quota, replicas", "used", "throttled", "Jain's index", "halved", "restored", "rival: used", "throttled", "Jain's index"]
    fell = ["quota, replicas", "throttled until 120 s", "from 120 s on", "used", "always low: throttled", "used"]
    held = ["quota, replicas, its calls", "ours: first 10 min", "after an hour", "throttled: first 10 min", "after an hour"]
    reached = ["rate, replicas", "configured", "throttled", "found", "throttled"]
    parts = [
        Part("A quota that falls for good", FELL_NOTE, fell, tables[1]),
        Part("A client without a pace", RIVAL_NOTE, held, tables[2]),
        Part("A configured rate", START_NOTE, reached, tables[3]),
    ]
    return Table("Pace: the rate of all calls", command("pace"), NOTE, header, tables[0], parts)


def _seeds(quick: bool) -> Sequence[int]:
    return SEEDS[:1] if quick else SEEDS


def _row(job: tuple[tuple[float, int, bool], bool]) -> Sequence[str]:
    (quota, replicas, blend), quick = job
    runs = [_run(quota, replicas, blend, seed) for seed in _seeds(quick)]
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


def _fall_row(job: tuple[tuple[tuple[float, float], int], bool]) -> Sequence[str]:
    ((before, after), replicas), quick = job
    soon, late, used = zip(*[_fall(before, after, replicas, seed) for seed in _seeds(quick)], strict=True)
    _, low, low_used = zip(*[_fall(after, after, replicas, seed) for seed in _seeds(quick)], strict=True)
    return f"{before:g}/s to {after:g}/s, {replicas}", *(f"{mean(each):.1%}" for each in (soon, late, used, low, low_used))


def _fall(before: float, after: float, replicas: int, seed: int) -> tuple[float, float, float]:
    fleet, ours = Fleet(before, [Paced() for _ in range(replicas)], seed=seed), range(replicas)
    fleet.run(300 + 17 * seed)
    fleet.change_quota(after)
    fleet.reset_tally()
    fleet.run(SOON_S)
    soon = fleet.tally.throttled_share(ours)
    used, late, _ = _steady(fleet, ours, after, THEN_S)
    return soon, late, used


def _rival_row(job: tuple[tuple[float, int, float], bool]) -> Sequence[str]:
    (quota, replicas, rival), quick = job
    runs = [_rival(quota, replicas, rival, seed) for seed in _seeds(quick)]
    used, throttled, late_used, late_throttled = (mean(each) for each in zip(*runs, strict=True))
    return f"{quota:g}/s, {replicas}, {rival:g} x", f"{used:.1%}", f"{late_used:.1%}", f"{throttled:.0%}", f"{late_throttled:.0%}"


def _rival(quota: float, replicas: int, rival: float, seed: int) -> tuple[float, ...]:
    fleet, ours = Fleet(quota, [Paced() for _ in range(replicas)], seed=seed), range(replicas)
    fleet.run(300 + 17 * seed)
    fleet.join(Crowd(rival * quota, fleet.now, seed))
    early = _steady(fleet, ours, quota, EARLY_S)
    fleet.run(LATE_S - EARLY_S)
    late = _steady(fleet, ours, quota, EARLY_S)
    return *early[:2], *late[:2]


def _start_row(job: tuple[tuple[float, int], bool]) -> Sequence[str]:
    (rate, replicas), quick = job
    cells = []
    for granted in (rate, None):
        reached, throttled = zip(*[_start(rate, replicas, granted, seed) for seed in _seeds(quick)], strict=True)
        cells += [f"{median(reached):.1f} s", f"{mean(throttled):.1%}"]
    return f"{rate:g}/s, {replicas}", *cells


def _start(quota: float, replicas: int, granted: float | None, seed: int) -> tuple[float, float]:
    """When 95 % of the quota were accepted within a second, and the share of throttled calls in a minute."""
    fleet, counts = Fleet(quota, [Paced(granted, replicas) for _ in range(replicas)], seed=seed), [0] * 11
    while counts[-1] - counts[-11] < REACHED * quota and fleet.now < 60:
        fleet.run(0.1)
        counts.append(sum(fleet.tally.accepted))
    reached = fleet.now
    fleet.run(60 - reached)
    return reached, fleet.tally.throttled_share(range(replicas))
