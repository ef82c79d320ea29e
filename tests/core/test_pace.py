"""How fast calls may go: the adaptive rate limiter."""

import heapq
import math
from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.pace import DROP, FLOOR, GROWTH, LOST, START, Pace, PaceSettings, Permit
from watcher.core.polling.pace_memory import SHARE


def pace_of(rate: float | None = None, burst: float = 1, at: float = 0.0) -> Pace:
    return Pace(PaceSettings(rate=rate, burst=burst), at)


def accepted_at(rate: float) -> tuple[Pace, float]:
    """A restored pace at which one call was accepted, and the time of that."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    pace.success(pace.take(1.0), 1.0)
    return pace, 1.0


class Service:
    """A simulated token bucket behind a round trip, called as fast as the pace allows."""

    def __init__(self, pace: Pace, quota: float, burst: float = 1, round_trip: float = 0.1) -> None:
        self.pace, self.quota, self.burst, self.round_trip = pace, quota, burst, round_trip
        self.now, self.tokens = 0.0, burst
        self.in_flight: list[tuple[float, int, Permit, bool]] = []
        self.called_at: list[float] = []

    def run(self, duration: float) -> tuple[int, int]:
        """The numbers of calls accepted and throttled in this time."""
        until, counts = self.now + duration, [0, 0]
        while True:
            allowed = self.now + self.pace.wait(self.now)
            if min(allowed, self.in_flight[0][0] if self.in_flight else math.inf) > until:
                self._pass(until)
                return counts[1], counts[0]
            if self.in_flight and self.in_flight[0][0] <= allowed:
                at, _, permit, good = heapq.heappop(self.in_flight)
                self._pass(at)
                (self.pace.success if good else self.pace.throttled)(permit, self.now)
                continue
            self._pass(allowed)
            good = self.tokens >= 1
            self.tokens -= good
            counts[good] += 1
            self.called_at.append(self.now)
            heapq.heappush(self.in_flight, (self.now + self.round_trip, len(self.called_at), self.pace.take(self.now), good))

    def _pass(self, at: float) -> None:
        self.tokens = min(self.burst, self.tokens + max(0.0, at - self.now) * self.quota)
        self.now = max(self.now, at)


@given(
    st.floats(0.5, 50),
    st.floats(1, 20),
    st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=120),
)
def test_permits_never_exceed_the_configured_rate(rate: float, burst: float, answers: list[tuple[float, bool]]) -> None:
    """Whatever the answers are and however long the caller pauses, any time t has at most rate x t + burst calls."""
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


def test_it_starts_at_one_call_per_second_and_grows_with_each_success() -> None:
    """By half a call per second for each success until the first throttled call, and by small steps after that."""
    pace, now = pace_of(), 0.0
    assert pace.rate == START
    for n in range(1, 20):
        now += pace.wait(now)
        pace.success(pace.take(now), now)
        assert pace.rate == pytest.approx(START + n / 2)
    now += pace.wait(now)
    assert pace.throttled(pace.take(now), now)
    lowered = pace.rate
    now += pace.wait(now)
    pace.success(pace.take(now), now)
    assert GROWTH <= pace.rate - lowered < 2 * GROWTH


def test_growth_speeds_up_with_the_successes_since_the_last_cut() -> None:
    """The k-th success in a row raises the rate by c (1 + min(x³, 50)), where x = k c / (d √r)."""
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
def test_a_cut_is_proportional_to_the_root_of_the_rate(rate) -> None:
    """A throttled call lowers the rate r to r - d √r."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    pace.throttled(pace.take(1.0), 1.0)
    assert pace.rate == pytest.approx(rate - DROP * math.sqrt(rate))


def test_calls_in_flight_at_a_cut_cause_no_further_cut() -> None:
    """They were made at the old rate; the first call that was made after the cut may cut again."""
    pace = pace_of(burst=10)
    pace.restore(10.0, 0.0)
    flight = [pace.take(10.0 + k / 100) for k in range(5)]
    assert [pace.throttled(permit, 10.5) for permit in flight] == [True, False, False, False, False]
    assert pace.rate == pytest.approx(10 - DROP * math.sqrt(10))
    assert pace.throttles == 5
    assert pace.throttled(pace.take(11.0), 11.1)


def test_only_a_call_that_had_to_wait_raises_the_rate() -> None:
    """A success after an idle minute shows nothing about the rate."""
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
    """Neither a success, nor a restored rate, nor the rate of other replicas exceeds it."""
    pace = pace_of(rate)
    pace.restore(1000, 0.0)
    assert pace.rate == rate
    pace.join(1000, 0.0)
    assert pace.rate == rate
    service = Service(pace, quota=1000, burst=1000)
    service.run(30 / rate)
    assert pace.rate == rate


