from __future__ import annotations

import math
import re
from random import Random
from statistics import fmean, median

import pytest

from watcher.simulator import Scenario
from watcher.simulator.distributions import parse_distribution, parse_durations


def draws(text: str, n: int = 4000) -> list[float]:
    law, dice = parse_distribution(text), Random(1)
    return [law.draw(dice) for _ in range(n)]


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("3", 3),
        ("fixed(3)", 3),
        ("uniform(5,15)", 10),
        ("normal(12, 0.8)", 12),
        ("exponential(4)", 4),
        ("10+exponential(4)", 14),
        ("weibull(2,12)", 12 * math.gamma(1.5)),
        ("lomax(3,10)", 5),
        ("bimodal", 0.7 * 4 + 0.3 * 40),
        ("bimodal(1,2,0.5)", 1.5),
        ("lognormal(10,0.8)", 10 * math.exp(0.32)),
    ],
)
def test_each_law_has_the_mean_that_it_says(text: str, mean: float) -> None:
    """The figures of a law mean what its usage says, so that its draws have the mean that follows from them."""
    assert fmean(draws(text)) == pytest.approx(mean, rel=0.07)


def test_the_first_figure_of_a_lognormal_is_its_median() -> None:
    """Half of the draws of lognormal(10,0.8) lie below 10 s."""
    assert median(draws("lognormal(10,0.8)")) == pytest.approx(10, rel=0.06)


def test_a_law_never_gives_less_than_nothing() -> None:
    """A normal law that reaches below zero is cut there: no task ends before it begins."""
    assert min(draws("normal(0,5)")) == 0


def test_never_is_for_ever() -> None:
    """`never` is a duration that does not end, by itself and within a sum."""
    assert draws("never", 1) == draws("10+never", 1) == [math.inf]


def test_laws_written_alike_are_equal() -> None:
    """Scenarios can be compared, and a law written with other spaces around the sum is the same."""
    assert parse_distribution("10 + exponential(4)") == parse_distribution("10+exponential(4)") != parse_distribution("10+exponential(5)")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no law of durations"),
        ("gamma(1)", "lognormal(median,sigma)"),
        ("exponential", "exponential(mean)"),
        ("uniform(5)", "2 are needed: uniform(least,most)"),
        ("uniform(a,b)", "must be numbers"),
        ("exponential(-4)", "mean cannot be -4"),
        ("exponential(nan)", "mean cannot be nan"),
        ("weibull(0,3)", "shape cannot be 0"),
        ("10+", "no law of durations"),
        ("-3", "no law of durations"),
    ],
)
def test_a_law_that_cannot_be_read_says_what_would_be_right(text: str, says: str) -> None:
    """Each mistake in a law is answered with the words that mend it."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_distribution(text)


def test_durations_name_the_queue_and_the_run() -> None:
    """Queue and run are told apart by name, in any order; a law alone is the run; commas inside a law are its own."""
    both = parse_durations("run=uniform(5,15), queue=lognormal(10,0.8)")
    assert (both.queue.text, both.run.text) == ("lognormal(10,0.8)", "uniform(5,15)")
    assert parse_durations("uniform(5,15)").run.text == "uniform(5,15)"


@pytest.mark.parametrize(
    ("text", "says"), [("queue=3", "add run=LAW"), ("wait=3,run=3", "queue=LAW,run=LAW"), ("run=3,run=4", "named once")]
)
def test_durations_that_cannot_be_read_say_what_would_be_right(text: str, says: str) -> None:
    """A missing, doubled or unknown part is answered with the form that is expected."""
    with pytest.raises(ValueError, match=says):
        parse_durations(text)


def test_a_scenario_goes_through_json_and_back() -> None:
    """Laws are text in a scenario's JSON, so that a scenario can be kept in a file."""
    scenario = Scenario(durations="queue=2,run=normal(12,0.8)", latency=0.1, faults={"503": 0.02})
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
