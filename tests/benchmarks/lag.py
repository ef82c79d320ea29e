"""The lag of each polling method with the same number of calls, divided by the least lag that any method can reach."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import Literal

from tests.benchmarks import batches
from tests.benchmarks.bound import bound, rule
from tests.benchmarks.distributions import TASK_MODELS, TaskModel
from tests.benchmarks.polling_simulation import KIND, Measured, PollingSimulation
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
COLUMNS = ("bound", "rule", "25", "1,000", "20,000", "1,000 cold", "bound with status", "1,000 with status")
SETTLING_MEANS = 12
"""How long to learn a provisional status, in mean durations: a task that stays in it teaches that only when its watch settles."""
COLD_S = 60
"""The first seconds of a watcher that has learned nothing."""

NOTE = """
Each cell has the mean lag of a task divided by the lower bound, then p50 and p99 of the lag of its transitions in seconds. The number
after each distribution is the quota: that many calls for each task, the first look included. All methods have the same hard quota. The
number of tasks is constant: when one ends, another begins and is submitted at once. It is submitted with its id alone, or, in the two
columns *with status*, with its status, which is then the first observation and costs no call. With an id alone, a task that runs at once
already has an undetected transition, and the lag of this transition counts.

*25*, *1,000*, and *20,000* are numbers of tasks under the accrual rule. It learns during the run; with 20,000 tasks it continues with what
it learned with 1,000, as after a restart. *Cold* are the tasks that end in the first 60 s of a watcher that has learned nothing. It knows
only what the kind declares: hardly any task ends before 10 s, and half of them by 14 s, which is wrong for most distributions here. *Rule*
is the accrual rule alone, with a known distribution, a known status, and without waiting for permits. The other methods have 1,000 tasks.
*Backoff* waits 1, 2, 4 ... 30 s. *Waiter* is a fixed delay of 15 s, as in most waiters of botocore. *Even spread* always polls the task
that was polled longest ago, as fast as the quota allows. They make the first look at once. A method that polls too seldom leaves calls
unspent. `price_floor` is 0 here: with its default the watcher does not spend calls that save less.

A call takes no time here: the table compares the order of calls alone. The bound is the optimum of Barlow, Hunter, and Proschan by
dynamic programming, with the best time for the first look ([how](cadence.md)). With a queue and a run a task has two transitions, and its
lag is their sum. *30 % exp 20* is a provisional status: 30 % of the tasks leave it, the watches of the others settle after 600 s.

Aim with three calls and 1,000 tasks: at most 1.10, cold at most 1.35 for 10 + exp 4 with a queue of exp 2. It is missed by the bimodal
distribution and Lomax, and by far by the provisional status: a task that stays in it teaches that only after 600 s, and the price takes as
long to settle. The cells above the aim with 25 tasks come from their number: the bound may spend calls at any time, a hard quota spaces
them, and so few tasks often need a call at the same moment. With two calls for two transitions the aim is missed at every size: in the
queue the rule counts only the lag of the start, and where a task runs at once, the first look leaves one call for the end.
"""


def run(quick: bool) -> Table:
    """Run every model, number of tasks, and number of calls, on two processes."""
    models, calls = (1, CALLS[1:2]) if quick else (len(TASK_MODELS), CALLS)
    cases = list(product(range(models), calls, [quick]))
    with ProcessPoolExecutor(2) as processes:
        rows = list(processes.map(_row, cases))
    header = ["distribution, calls a task", *COLUMNS, *RIVALS]
    return Table("Lag: when to poll", command("lag"), NOTE, header, rows, [batches.part(quick)])


def _row(case: tuple[int, int, bool]) -> list[str]:
    index, calls, quick = case
    model = TASK_MODELS[index]
    least, least_known = bound(model, calls), bound(model, calls, "status")
    known_rule = "" if model.queue else f"{rule(model.run, calls) / least_known:.2f}"
    small, many, large, cold = _accrual(model, calls, quick)
    seen = _cell(_learned(model, calls, quick, "status").measure(_window(model, quick)), least_known)
    row = [f"{model.name}, {calls}", f"{least:.2f} s", known_rule]
    row += [_cell(measured, least) for measured in (small, many, large, cold)]
    row += [f"{least_known:.2f} s", seen, *(_cell(measured, least) for measured in _rivals(model, calls, quick))]
    print(" | ".join(row), file=sys.stderr, flush=True)  # progress: all rows together take minutes
    return row


def _cell(measured: Measured | None, least: float) -> str:
    return "" if measured is None else f"{measured.mean / least:.2f} ({measured.quantile(0.5):.1f}, {measured.quantile(0.99):.1f})"


def _accrual(model: TaskModel, calls: int, quick: bool) -> Iterator[Measured | None]:
    """The accrual rule with few tasks, with many, with very many, and with many and nothing learned."""
    few = PollingSimulation(model, SIZES[0], calls, ACCRUAL, kinds=[KIND])
    few.run(max(600, SETTLING_MEANS * model.mean))
    yield few.measure((600 if quick else 4000) * max(1.0, model.mean / 60))
    many = _learned(model, calls, quick, "id")
    yield many.measure(_window(model, quick))
    if calls == LARGE_CALLS:
        most = PollingSimulation(model, SIZES[2], calls, ACCRUAL, kinds=[KIND])
        most.cadence.restore(many.cadence.dump())
        most.run(10 if quick else 60)
        yield most.measure(2 if quick else 6)
    else:
        yield None
    yield PollingSimulation(model, SIZES[1], calls, ACCRUAL, kinds=[KIND]).measure(COLD_S)


def _learned(model: TaskModel, calls: int, quick: bool, submitted: Literal["id", "status"]) -> PollingSimulation:
    simulation = PollingSimulation(model, SIZES[1], calls, ACCRUAL, submitted=submitted, kinds=[KIND])
    simulation.run(SETTLING_MEANS * model.mean if model.provisional else 150)
    return simulation


def _window(model: TaskModel, quick: bool) -> float:
    return (30 if quick else 90) * max(1.0, model.mean / 60)


def _rivals(model: TaskModel, calls: int, quick: bool) -> Iterator[Measured]:
    for settings in RIVALS.values():
        simulation = PollingSimulation(model, SIZES[1], calls, settings)
        simulation.run(40)
        yield simulation.measure(_window(model, quick) * 2 / 3)