@pytest.mark.parametrize("rate", [0.01, 0.4, 7.0, 200.0])
def test_a_configured_rate_is_used_from_the_start(rate) -> None:
    """It is a grant, so there is no search for it: the first calls go at that rate."""
    pace, now = pace_of(rate), 0.0
    assert pace.rate == rate
    for _ in range(5):
        now += pace.wait(now)
        pace.take(now)
    assert now == pytest.approx(4 / rate)


@pytest.mark.parametrize("rate", [0.9, 50.0])
def test_a_configured_rate_is_known_and_not_searched_for(rate) -> None:
    """After a throttled call, each success takes a small step, also where the rate is lower than that of a start without one."""
    pace = pace_of(rate)
    pace.throttled(pace.take(0.0), 0.1)
    before, now = pace.rate, 0.1 + 1 / pace.rate
    assert before < rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


@pytest.mark.parametrize("earlier", [0.2, 3.0, 49.0])
def test_a_configured_rate_counts_more_than_what_an_earlier_process_found(earlier) -> None:
    """What was found may be old: the quota was raised since, or the other client is gone."""
    pace = pace_of(50)
    pace.restore(earlier, 0.0)
    assert pace.rate == 50
    pace.throttled(pace.take(0.0), 0.1)
    before, now = pace.rate, 0.1 + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


@pytest.mark.parametrize("rate", [25, 200])
def test_a_configured_rate_above_the_quota_is_corrected_soon(rate) -> None:
    """Within a minute most of the quota is used, and few calls are throttled."""
    service = Service(pace_of(rate), quota=20, burst=20)
    service.run(60)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 20 * 60
    assert throttled < 0.05 * accepted


def test_a_configured_rate_is_searched_for_once_it_is_lost() -> None:
    """If the quota is 0 at the start, calls become rare all the same, and the rate is found in large steps once the quota is there."""
    service = Service(pace_of(50), quota=0, burst=0)
    service.run(120)
    assert service.pace.rate == pytest.approx(FLOOR)
    assert service.pace.refused_from_the_start
    service.quota = service.burst = 100
    service.run(90)
    assert service.pace.rate == 50


def test_a_burst_may_go_at_once_after_a_pause() -> None:
    """As many calls as `burst` says go at once, then one every 1/r seconds."""
    pace = pace_of(1.0, burst=5)
    waits = []
    for _ in range(6):
        waits.append(pace.wait(100.0))
        pace.take(100.0)
    assert waits == [0, 0, 0, 0, 0, 1.0]


def test_a_quota_of_0_costs_a_call_every_half_minute() -> None:
    """After a few throttled calls, one call goes every 30 s, and it is known that every call was throttled."""
    pace = pace_of()
    service = Service(pace, quota=0, burst=0)
    _, throttled = service.run(120)
    assert throttled <= 12
    assert pace.rate == pytest.approx(FLOOR)
    assert pace.refused_from_the_start
    assert service.run(3000) == (0, 100)


def test_a_quota_that_is_raised_from_0_is_found() -> None:
    """Within minutes of the first accepted call the rate is near the quota, and not every call since the start was throttled."""
    service = Service(pace_of(), quota=0, burst=0)
    service.run(600)
    service.quota = service.burst = 20
    service.run(150)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 20 * 60
    assert throttled < 0.05 * accepted
    assert not service.pace.refused_from_the_start


def test_a_quota_that_is_gone_for_a_minute_is_noticed() -> None:
    """A quota that throttles every call counts as unusable after a minute, and no longer once a call is accepted."""
    service = Service(pace_of(), quota=20, burst=20)
    service.run(100)
    service.quota = service.burst = 0
    service.run(55)
    assert not service.pace.refused_for_long(service.now)
    service.run(60)
    assert service.pace.refused_for_long(service.now)
    assert not service.pace.refused_from_the_start
    service.quota = service.burst = 20
    service.run(60)
    assert not service.pace.refused_for_long(service.now)


@pytest.mark.parametrize(("gone", "within"), [(20, 20), (600, 20), (4 * 3600, 120)])
@pytest.mark.parametrize("quota", [5, 20, 100])
def test_a_quota_that_was_gone_is_found_again(quota, gone, within) -> None:
    """Soon after it is back, most of it is used, however long no call was accepted: within two minutes even from the lowest rate."""
    service = Service(pace_of(), quota, burst=quota)
    service.run(200)
    service.quota = service.burst = service.tokens = 0
    service.run(gone)
    service.quota = service.burst = quota
    service.run(within)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * quota * 60
    assert throttled < 0.05 * accepted


