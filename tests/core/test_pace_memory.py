"""How far the rate falls while calls are throttled: a quota that fell, and another client that knows no pace."""

from __future__ import annotations

import pytest

from tests.benchmarks.fleet import Client, Crowd, Fleet, Paced
from watcher.core.polling.pace_memory import HALF_LIFE_S, SHARE, PaceMemory


def fleet_of(quota: float, replicas: int = 1, seed: int = 1) -> Fleet:
    """Replicas that have found the quota."""
    clients: list[Client] = [Paced() for _ in range(replicas)]
    fleet = Fleet(quota, clients, seed=seed)
    fleet.run(300)
    return fleet


def measure(fleet: Fleet, replicas: int, seconds: float) -> tuple[float, float]:
    """The share of the quota that the replicas used in this time, and the share of their calls that was throttled."""
    fleet.reset_tally()
    fleet.run(seconds)
    used = sum(fleet.tally.accepted[:replicas]) / (fleet.quota * seconds)
    return used, fleet.tally.throttled_share(range(replicas))


# --- a quota that falls for good -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("before", "after", "replicas"), [(100, 5, 1), (100, 5, 4), (100, 20, 1), (100, 20, 4), (100, 12, 1), (20, 1, 1)])
def test_a_quota_that_fell_for_good_is_found_within_two_minutes(before, after, replicas, seed) -> None:
    """From then on at most one call in ten is throttled, and most of the quota is used."""
    fleet = fleet_of(before, replicas, seed)
    fleet.change_quota(after)
    fleet.run(120)
    used, throttled = measure(fleet, replicas, 200)
    assert throttled < 0.1
    assert used > 0.7


def test_a_quota_that_fell_twice_is_found() -> None:
    """What the first fall left is remembered as little as what was before it."""
    fleet = fleet_of(100)
    for quota in (10, 1):
        fleet.change_quota(quota)
        fleet.run(120)
    assert measure(fleet, 1, 300)[1] < 0.1


def test_a_quota_that_is_restored_after_a_fall_is_found() -> None:
    """Nothing holds the rate down."""
    fleet = fleet_of(100)
    fleet.change_quota(5)
    fleet.run(300)
    fleet.change_quota(100)
    fleet.run(300)
    assert measure(fleet, 1, 60)[0] > 0.95


# --- another client --------------------------------------------------------------------------------


@pytest.mark.parametrize(("rival", "replicas", "held"), [(1.0, 1, 0.2), (1.0, 4, 0.2), (1.5, 1, 0.13), (5.0, 1, 0.04)])
def test_a_client_without_a_pace_does_not_take_the_whole_quota(rival, replicas, held) -> None:
    """A quarter of the rate is held for an hour, as long as that client calls, and gets its part of the quota."""
    fleet = fleet_of(10, replicas)
    fleet.join(Crowd(rival * 10, fleet.now, 1))
    for _ in range(6):
        assert measure(fleet, replicas, 600)[0] > held


def test_a_quota_that_falls_beside_another_client_is_found() -> None:
    """What a trial found does not count forever: the next one finds that the quota fell."""
    fleet = fleet_of(20)
    rival = Crowd(30, fleet.now, 1)
    fleet.join(rival)
    fleet.run(900)
    rival.next = float("inf")
    fleet.change_quota(1)
    fleet.run(900)
    assert measure(fleet, 1, 300)[1] < 0.1


def test_the_rate_recovers_when_the_other_client_is_gone() -> None:
    """The whole quota is used within a minute."""
    fleet = fleet_of(20)
    rival = Crowd(60, fleet.now, 1)
    fleet.join(rival)
    fleet.run(900)
    rival.next = float("inf")
    fleet.run(60)
    assert measure(fleet, 1, 60)[0] > 0.9


# --- the memory itself -----------------------------------------------------------------------------


class Answers:
    """A memory of a rate of 40, and calls at the rate that it allows, of which the service throttles a share."""

    def __init__(self) -> None:
        self.memory, self.now = PaceMemory(0.0), 0.0
        self.memory.accepted(40.0, 0.0)
        self.rate = self.lowest = self.memory.limit_cut(40.0, 0.0, 0.0)

    def run(self, calls: int, accepted_in_ten: int) -> None:
        """Make calls, evenly spaced."""
        for n in range(calls):
            self.now += 1 / self.rate
            throttled = n % 10 >= accepted_in_ten
            rate = self.memory.note(self.rate, throttled=throttled, permitted=self.now, now=self.now)
            self.rate = self.rate if rate is None else rate
            if throttled:
                self.rate = self.memory.limit_cut(self.rate, 0.0, self.now)
            self.lowest = min(self.lowest, self.rate)


