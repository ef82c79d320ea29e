"""What the tables of notifications are based on: the simulation with announcements, and the optimum. On virtual time."""

from __future__ import annotations

import pytest

from tests.benchmarks.hints import HintsSimulation, Means, blind_lag
from tests.benchmarks.hints_rule import CASES, PRICES_S, rows


def measured(share: float) -> Means:
    """60 tasks at a time, whose ends are announced 0.3 s after them."""
    simulation = HintsSimulation(share, 0.3, 1.0, seed=1, tasks=60)
    simulation.run(120)
    simulation.run(130)
    return Means.of(simulation.ended_within(120, 180))


def test_announcements_save_calls_and_lag() -> None:
    """When nearly all ends are announced, tasks take fewer calls and have much less lag, at the same price of a call."""
    blind, announced = measured(0.0), measured(0.97)
    assert 1 <= announced.calls < blind.calls - 0.3
    assert 0.25 < announced.lag < 0.4 * blind.lag


def test_stopped_announcements_leave_no_task_waiting() -> None:
    """The tasks that end in the minute after that have hardly more lag than tasks without announcements."""
    simulation = HintsSimulation(0.97, 0.3, 1.0, seed=1, tasks=60)
    simulation.run(150)
    simulation.stop_announcements()
    simulation.run(130)
    after = Means.of(simulation.ended_within(150, 210))
    assert after.lag < 1.25 * measured(0.0).lag


def test_the_rule_is_near_the_optimum_and_never_below_it() -> None:
    """It costs at most 2 % more for each share, delay and price; a rule that neglects the delay costs half as much again for long ones."""
    costs = [[float(cell) for cell in row[2:]] for row in rows()]
    assert len(costs) == len(CASES) * len(PRICES_S)
    for rule, exact, neglected, blind in costs:
        assert 0.9999 < rule < 1.025
        assert min(exact, neglected, blind) > 0.9999
    assert max(neglected for _, _, neglected, _ in costs) > 1.5


@pytest.mark.parametrize(("calls", "lag"), [(1.0, 8.0), (1.5, 4.0), (2.0, 2.0), (3.0, 2.0)])
def test_the_blind_lag_is_between_those_that_were_measured(calls: float, lag: float) -> None:
    """Geometric between the nearest two numbers of calls, and that of the nearest one beyond them."""
    assert blind_lag([Means(2.0, 2.0), Means(1.0, 8.0)], calls) == pytest.approx(lag)