@pytest.mark.parametrize("restored", [0.5, 3.75, 25.0, 200.0])
def test_a_restart_while_the_quota_is_gone_finds_it_again(restored) -> None:
    """When the restored rate is throttled from the first call on, the rate is searched for in large steps."""
    pace = pace_of(25)
    pace.restore(restored, 0.0)
    service = Service(pace, quota=0, burst=0)
    service.run(120)
    service.quota = service.burst = 50
    service.run(90)
    assert service.pace.rate > 0.85 * 25


@pytest.mark.parametrize(("cuts", "step"), [(1, GROWTH), (LOST - 1, GROWTH), (LOST, 0.5), (LOST + 3, 0.5)])
def test_a_rate_is_lost_when_nothing_is_accepted_between_several_cuts(cuts, step) -> None:
    """A few cuts in a row mean too many calls; five mean that the quota is gone, and the next success takes a large step."""
    pace, now = accepted_at(100.0)
    for _ in range(cuts):
        now += 2 / pace.rate
        assert pace.throttled(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before == pytest.approx(step, rel=0.01)


def test_one_accepted_call_between_cuts_keeps_the_rate_from_being_lost() -> None:
    """When three of four calls are throttled, the rate falls, and every step up is a small one."""
    pace, now = accepted_at(1000.0)
    for k in range(40):
        now += 1 / pace.rate
        before = pace.rate
        if k % 4 == 3:
            pace.success(pace.take(now), now)
        else:
            pace.throttled(pace.take(now), now)
        assert pace.rate - before < 2 * GROWTH


def test_calls_in_flight_at_a_cut_do_not_count_toward_a_lost_rate() -> None:
    """Many calls in flight that are throttled make one cut, and after a second one the next success takes a small step."""
    pace, now = accepted_at(100.0)
    for permit in [pace.take(now + n / 100) for n in range(2 * LOST)]:
        pace.throttled(permit, now + 1)
    now += 1 + 1 / pace.rate
    pace.throttled(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


def test_a_search_for_a_lost_rate_ends_with_the_first_throttle() -> None:
    """From then on, each success takes a small step, as after the start."""
    pace, now = accepted_at(100.0)
    for good in (*[False] * LOST, True, True, False):
        now += 1 / pace.rate
        (pace.success if good else pace.throttled)(pace.take(now), now)
    before, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


@pytest.mark.parametrize(("quota", "round_trip"), [(5, 0.1), (20, 0.1), (20, 1.0), (200, 0.1)])
def test_the_rate_stays_close_below_the_quota(quota, round_trip) -> None:
    """In steady state, nine tenths of the quota are used and few calls are throttled."""
    service = Service(pace_of(), quota, burst=quota, round_trip=round_trip)
    service.run(300)
    accepted, throttled = service.run(300)
    assert accepted > 0.9 * quota * 300
    assert throttled < 0.03 * accepted


def test_the_rate_follows_a_quota_that_is_halved_and_restored() -> None:
    """The rate falls with the quota and rises with it."""
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


def test_a_burst_of_throttling_leaves_a_quarter_of_the_rate() -> None:
    """After a long time at a rate, half a minute of throttling leaves a quarter of it, and it recovers."""
    service = Service(pace_of(20), quota=1000, burst=1000)
    service.run(120)
    service.quota = service.burst = service.tokens = 0
    service.run(30)
    assert service.pace.rate == pytest.approx(SHARE * 20, rel=0.1)
    service.quota = service.burst = 1000
    service.run(120)
    assert service.pace.rate > 0.9 * 20


def test_a_rate_that_is_tried_is_not_searched_for() -> None:
    """Where most calls are throttled, the rate goes down to the one that is accepted, and from there up in small steps."""
    service = Service(pace_of(40), quota=1000, burst=1000)
    service.run(10)
    pace, now, n = service.pace, service.now, 0
    while pace.rate > 0.9 * SHARE * 40:
        now, n = now + 1 / pace.rate, n + 1
        (pace.success if n % 20 == 0 else pace.throttled)(pace.take(now), now)
        assert n < 1000
    tried, now = pace.rate, now + 1 / pace.rate
    pace.success(pace.take(now), now)
    assert tried < 2
    assert pace.rate - tried < 2 * GROWTH


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf])
def test_a_stored_value_that_is_no_rate_is_ignored(rate) -> None:
    """The rate is that of the start."""
    pace = pace_of()
    pace.restore(rate, 0.0)
    assert pace.rate == START


