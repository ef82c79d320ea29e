"""The least mean lag that any polling can reach with a given number of calls for each task, if the distribution is known.

Barlow, Hunter & Proschan ("Optimum checking procedures", J. SIAM 11, 1963) choose the ages of the polls so that the lag
plus a price for each poll is minimal. With W(s) the least cost still to come at age s, weighted by the probability to
reach s, with F the distribution function and G its integral,

    W(s) = min over t > s of  G(t) - G(s) - F(s)(t - s)  +  price * (1 - F(s))  +  W(t),

solved backwards over a grid of ages. The least lag with n polls is then the maximum over the price of W(0) - price * n
(Lagrange), and it is attained. Polls are at ages of the grid, and what comes after its end costs nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import accumulate, pairwise
from operator import add
from typing import Literal

from tests.benchmarks.distributions import Distribution, TaskModel

Solve = Callable[[float], float]
"""W(0) for a price."""


def bound(model: TaskModel, calls: float, submitted: Literal["id", "status"] = "id") -> float:
    """The least mean lag of a task in seconds, summed over its transitions, with this many calls for each task.

    `submitted`: what is known of a new task. With its id alone, the first look is one of the calls. A task that is in the
    queue needs no first look to know that; one that is running already has an undetected transition.
    """
    solve = _two_stages(model.queue, model.run) if model.queue else _one_stage(model.run, unseen=submitted == "id")
    low, high = 1e-3, 200.0
    ratio = (5**0.5 - 1) / 2  # golden section: W(0) - price * n is concave in the price
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = solve(a) - a * calls, solve(b) - b * calls
    while high - low > 2e-3 * high:
        if at_a < at_b:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = solve(b) - b * calls
        else:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = solve(a) - a * calls
    return max(at_a, at_b)


def rule(distribution: Distribution, calls: float) -> float:
    """The mean lag in seconds of the accrual rule with this many calls for each task.

    It knows the distribution, has one price, and never waits for a permit.
    """
    ages = _grid(distribution, 600)
    levels, areas = _integrated(distribution, ages)
    low, high = 1e-3, 200.0
    for _ in range(40):
        price = math.sqrt(low * high)
        low, high = (price, high) if _accrual(ages, levels, areas, price)[1] > calls else (low, price)
    return _accrual(ages, levels, areas, high)[0]


def _grid(distribution: Distribution, steps: int) -> list[float]:
    """Ages with equal shares of the tasks between them, none much more than a hundredth of its age (or of the mean) apart."""
    ages = [0.0]
    while ages[-1] < distribution.horizon:
        age, level = ages[-1], distribution.cdf(ages[-1])
        step = max(distribution.mean, age) / 80
        while step > distribution.mean / 2000 and distribution.cdf(age + step) - level > 1 / steps:
            step *= 0.7
        ages.append(age + step)
    return ages


def _accrual(ages: list[float], levels: list[float], areas: list[float], price: float) -> tuple[float, float]:
    """The mean lag and the calls of a task that is polled whenever its expected lag reaches the price."""
    lag, calls, seen = 0.0, 0.0, 0
    for i in range(1, len(ages)):
        accrued = areas[i] - areas[seen] - levels[seen] * (ages[i] - ages[seen])
        if accrued >= price * (1 - levels[seen]) or i == len(ages) - 1:
            lag, calls, seen = lag + accrued, calls + 1 - levels[seen], i
    return lag, calls


def _integrated(distribution: Distribution, ages: list[float]) -> tuple[list[float], list[float]]:
    """F and G at each age. Integrates by Simpson's rule."""
    levels, areas = [distribution.cdf(t) for t in ages], [0.0]
    for i in range(1, len(ages)):
        middle = distribution.cdf((ages[i] + ages[i - 1]) / 2)
        areas.append(areas[-1] + (ages[i] - ages[i - 1]) * (levels[i] + 4 * middle + levels[i - 1]) / 6)
    return levels, areas


def _one_stage(run: Distribution, *, unseen: bool) -> Solve:
    """Unseen: the first look is made at the age t at which t, the lag of the start, plus the lag of the end plus the price is least."""
    ages = _grid(run, 600)
    levels, areas = _integrated(run, ages)

    def solve(price: float) -> float:
        rest = _costs_to_come(ages, levels, areas, price)
        return min(age + area + price + later for age, area, later in zip(ages, areas, rest, strict=True)) if unseen else rest[0]

    return solve


def _two_stages(queue: Distribution, run: Distribution) -> Solve:
    """For ages at equal steps. A poll in the queue may find the task running, or ended: W of the run is part of W of the queue."""
    step = (queue.mean + run.mean) / 250
    n = int((queue.horizon + run.horizon) / 2 / step)
    ages = [i * step for i in range(n + 1)]
    waited, ran = [queue.cdf(t) for t in ages], [run.cdf(t) for t in ages]
    areas = [step * area for area in accumulate((ran[i] + ran[i + 1]) / 2 for i in range(n))]
    areas.insert(0, 0.0)

    def solve(price: float) -> float:
        of_run = _costs_to_come(ages, ran, areas, price)
        # a task that started this long before the poll: the lag of its start, that of its end, and the cost still to come
        started = [age + area + rest for age, area, rest in zip(ages, areas, of_run, strict=True)]
        started = [(a + b) / 2 for a, b in pairwise(started)]  # it started somewhere within its step
        rest: deque[float] = deque([0.0])
        costs: list[float] = []  # of the next poll at each later age, for a task that starts between now and then
        for i in range(n - 1, -1, -1):
            began = waited[i + 1] - waited[i]
            costs = [cost + began * later for cost, later in zip([0.0, *costs], started, strict=False)]
            rest.appendleft(min(map(add, costs, rest)) + price * (1 - waited[i]))
        return rest[0]

    return solve


def _costs_to_come(ages: list[float], levels: list[float], areas: list[float], price: float) -> list[float]:
    """W at each age."""
    best = len(ages) - 1
    rest = [0.0] * len(ages)
    for i in range(best - 1, -1, -1):
        age, level = ages[i], levels[i]
        # the cost satisfies the quadrangle inequality, so the best next poll after an earlier age is never later
        costs = [areas[j] - level * (ages[j] - age) + rest[j] for j in range(i + 1, best + 1)]
        least = min(costs)
        best = i + 1 + costs.index(least)
        rest[i] = least - areas[i] + price * (1 - level)
    return rest
