"""What the tables rest on: the bound is a bound, the rule is near it, and a section replaces itself. Virtual time, nothing timed."""

from __future__ import annotations

import math
from random import Random
from statistics import mean

import pytest

from tests.benchmarks.bound import bound, rule
from tests.benchmarks.fleet import Fleet, Paced
from tests.benchmarks.lag import ACCRUAL
from tests.benchmarks.laws import LIVES, SimulatedTask, after
from tests.benchmarks.play import Play
from tests.benchmarks.table import Table, placed
from watcher.core.polling.cadence import CadenceSettings

SPEAKER_SEARCH = next(life for life in LIVES if life.name == "10 + exp 4")


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_each_law_draws_what_its_distribution_says(life) -> None:
    """Half of the draws are below the median, and their mean is the law's."""
    dice = Random(5)
    draws = sorted(life.run.draw(dice) for _ in range(20_000))
    for share in (0.1, 0.5, 0.9):
        assert life.run.cdf(draws[int(share * len(draws))]) == pytest.approx(share, abs=0.02)
    assert mean(draws) == pytest.approx(life.run.mean, rel=0.1)
    assert life.run.cdf(life.run.horizon) > 0.9999


@pytest.mark.parametrize("calls", [1.5, 2, 3, 5])
def test_the_bound_of_an_exponential_law_is_the_one_in_closed_form(calls) -> None:
    """Equal gaps g with 1/(1 - exp(-g/m)) looks, and a lag of g times that less m. A delay before it changes nothing."""
    gap = -4 * math.log(1 - 1 / calls)
    assert bound(SimulatedTask("", after(10, 4)), calls) == pytest.approx(gap * calls - 4, rel=0.02)
    assert rule(after(0, 4), calls) == pytest.approx(gap * calls - 4, rel=0.02)


@pytest.mark.parametrize("life", [life for life in LIVES if life.queue is None], ids=lambda life: life.name)
def test_the_rule_is_near_the_bound_and_not_below_it(life) -> None:
    """With the law known, at three calls a task: within a twentieth."""
    assert bound(life, 3) * 0.995 <= rule(life.run, 3) <= bound(life, 3) * 1.05


def test_the_whole_cadence_is_near_the_bound() -> None:
    """Learning from nothing under a hard quota of three calls a task, 400 speaker searches at a time; fixed intervals lag three times."""
    ours = Play(SPEAKER_SEARCH, 400, 3, ACCRUAL)
    ours.warm(200)
    fixed = Play(SPEAKER_SEARCH, 400, 3, CadenceSettings(type="fixed", every=5))
    fixed.warm(60)
    least = bound(SPEAKER_SEARCH, 3)
    assert ours.measure(60).mean < 1.15 * least
    assert fixed.measure(60).mean > 2.5 * least


def test_replicas_share_a_quota_that_is_halved() -> None:
    """Four replicas use the quota, throttled for one call in a hundred, in equal shares, and are down within 10 s of a halving."""
    fleet = Fleet(40, [Paced() for _ in range(4)])
    fleet.run(200)
    fleet.forget()
    fleet.run(200)
    assert sum(fleet.tally.accepted) > 0.98 * 40 * 200
    assert fleet.tally.throttled_share(range(4)) < 0.01
    assert fleet.tally.jain(range(4)) > 0.99
    fleet.change(20)
    assert fleet.run(60, lambda: fleet.rate < 22) < 10


def test_a_section_replaces_itself_and_no_other() -> None:
    """The document keeps what stands around."""
    table = Table("Title", "command", "Note.", ["a", "b"], [["1", "2"]])
    once = placed(placed("# Head\n", "one", table), "two", table)
    again = placed(once, "one", Table("Other", "command", "Note.", ["a"], [["1"]]))
    assert again.startswith("# Head\n\n<!-- begin one -->\n## Other\n")
    assert again.endswith(once[once.index("<!-- begin two -->") :])
