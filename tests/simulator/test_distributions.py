from __future__ import annotations

import math
import re
from random import Random
from statistics import fmean, median

import pytest

from watcher.simulator import Scenario
from watcher.simulator.distributions import parse_distribution, parse_durations


def draws(text: str, n: int = 4000) -> list[float]:
    distribution, rng = parse_distribution(text), Random(1)
    return [distribution.draw(rng) for _ in range(n)]


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
def test_each_distribution_has_the_mean_of_its_parameters(text: str, mean: float) -> None:
    """The mean of many draws is the mean that follows from the parameters."""
    assert fmean(draws(text)) == pytest.approx(mean, rel=0.07)


def test_the_first_parameter_of_a_lognormal_is_its_median() -> None:
    """Half of the draws of lognormal(10,0.8) lie below 10 s."""
    assert median(draws("lognormal(10,0.8)")) == pytest.approx(10, rel=0.06)


def test_a_duration_is_never_negative() -> None:
    """A normal distribution is cut at zero: no task ends before it begins."""
    assert min(draws("normal(0,5)")) == 0


def test_never_is_infinite() -> None:
    """`never` is an infinite duration, alone and in a sum."""
    assert draws("never", 1) == draws("10+never", 1) == [math.inf]


def test_distributions_with_equal_text_are_equal() -> None:
    """Spaces around the terms of a sum make no difference, so that scenarios can be compared."""
    assert parse_distribution("10 + exponential(4)") == parse_distribution("10+exponential(4)") != parse_distribution("10+exponential(5)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "unknown distribution"),
        ("gamma(1)", "lognormal(median,sigma)"),
        ("exponential", "exponential(mean)"),
        ("uniform(5)", "expected 2 parameters, got 1: uniform(least,most)"),
        ("uniform(a,b)", "must be numbers"),
        ("exponential(-4)", "mean cannot be -4"),
        ("exponential(nan)", "mean cannot be nan"),
        ("weibull(0,3)", "shape cannot be 0"),
        ("10+", "unknown distribution"),
        ("-3", "unknown distribution"),
    ],
)
def test_an_invalid_distribution_is_an_error_with_the_expected_form(text: str, expected: str) -> None:
    """The error for each mistake says what to write instead."""
    with pytest.raises(ValueError, match=re.escape(expected)):
        parse_distribution(text)


def test_durations_name_queue_and_run() -> None:
    """Queue and run are named, in any order; one distribution without a name is the run."""
    both = parse_durations("run=uniform(5,15), queue=lognormal(10,0.8)")
    assert (both.queue.text, both.run.text) == ("lognormal(10,0.8)", "uniform(5,15)")
    assert parse_durations("uniform(5,15)").run.text == "uniform(5,15)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("queue=3", "add run=DISTRIBUTION"),
        ("wait=3,run=3", "queue=DISTRIBUTION,run=DISTRIBUTION"),
        ("run=3,run=4", "each name at most one time"),
    ],
)
def test_invalid_durations_are_an_error_with_the_expected_form(text: str, expected: str) -> None:
    """The error for a missing, repeated or unknown part says what to write instead."""
    with pytest.raises(ValueError, match=expected):
        parse_durations(text)


def test_a_scenario_survives_json() -> None:
    """A scenario that is written as JSON and read again is equal, with its distributions as text."""
    scenario = Scenario(durations="queue=2,run=normal(12,0.8)", latency=0.1, faults={"503": 0.02})
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