@pytest.mark.parametrize(("stored", "rate"), [(8.5, 8.5), (0.0, FLOOR), (-3.0, FLOOR)])
def test_it_continues_at_the_stored_rate(stored, rate) -> None:
    """But never below the lowest rate."""
    pace = pace_of()
    pace.restore(stored, 0.0)
    assert pace.rate == rate


def test_a_stored_rate_that_is_far_too_high_is_corrected_soon() -> None:
    """A few calls from a full bucket do not count as an accepted rate, and the present quota is found within a minute."""
    pace = pace_of()
    pace.restore(200, 0.0)
    service = Service(pace, quota=20, burst=20)
    service.run(60)
    accepted, throttled = service.run(60)
    assert accepted > 0.85 * 20 * 60
    assert throttled < 0.05 * accepted


def test_no_second_has_far_more_calls_than_the_quota() -> None:
    """Once the rate is found, this also holds without a configured rate."""
    service = Service(pace_of(), quota=20, burst=20)
    service.run(60)
    began = len(service.called_at)
    service.run(120)
    calls = service.called_at[began:]
    assert max(bisect_right(calls, at + 1) - k for k, at in enumerate(calls)) <= 26


# --- replicas --------------------------------------------------------------------------------------


def test_blending_brings_replicas_together() -> None:
    """Each moves halfway to the mean of all, so after a few rounds the rates are equal and their sum is unchanged."""
    paces = [pace_of() for _ in range(3)]
    for pace, rate in zip(paces, (2.0, 5.0, 11.0), strict=True):
        pace.restore(rate, 0.0)
    for beat in range(1, 12):
        mean = sum(pace.rate for pace in paces) / 3
        for pace in paces:
            pace.blend(mean, 5.0 * beat)
    assert [pace.rate for pace in paces] == pytest.approx([6.0] * 3, rel=1e-3)


@pytest.mark.parametrize("mean", [math.nan, math.inf, 0.0, -3.0])
def test_a_mean_that_is_no_rate_is_ignored(mean) -> None:
    """What other replicas write is checked before it is used."""
    pace = pace_of()
    pace.restore(5.0, 0.0)
    pace.blend(mean, 1.0)
    assert pace.rate == 5.0


def test_blending_never_lifts_the_rate_above_the_configured_one() -> None:
    """The ceiling holds, whatever the mean of the replicas is."""
    pace = pace_of(rate=10)
    pace.blend(1000.0, 1.0)
    assert pace.rate == 10


def test_a_configured_rate_is_divided_from_the_start() -> None:
    """Each replica starts at its share, and has the whole rate when it is alone."""
    pace = pace_of(rate=30)
    pace.share(3, 0.0)
    assert pace.rate == pace.ceiling == 10
    pace.share(1, 1.0)
    assert pace.rate == pace.ceiling == 30


def test_a_replica_joins_at_the_rate_that_the_others_found() -> None:
    """It is what the service allows now, so it counts more than a configured rate, and it is not searched for."""
    pace = pace_of(rate=30)
    pace.share(3, 0.0)
    pace.join(0.8, 0.0)
    assert pace.rate == 0.8
    pace.throttled(pace.take(1.0), 1.0)
    before = pace.rate
    pace.success(pace.take(3.0), 3.0)
    assert pace.rate - before < 2 * GROWTH


def test_a_configured_rate_is_not_searched_for_after_blending() -> None:
    """Where the other replicas found a lower one, each success takes a small step up from it."""
    pace = pace_of(rate=30)
    pace.take(0.0)
    pace.blend(10.0, 0.0)
    before, now = pace.rate, 1 / pace.rate
    assert before == 20
    pace.success(pace.take(now), now)
    assert pace.rate - before < 2 * GROWTH


def test_the_highest_accepted_rate_is_divided_with_the_rate() -> None:
    """What one process had alone is not the floor of each of four replicas."""
    service = Service(pace_of(40), quota=1000, burst=1000)
    service.run(10)
    service.pace.share(4, service.now)
    service.quota = service.burst = service.tokens = 0
    service.run(20)
    assert service.pace.rate == pytest.approx(SHARE * 10, rel=0.1)


@pytest.mark.parametrize("mean", [math.nan, math.inf])
def test_a_rate_of_others_that_is_no_rate_is_not_joined(mean) -> None:
    """The rate stays as it was."""
    pace = pace_of(rate=30)
    pace.join(mean, 0.0)
    assert pace.rate == 30
