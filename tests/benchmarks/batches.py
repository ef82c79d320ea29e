"""What a call about many tasks saves: the lag and the calls for each task, by the size of a batch, at the same rate of calls."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import product

from tests.benchmarks.distributions import TASK_MODELS
from tests.benchmarks.polling_simulation import KIND, Measured, PollingSimulation
from tests.benchmarks.table import Part
from watcher.core.polling.cadence import CadenceSettings

MODELS = [model for model in TASK_MODELS if model.name in ("10 + exp 4", "queue exp 6, run 10 + exp 4")]
SIZES = (1, 10, 100)
TASKS = 300
CALLS = 2
FLOORS = (0.0, 0.1)
"""The price floor of a granted rate, and the default where other clients may use the calls that are left over. In seconds."""

NOTE = f"""
{TASKS} tasks, and a rate of {CALLS} calls for each task, which is scarce for calls about one task. A batch polls the task that is due, and
others of which the call is expected to save the most lag. It takes one permit. A task is polled at most every `cadence.min_gap`, 0.2 s, so
with large batches the lag nears half of that for each transition, and calls are left over. With the default `price_floor` of 0.1 s, the
watcher leaves more of them to other clients. *Calls a task* are the calls made divided by the tasks that ended, so a call about many
tasks counts once; *polls a task* count each task in it.
"""
HEADER = (
    "distribution, tasks in a call",
    "calls a task",
    "polls a task",
    "mean lag",
    "p99",
    "calls a task, floor 0.1 s",
    "polls a task, floor 0.1 s",
    "mean lag, floor 0.1 s",
)


def part(quick: bool) -> Part:
    """Run every model, size, and price floor, on two processes."""
    cases = list(product(range(len(MODELS)), SIZES, FLOORS, [quick]))
    with ProcessPoolExecutor(2) as processes:
        found = dict(zip(cases, processes.map(_measure, cases), strict=True))
    rows = []
    for index, size in product(range(len(MODELS)), SIZES):
        all_calls, fewer = (found[index, size, floor, quick] for floor in FLOORS)
        left_over = [f"{fewer.calls / fewer.tasks:.2f}", f"{fewer.polls / fewer.tasks:.1f}", f"{fewer.mean:.2f} s"]
        measured = [f"{all_calls.calls / all_calls.tasks:.2f}", f"{all_calls.polls / all_calls.tasks:.1f}", f"{all_calls.mean:.2f} s"]
        rows.append([f"{MODELS[index].name}, {size}", *measured, f"{all_calls.quantile(0.99):.2f} s", *left_over])
    return Part("Calls about many tasks", NOTE, HEADER, rows)


def _measure(case: tuple[int, int, float, bool]) -> Measured:
    index, size, floor, quick = case
    simulation = PollingSimulation(MODELS[index], TASKS, CALLS, CadenceSettings(price_floor=floor), kinds=[KIND], batch=size)
    simulation.run(30 if quick else 90)
    return simulation.measure(20 if quick else 60)
