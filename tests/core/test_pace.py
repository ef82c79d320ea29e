"""How fast all calls may go."""

import heapq
import math
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.pace import DROP, FLOOR, GROWTH, LOST, MEMORY_SHARE, START, Pace, PaceSettings, Permit


def pace_of(rate: float | None = None, burst: float = 1, at: float = 0.0) -> Pace:
    return Pace(PaceSettings(rate=rate, burst=burst), at)


def accepted_at(rate: float) -> tuple[Pace, float]:
    """A pace of an earlier life at which one call was accepted, and the time of that."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    pace.success(pace.take(1.0), 1.0)
    return pace, 1.0


class Service:
    """A token bucket behind a round trip, asked as fast as the pace allows. Discrete events, no clock."""

    def __init__(self, pace: Pace, quota: float, burst: float = 1, round_trip: float = 0.1) -> None:
        self.pace, self.quota, self.burst, self.round_trip = pace, quota, burst, round_trip
        self.now, self.tokens = 0.0, burst
        self.under_way: list[tuple[float, int, Permit, bool]] = []
        self.asked: list[float] = []

    def run(self, duration: float) -> tuple[int, int]:
        """Calls accepted and throttled in this time."""
        until, counts = self.now + duration, [0, 0]
        while True:
            leave = self.now + self.pace.wait(self.now)
            if min(leave, self.under_way[0][0] if self.under_way else math.inf) > until:
                self._pass(until)
                return counts[1], counts[0]
            if self.under_way and self.under_way[0][0] <= leave:
                at, _, permit, good = heapq.heappop(self.under_way)
                self._pass(at)
                (self.pace.success if good else self.pace.throttled)(permit, self.now)
                continue
            self._pass(leave)
            good = self.tokens >= 1
            self.tokens -= good
            counts[good] += 1
            self.asked.append(self.now)
            heapq.heappush(self.under_way, (self.now + self.round_trip, len(self.asked), self.pace.take(self.now), good))

    def _pass(self, at: float) -> None:
        self.tokens = min(self.burst, self.tokens + max(0.0, at - self.now) * self.quota)
        self.now = max(self.now, at)


@given(
    st.floats(0.5, 50),
    st.floats(1, 20),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=120),
)
def test_permits_never_exceed_the_configured_rate(rate: float, burst: float, answers: list[tuple[float, bool]]) -> None:
    """Whatever is answered and however long callers pause, any time t sees at most rate x t + burst calls."""
    pace, now, permits = pace_of(rate, burst), 0.0, []
    for pause, good in answers:
        now += pause
        now += pace.wait(now)
        permit = pace.take(now)
        permits.append(now)
        (pace.success if good else pace.throttled)(permit, now)
        assert FLOOR <= pace.rate <= rate
    for k, begin in enumerate(permits):
        for n, end in enumerate(permits[k:], 1):
            assert n <= rate * (end - begin) + burst + 1e-6


def test_it_starts_at_one_a_second_and_grows_with_each_success() -> None:
    """Half a call a second for each success until the first throttle; then by small steps."""
    pace, now = pace_of(), 0.0
    assert pace.rate == START
    for n in range(1, 20):
        now += pace.wait(now)
        pace.success(pace.take(now), now)
        assert pace.rate == pytest.approx(START + n / 2)
    now += pace.wait(now)
    assert pace.throttled(pace.take(now), now)
    fallen = pace.rate
    now += pace.wait(now)
    pace.success(pace.take(now), now)
    assert GROWTH <= pace.rate - fallen < 2 * GROWTH


def test_growth_speeds_up_with_the_calm_since_the_last_throttle() -> None:
    """The k-th success in a row raises the rate by c (1 + min(x³, 50)), x = k c / (d √r)."""
    pace, now = pace_of(), 0.0
    pace.success(pace.take(now), now)
    now += pace.wait(now)
    pace.throttled(pace.take(now), now)
    for k in range(1, 200):
        now += pace.wait(now)
        before = pace.rate
        pace.success(pace.take(now), now)
        x = k * GROWTH / (DROP * math.sqrt(before))
        assert pace.rate - before == pytest.approx(GROWTH * (1 + min(x**3, 50)))


@pytest.mark.parametrize("rate", [4.0, 25.0, 100.0])
def test_a_throttle_cuts_in_proportion_to_the_root_of_the_rate(rate) -> None:
    """r - d √r."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    pace.throttled(pace.take(1.0), 1.0)
    assert pace.rate == pytest.approx(rate - DROP * math.sqrt(rate))


