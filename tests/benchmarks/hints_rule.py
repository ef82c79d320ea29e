"""How near the rule for silence comes to the optimum, with a known distribution and known announcements.

Each gap ends in one call, that of an announcement or that of the rule. So the optimum has the form of `bound`, with another
lag of a gap from age s to t: with E[min(D, t - u)] in place of t - u for a change at u. D is exponential or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise, product
from typing import NamedTuple

from tests.benchmarks.distributions import Distribution, after
from watcher.core.polling.silence import Trust

STEP_S, LONGEST_S = 0.1, 50.0
CASES = ((0.5, 0.3), (0.8, 0.3), (0.95, 0.3), (0.95, 2.0), (0.95, 6.0))
"""The share that is announced, and the mean delay in seconds."""
PRICES_S = (0.1, 0.3, 1.0)
HEADER = ("announced, mean delay, price", "optimum", "rule", "exact integral", "delay neglected", "no notifications")
NOTE = """
The cost is the lag of a task plus the price times its calls, for 10 s + exp 4 with known F, p, and D. The table has the lowest cost, by
dynamic programming, and the cost of each rule divided by it. *Exact integral* is A with an exponential delay. *Delay neglected* assumes
that announcements come at once. *No notifications* is the rule of the watcher without them; the announcements still end its lag.
"""

Row = Sequence[float]
"""Of one age s, a value for each later age."""


class Gaps(NamedTuple):
    """For each age s and each later age t: the lag of the gap between them, and the expected lag at t by each rule."""

    lag: Sequence[Row]
    rules: Sequence[Sequence[Row]]
    """In the order of `HEADER`: of the watcher, with the exact integral, with the delay neglected, and without notifications."""


def rows() -> list[list[str]]:
    """A row for each case and price."""
    law = after(10, 4)
    ages = [step * STEP_S for step in range(int(LONGEST_S / STEP_S) + 1)]
    found = []
    for (share, delay_s), price in product(CASES, PRICES_S):
        if price == PRICES_S[0]:
            gaps = _gaps(law, ages, share, delay_s)
        levels = [law.cdf(age) for age in ages]
        best = _optimum(gaps.lag, levels, price)
        costs = [_cost(gaps.lag, rule, levels, price) / best for rule in gaps.rules]
        found.append([f"{share:.0%}, {delay_s:g} s, {price:g} s", f"{best:.2f} s", *(f"{cost:.3f}" for cost in costs)])
    return found


def _gaps(law: Distribution, ages: Sequence[float], share: float, delay_s: float) -> Gaps:
    levels = [law.cdf(age) for age in ages]
    areas = list(accumulate(((a + b) / 2 * STEP_S for a, b in pairwise(levels)), initial=0.0))
    steps = round(Trust.of(share, delay_s).wait_s / STEP_S)
    fade, half = math.exp(-STEP_S / delay_s), math.exp(-STEP_S / 2 / delay_s)
    columns: list[list[Row]] = [[] for _ in range(5)]
    for i, (age, before) in enumerate(zip(ages, levels, strict=True)):
        unheard = late = 0.0  # the integrals of f(u) e^(-(t-u)/d) and of f(u) (t-u) e^(-(t-u)/d) from s to t
        values: list[tuple[float, ...]] = []
        for j in range(i + 1, len(ages)):
            mass = levels[j] - levels[j - 1]
            late = (late + STEP_S * unheard) * fade + mass * STEP_S / 2 * half
            unheard = unheard * fade + mass * half
            unseen = areas[j] - areas[i] - before * (ages[j] - age)
            heard, left, m = levels[j] - before - unheard, 1 - before, max(i, j - steps)
            on_its_way = areas[j] - areas[m] - levels[m] * (ages[j] - ages[m])
            values.append(
                (
                    (1 - share) * unseen + share * delay_s * heard,
                    ((1 - share) * unseen + share * on_its_way) / (left - share * (levels[m] - before)),
                    ((1 - share) * unseen + share * late) / (left - share * heard),
                    (1 - share) * unseen / (left - share * (levels[j] - before)),
                    unseen / left,
                )
            )
        for column, row in zip(columns, zip(*values, strict=True) if values else [()] * 5, strict=True):
            column.append(row)
    return Gaps(columns[0], columns[1:])


def _optimum(lag: Sequence[Row], levels: Sequence[float], price: float) -> float:
    """The least cost from age 0 on."""
    rest = [0.0] * len(levels)
    for i in range(len(levels) - 2, -1, -1):
        rest[i] = min(map(sum, zip(lag[i], rest[i + 1 :], strict=True))) + price * (1 - levels[i])
    return rest[0]


def _cost(lag: Sequence[Row], rule: Sequence[Row], levels: Sequence[float], price: float) -> float:
    """The cost from age 0 on of polls wherever the expected lag reaches the price."""
    cost, seen, last = 0.0, 0, len(levels) - 1
    while seen < last:
        gap = next((n for n, accrued in enumerate(rule[seen]) if accrued >= price), last - seen - 1)
        cost += lag[seen][gap] + price * (1 - levels[seen])
        seen += gap + 1
    return cost
