"""The least mean lag that any way of asking can reach at a given number of calls a task, knowing the law exactly.

Barlow, Hunter & Proschan ("Optimum checking procedures", J. SIAM 11, 1963) choose the ages of the looks so that lag plus
a price of each look is least. With W(s) the least cost still to come at age s, weighted by the chance to get there,

    W(s) = min over t > s of  G(t) - G(s) - F(s)(t - s)  +  price * (1 - F(s))  +  W(t),

solved backwards over a grid of ages. The least lag at n looks is then at least max over the price of W(0) - price * n
(Lagrange), and that is attained. Looks fall on the grid, and what lies beyond its end costs nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import accumulate, pairwise
from operator import add

from tests.benchmarks.laws import Distribution, SimulatedTask

Solve = Callable[[float], float]
"""W(0) for a price."""


def bound(life: SimulatedTask, calls: float) -> float:
    """Mean lag in seconds, summed over the transitions of a life, at this many calls a task."""
    solve = _two_stages(life.queue, life.run) if life.queue else _one_stage(life.run)
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


def _grid(law: Distribution, steps: int) -> list[float]:
    """Ages with equal shares of the tasks between them, none much more than a hundredth of its age (or of the mean) apart."""
    ages = [0.0]
    while ages[-1] < law.horizon:
        here, level = ages[-1], law.cdf(ages[-1])
        step = max(law.mean, here) / 80
        while step > law.mean / 2000 and law.cdf(here + step) - level > 1 / steps:
            step *= 0.7
        ages.append(here + step)
    return ages


def rule(law: Distribution, calls: float) -> float:
    """Mean lag in seconds of the accrual rule itself at so many calls a task: the law known, one price, no queue for permits."""
    ages = _grid(law, 600)
    levels, areas = _integrated(law, ages)
    low, high = 1e-3, 200.0
    for _ in range(40):
        price = math.sqrt(low * high)
        low, high = (price, high) if _looks(ages, levels, areas, price)[1] > calls else (low, price)
    return _looks(ages, levels, areas, high)[0]


def _looks(ages: list[float], levels: list[float], areas: list[float], price: float) -> tuple[float, float]:
    """Mean lag and calls of a task that is asked whenever its expected lag reaches the price."""
    lag, calls, seen = 0.0, 0.0, 0
    for i in range(1, len(ages)):
        accrued = areas[i] - areas[seen] - levels[seen] * (ages[i] - ages[seen])
        if accrued >= price * (1 - levels[seen]) or i == len(ages) - 1:
            lag, calls, seen = lag + accrued, calls + 1 - levels[seen], i
    return lag, calls


def _integrated(law: Distribution, ages: list[float]) -> tuple[list[float], list[float]]:
    """F and G at each age."""
    levels, areas = [law.cdf(t) for t in ages], [0.0]
    for i in range(1, len(ages)):
        middle = law.cdf((ages[i] + ages[i - 1]) / 2)
        areas.append(areas[-1] + (ages[i] - ages[i - 1]) * (levels[i] + 4 * middle + levels[i - 1]) / 6)
    return levels, areas


def _one_stage(law: Distribution) -> Solve:
    ages = _grid(law, 600)
    levels, areas = _integrated(law, ages)
    return lambda price: _rest(ages, levels, areas, price)[0]


def _two_stages(queue: Distribution, run: Distribution) -> Solve:
    """Looks in the queue at equal steps; one may find the task running, or ended: W of the run is folded into that of the queue."""
    step = (queue.mean + run.mean) / 250
    n = int((queue.horizon + run.horizon) / 2 / step)
    ages = [i * step for i in range(n + 1)]
    waited, ran = [queue.cdf(t) for t in ages], [run.cdf(t) for t in ages]
    areas = [step * area for area in accumulate((ran[i] + ran[i + 1]) / 2 for i in range(n))]
    areas.insert(0, 0.0)

    def solve(price: float) -> float:
        later = _rest(ages, ran, areas, price)
        # to find a task that began so long before the look: the lag of its start, that of its end, and the cost still to come
        found = [age + area + rest for age, area, rest in zip(ages, areas, later, strict=True)]
        found = [(a + b) / 2 for a, b in pairwise(found)]  # it began somewhere within its step
        rest: deque[float] = deque([0.0])
        costs: list[float] = []  # of the next look at each later age, for what begins between now and then
        for i in range(n - 1, -1, -1):
            began = waited[i + 1] - waited[i]
            costs = [cost + began * then for cost, then in zip([0.0, *costs], found, strict=False)]
            rest.appendleft(min(map(add, costs, rest)) + price * (1 - waited[i]))
        return rest[0]

    return solve


def _rest(ages: list[float], levels: list[float], areas: list[float], price: float) -> list[float]:
    """W at each age."""
    best = len(ages) - 1
    rest = [0.0] * len(ages)
    for i in range(best - 1, -1, -1):
        age, level = ages[i], levels[i]
        # the cost has the quadrangle inequality, so the next look after an earlier age is never later
        costs = [areas[j] - level * (ages[j] - age) + rest[j] for j in range(i + 1, best + 1)]
        least = min(costs)
        best = i + 1 + costs.index(least)
        rest[i] = least - areas[i] + price * (1 - level)
    return rest