def test_a_throttle_cuts_once_for_each_flight_of_calls() -> None:
    """Calls under way when the rate was cut tell nothing new; the first that left after it does."""
    pace = pace_of(burst=10)
    pace.restore(10.0, 0.0)
    flight = [pace.take(10.0 + k / 100) for k in range(5)]
    assert [pace.throttled(permit, 10.5) for permit in flight] == [True, False, False, False, False]
    assert pace.rate == pytest.approx(10 - DROP * math.sqrt(10))
    assert pace.throttles == 5
    assert pace.throttled(pace.take(11.0), 11.1)


def test_a_success_tells_of_a_higher_rate_only_where_the_rate_was_the_limit() -> None:
    """A call after an idle minute proves nothing about the rate."""
    pace = pace_of()
    idle = pace.take(60.0)
    assert not idle.limited
    pace.success(idle, 60.0)
    assert pace.rate == START
    limited = pace.take(60.0 + pace.wait(60.0))
    assert limited.limited
    pace.success(limited, 61.0)
    assert pace.rate > START


@pytest.mark.parametrize("rate", [1.0, 0.01, 7.0])
def test_the_configured_rate_is_a_ceiling(rate) -> None:
    """Neither the start, nor success, nor an earlier life goes beyond it."""
    pace = pace_of(rate)
    assert pace.rate == min(rate, START)
    pace.restore(1000, 0.0)
    assert pace.rate == rate
    service = Service(pace, quota=1000, burst=1000)
    service.run(30 / rate)
    assert pace.rate == rate


def test_a_burst_may_go_at_once_after_a_pause() -> None:
    """As many calls as `burst` says, then one each 1/r s."""
    pace = pace_of(1.0, burst=5)
    waits = []
    for _ in range(6):
        waits.append(pace.wait(100.0))
        pace.take(100.0)
    assert waits == [0, 0, 0, 0, 0, 1.0]


def test_a_quota_of_nothing_costs_a_call_each_half_minute() -> None:
    """After a few throttles one call each 30 s goes, and it is known that every call was refused."""
    pace = pace_of()
    service = Service(pace, quota=0, burst=0)
    _, throttled = service.run(120)
    assert throttled <= 12
    assert pace.rate == pytest.approx(FLOOR)
    assert pace.refused_from_the_start
    assert service.run(3000) == (0, 100)


def test_a_quota_that_is_raised_from_nothing_is_found() -> None:
    """Within minutes of the first call that was accepted the rate is near the quota, and nothing is refused from the start any more."""
    service = Service(pace_of(), quota=0, burst=0)
    service.run(600)
    service.quota = service.burst = 20
    service.run(150)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 20 * 60
    assert throttled < 0.05 * accepted
    assert not service.pace.refused_from_the_start


@pytest.mark.parametrize(("gone", "within"), [(20, 20), (600, 20), (4 * 3600, 120)])
@pytest.mark.parametrize("quota", [5, 20, 100])
def test_a_quota_that_was_gone_is_found_again(quota, gone, within) -> None:
    """Soon after it is back most of it is used, however long nothing was accepted: two minutes even from the floor."""
    service = Service(pace_of(), quota, burst=quota)
    service.run(200)
    service.quota = service.burst = service.tokens = 0
    service.run(gone)
    service.quota = service.burst = quota
    service.run(within)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * quota * 60
    assert throttled < 0.05 * accepted


@pytest.mark.parametrize("noted", [0.5, 3.75, 25.0, 200.0])
def test_a_life_that_began_while_the_quota_was_gone_finds_it_again(noted) -> None:
    """A rate of an earlier life that is refused from the first call on is no rate to climb back to by small steps."""
    pace = pace_of(25)
    pace.restore(noted, 0.0)
    service = Service(pace, quota=0, burst=0)
    service.run(120)
    service.quota = service.burst = 50
    service.run(90)
    assert service.pace.rate > 0.85 * 25


