from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from watcher.simulator import Scenario
from watcher.simulator.faults import FAULTS, parse_faults, pick_fault
from watcher.simulator.quota import TokenBucket


def test_rates_are_read_by_name() -> None:
    """`NAME=RATE` becomes a share of calls."""
    assert parse_faults(["503=0.02", "reset = .5"]) == {"503": 0.02, "reset": 0.5}


@pytest.mark.parametrize("text", ["503", "503=", "503=two", "503=2%"])
def test_a_fault_without_a_rate_is_an_error_with_an_example(text: str) -> None:
    """The error for a text that is not NAME=RATE shows an example."""
    with pytest.raises(ValueError, match=r"such as 503=0\.02"):
        parse_faults([text])


def test_the_error_for_an_unknown_fault_lists_all_faults() -> None:
    """The error names every fault, on the command line and in a scenario."""
    for make in (lambda: parse_faults(["504=0.1"]), lambda: Scenario(faults={"504": 0.1})):
        with pytest.raises((ValueError, ValidationError)) as caught:
            make()
        assert all(name in str(caught.value) for name in FAULTS)


@pytest.mark.parametrize("rates", [{"503": 1.5}, {"503": -0.1}, {"503": float("nan")}, {"503": 0.6, "500": 0.6}])
def test_rates_are_shares(rates: dict[str, float]) -> None:
    """A rate outside 0..1, or rates that add up to more than 1, are invalid."""
    with pytest.raises(ValidationError):
        Scenario(faults=rates)


def test_each_fault_hits_its_share_of_the_calls() -> None:
    """Over evenly spread chances each fault is picked at its rate; `404` is never picked, because its rate is a share of tasks."""
    rates = {"503": 0.25, "reset": 0.5, "404": 0.9}
    assert Counter(pick_fault(rates, (n + 0.5) / 1000) for n in range(1000)) == {"503": 250, "reset": 500, None: 250}


def test_a_burst_is_limited() -> None:
    """Of many calls at one moment the bucket allows its burst, and later as many as time has refilled."""
    bucket = TokenBucket(20, 5)
    assert sum(bucket.take(100.0) for _ in range(50)) == 5
    assert sum(bucket.take(100.1) for _ in range(50)) == 2
    assert sum(bucket.take(200.0) for _ in range(50)) == 5


def test_a_steady_caller_at_the_quota_is_never_throttled() -> None:
    """All calls exactly at the rate are allowed, despite the rounding of times."""
    bucket = TokenBucket(3, 1)
    assert all(bucket.take(1.7e9 + n / 3) for n in range(1000))


def test_a_clock_that_steps_back_adds_no_tokens() -> None:
    """After a step back no token is added until time has passed again."""
    bucket = TokenBucket(1, 1)
    assert [bucket.take(at) for at in (100.0, 50.0, 50.5, 51.0)] == [True, False, False, True]


def test_without_a_quota_all_calls_are_allowed_and_with_a_quota_of_zero_none() -> None:
    """A quota of None is no limit; a quota of 0, as in a new AWS account, throttles the first call."""
    assert all(TokenBucket(None).take(0.0) for _ in range(1000))
    assert not TokenBucket(0).take(0.0)
