"""The lag of each polling method with the same number of calls, divided by the least lag that any method can reach."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from tests.benchmarks.bound import bound, rule
from tests.benchmarks.distributions import TASK_MODELS, TaskModel
from tests.benchmarks.polling_simulation import Measured, PollingSimulation
from tests.benchmarks.table import Table, command
from watcher.core.polling.cadence import CadenceSettings

ACCRUAL = CadenceSettings(price_floor=0)
RIVALS = {
    "fixed 5 s": CadenceSettings(type="fixed", every=5),
    "backoff to 30 s": CadenceSettings(type="backoff", every=1, max_gap=30),
    "waiter 15 s": CadenceSettings(type="fixed", every=15),
    "even spread": CadenceSettings(type="fixed", every=0.2),
}
CALLS = (2, 3, 5)
SIZES = (25, 1000, 20_000)
LARGE_CALLS = 3
"""With 20,000 tasks, which take twenty times as long as 1,000, only this number of calls is measured."""

NOTE = """
Each cell has the mean lag of a task divided by the lower bound, then p50 and p99 of the lag of its transitions in seconds. The number
after each distribution is the quota: that many calls for each task. All methods have the same hard quota. The accrual rule learns during
the run, with nothing learned at the start; with 20,000 tasks it continues with what it learned with 1,000, as after a restart. The number
of tasks is constant: when one ends, another begins.

*Rule* is the accrual rule alone, with a known distribution and without waiting for permits. The other methods have 1,000 tasks. *Backoff*
waits 1, 2, 4 ... 30 s. *Waiter* is a fixed delay of 15 s, as in most waiters of botocore. *Even spread* always polls the task that was
polled longest ago, as fast as the quota allows. A method that polls too seldom leaves calls unspent. `price_floor` is 0 here: with its
default of 0.1 s the watcher does not spend calls that save less.

A call takes no time here: the table compares the order of calls alone. The bound is the optimum of Barlow, Hunter, and Proschan by
dynamic programming ([how](cadence.md)). With a queue and a run a task has two transitions, and its lag is their sum.

Aim: at most 1.10 with 1,000 tasks and more for smooth distributions, 1.25 for the bimodal one, 1.35 for 12 ± .8. With 25 tasks 1.15 for
smooth distributions and 1.3 for the bimodal one. The cells above the aim with 25 tasks come from their number: the bound may spend calls
at any time, a hard quota spaces them, and so few tasks often need a call at the same moment. Polling, at each permit, the one task of the
25 with the greatest expected lag gave no lower figures. With two calls for the two transitions of queue and run the aim is missed at every
size: in the queue the rule counts only the lag of the start.
"""


def run(quick: bool) -> Table:
    """Run every model, number of tasks, and number of calls, on two processes."""
    models, calls = (1, CALLS[1:2]) if quick else (len(TASK_MODELS), CALLS)
    cases = list(product(range(models), calls, [quick]))
    with ProcessPoolExecutor(2) as processes:
        rows = list(processes.map(_row, cases))
    header = ["distribution, calls a task", "bound", "rule", *(f"accrual, {tasks:,}" for tasks in SIZES), *RIVALS]
    return Table("Lag: when to poll", command("lag"), NOTE, header, rows)


def _row(case: tuple[int, int, bool]) -> list[str]:
    index, calls, quick = case
    model, least = TASK_MODELS[index], bound(TASK_MODELS[index], calls)
    cells = [_cell(measured, least) for measured in (*_accrual(model, calls, quick), *_rivals(model, calls, quick))]
    if calls != LARGE_CALLS:
        cells.insert(2, "")
    known = "" if model.queue else f"{rule(model.run, calls) / least:.2f}"
    row = [f"{model.name}, {calls}", f"{least:.2f} s", known, *cells]
    print(" | ".join(row), file=sys.stderr, flush=True)  # progress: all rows together take minutes
    return row


def _cell(measured: Measured, least: float) -> str:
    return f"{measured.mean / least:.2f} ({measured.quantile(0.5):.1f}, {measured.quantile(0.99):.1f})"


def _accrual(model: TaskModel, calls: int, quick: bool) -> list[Measured]:
    """The accrual rule with few tasks, with many, and with very many."""
    few = PollingSimulation(model, SIZES[0], calls, ACCRUAL)
    few.run(600)
    many = PollingSimulation(model, SIZES[1], calls, ACCRUAL)
    many.run(150)
    measured = [few.measure(600 if quick else 4000), many.measure(30 if quick else 90)]
    if calls == LARGE_CALLS:
        most = PollingSimulation(model, SIZES[2], calls, ACCRUAL)
        most.cadence.restore(many.cadence.dump())
        most.run(10 if quick else 60)
        measured.append(most.measure(2 if quick else 6))
    return measured


def _rivals(model: TaskModel, calls: int, quick: bool) -> list[Measured]:
    measured = []
    for settings in RIVALS.values():
        simulation = PollingSimulation(model, SIZES[1], calls, settings)
        simulation.run(40)
        measured.append(simulation.measure(30 if quick else 60))
    return measured