@pytest.mark.parametrize(("cuts", "step"), [(1, GROWTH), (LOST - 1, GROWTH), (LOST, 0.5), (LOST + 3, 0.5)])
def test_a_rate_is_lost_when_nothing_is_accepted_between_several_cuts(cuts, step) -> None:
    """A few throttles in a row are too many calls, more are a quota that is gone: only then the next success is a start."""
    pace, now = accepted_at(100.0)
    for _ in range(cuts):
        now += 2 / pace.rate
        assert pace.throttled(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before == pytest.approx(step, rel=0.01)


def test_one_accepted_call_between_cuts_keeps_the_rate_from_being_lost() -> None:
    """Throttled three times out of four for as long as you like: the rate goes down, and every step up is a small one."""
    pace, now = accepted_at(1000.0)
    for k in range(40):
        now += 1 / pace.rate
        before = pace.rate
        if k % 4 == 3:
            pace.success(pace.take(now), now)
        else:
            pace.throttled(pace.take(now), now)
        assert pace.rate - before < 2 * GROWTH


def test_calls_under_way_at_a_cut_do_not_count_towards_a_lost_rate() -> None:
    """A whole flight of calls that is refused is one cut: after a second one the next success is a small step."""
    pace, now = accepted_at(100.0)
    for permit in [pace.take(now + n / 100) for n in range(2 * LOST)]:
        pace.throttled(permit, now + 1)
    now += 1 + 1 / pace.rate
    pace.throttled(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


def test_a_search_for_a_lost_rate_ends_with_the_first_throttle() -> None:
    """From there on by small steps, as after the start."""
    pace, now = accepted_at(100.0)
    for good in (*[False] * LOST, True, True, False):
        now += 1 / pace.rate
        (pace.success if good else pace.throttled)(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


@pytest.mark.parametrize(("quota", "round_trip"), [(5, 0.1), (20, 0.1), (20, 1.0), (200, 0.1)])
def test_it_sits_close_under_the_quota(quota, round_trip) -> None:
    """In steady state nine tenths of the quota are used and few calls are throttled."""
    service = Service(pace_of(), quota, burst=quota, round_trip=round_trip)
    service.run(300)
    accepted, throttled = service.run(300)
    assert accepted > 0.9 * quota * 300
    assert throttled < 0.03 * accepted


def test_it_follows_a_quota_that_is_halved_and_given_back() -> None:
    """The rate falls with the quota and finds it again."""
    service = Service(pace_of(), quota=20, burst=20)
    service.run(120)
    service.quota = 10
    service.run(20)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 10 * 60
    assert throttled < 0.05 * accepted
    service.quota = 20
    service.run(60)
    assert service.run(60)[0] > 0.85 * 20 * 60


def test_a_burst_of_throttling_does_not_take_all() -> None:
    """After long calm at a rate, half a minute of throttling leaves a quarter of it, and it comes back."""
    service = Service(pace_of(20), quota=1000, burst=1000)
    service.run(120)
    service.quota = service.burst = service.tokens = 0
    service.run(30)
    assert service.pace.rate == pytest.approx(MEMORY_SHARE * 20, rel=0.1)
    service.quota = service.burst = 1000
    service.run(120)
    assert service.pace.rate > 0.9 * 20


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf])
def test_a_note_that_is_no_rate_is_passed_over(rate) -> None:
    """The start stands."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    assert pace.rate == START


@pytest.mark.parametrize(("noted", "rate"), [(8.5, 8.5), (0.0, FLOOR), (-3.0, FLOOR)])
def test_it_goes_on_from_an_earlier_life(noted, rate) -> None:
    """From the rate that was noted, never below the floor."""
    pace = pace_of()
    pace.restore(noted, 0.0)
    assert pace.rate == rate


def test_a_rate_of_an_earlier_life_that_is_far_too_high_is_left_soon() -> None:
    """A few calls out of a full bucket are no rate that was accepted: the quota of today is found within a minute."""
    pace = pace_of()
    pace.restore(200, 0.0)
    service = Service(pace, quota=20, burst=20)
    service.run(60)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 20 * 60
    assert throttled < 0.05 * accepted


def test_no_window_of_a_found_rate_holds_a_storm() -> None:
    """Without a configured rate too, no second sees far more calls than the quota once it was found."""
    service = Service(pace_of(), quota=20, burst=20)
    service.run(60)
    began = len(service.asked)
    service.run(120)
    asked = service.asked[began:]
    assert max(bisect_right(asked, at + 1) - k for k, at in enumerate(asked)) <= 26


# --- replicas --------------------------------------------------------------------------------------


def test_blending_brings_replicas_together() -> None:
    """Half way to the mean of all: after a few heartbeats the rates are the same, and their sum is what it was."""
    paces = [pace_of() for _ in range(3)]
    for pace, rate in zip(paces, (2.0, 5.0, 11.0), strict=True):
        pace.restore(rate, 0.0)
    for beat in range(1, 12):
        mean = sum(pace.rate for pace in paces) / 3
        for pace in paces:
            pace.blend(mean, 5.0 * beat)
    assert [pace.rate for pace in paces] == pytest.approx([6.0] * 3, rel=1e-3)


@pytest.mark.parametrize("mean", [math.nan, math.inf, 0.0, -3.0])
def test_a_mean_that_makes_no_sense_is_not_blended_in(mean) -> None:
    """What other replicas write is not trusted blindly."""
    pace = pace_of()
    pace.restore(5.0, 0.0)
    pace.blend(mean, 1.0)
    assert pace.rate == 5.0


def test_blending_never_lifts_the_rate_above_the_configured_one() -> None:
    """The ceiling holds, whatever the others believe."""
    pace = pace_of(rate=10)
    pace.blend(1000.0, 1.0)
    assert pace.rate == 10