def test_no_cut_goes_below_a_quarter_of_the_highest_accepted_rate() -> None:
    """That quarter halves every ten minutes."""
    memory = PaceMemory(0.0)
    memory.accepted(40.0, 0.0)
    memory.accepted(20.0, 1.0)
    assert memory.limit_cut(12.0, 11.0, 0.0) == 11.0
    assert memory.limit_cut(12.0, 6.0, 0.0) == SHARE * 40
    assert memory.limit_cut(12.0, 1.0, HALF_LIFE_S) == pytest.approx(SHARE * 20)


def test_a_cut_never_raises_the_rate() -> None:
    """Other replicas may have lowered it below the quarter."""
    memory = PaceMemory(0.0)
    memory.accepted(40.0, 0.0)
    assert memory.limit_cut(3.0, 2.0, 0.0) == 3.0


def test_the_memory_is_divided_with_the_rate() -> None:
    """When replicas divide the calls, what one of them alone had accepted is divided too."""
    memory = PaceMemory(0.0)
    memory.accepted(40.0, 0.0)
    memory.scale(1 / 4)
    assert memory.limit_cut(10.0, 0.0, 0.0) == SHARE * 10


def test_a_trial_is_divided_with_the_rate() -> None:
    """Replicas that join during a trial divide the rate that is tried too."""
    answers = Answers()
    answers.run(105, accepted_in_ten=4)
    tried = answers.rate
    answers.memory.scale(1 / 2)
    assert tried < 5
    assert answers.memory.limit_cut(tried, 0.0, answers.now) == pytest.approx(tried / 2)


def test_a_trial_is_at_the_rate_that_is_accepted_at_the_floor() -> None:
    """With four of ten calls accepted at ten a second, a bit less than four a second is tried."""
    answers = Answers()
    answers.run(105, accepted_in_ten=4)
    assert answers.rate == pytest.approx(0.9 * 4, rel=0.1)


def test_a_trial_with_hardly_a_throttle_forgets_the_rate() -> None:
    """The quota fell, and the next cuts go down to a quarter of the rate that was tried."""
    answers = Answers()
    answers.run(105, accepted_in_ten=4)
    tried = answers.rate
    answers.run(200, accepted_in_ten=10)
    assert answers.memory.limit_cut(tried, 0.0, answers.now) == pytest.approx(SHARE * tried, rel=0.1)


def test_a_trial_with_as_many_throttles_returns_to_the_floor() -> None:
    """Another client takes the calls. The floor holds without fading, and the next trial is a while later."""
    answers = Answers()
    answers.run(105, accepted_in_ten=4)
    answers.run(100, accepted_in_ten=4)
    assert answers.rate == pytest.approx(SHARE * 40)
    ended = answers.now
    answers.run(500, accepted_in_ten=4)
    assert ended + 40 < answers.now < ended + 60
    assert answers.rate == pytest.approx(SHARE * 40)


def test_trials_become_rarer_while_each_finds_another_client() -> None:
    """The first verdict counts for a minute, the next one for two: a trial costs most of the calls that are accepted meanwhile."""
    answers, begun, trying = Answers(), [], False
    while len(begun) < 3:
        answers.run(10, accepted_in_ten=4)
        if not trying and answers.rate < 0.9 * SHARE * 40:
            begun.append(answers.now)
        trying = answers.rate < 0.9 * SHARE * 40
    assert begun[2] - begun[1] == pytest.approx(begun[1] - begun[0] + 60, abs=5)


@pytest.mark.parametrize("accepted_in_ten", [0, 10])
def test_no_trial_begins_where_nothing_or_everything_is_accepted(accepted_in_ten) -> None:
    """Where nothing is accepted there is no rate to try: the quota may be gone for a while, and be back as it was."""
    answers = Answers()
    answers.run(3000, accepted_in_ten)
    assert answers.lowest >= SHARE * 40 * 2 ** (-answers.now / HALF_LIFE_S) * 0.999


def test_a_few_throttles_at_the_floor_begin_no_trial() -> None:
    """A tenth of the calls costs less than a trial."""
    answers = Answers()
    answers.run(600, accepted_in_ten=9)
    assert answers.lowest >= SHARE * 40 * 2 ** (-answers.now / HALF_LIFE_S) * 0.999


def test_a_rate_that_grew_away_from_the_floor_is_not_tried() -> None:
    """The throttled calls of a short outage say nothing about the rate after it."""
    memory, now = PaceMemory(0.0), 0.0
    memory.accepted(40.0, 0.0)
    memory.limit_cut(12.0, 0.0, 0.0)
    for rate, throttled in [(10.0, True)] * 200 + [(20.0, False)] * 20 + [(20.0, True)]:
        now += 1 / rate
        assert memory.note(rate, throttled=throttled, permitted=now, now=now) is None


def test_calls_from_before_the_floor_do_not_count() -> None:
    """They were made at a higher rate."""
    memory = PaceMemory(0.0)
    memory.accepted(40.0, 0.0)
    memory.limit_cut(12.0, 0.0, 5.0)
    for n in range(1000):
        assert memory.note(10.0, throttled=n % 2 == 0, permitted=4.9, now=100.0) is None
