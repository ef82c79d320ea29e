"""What announcements are trusted with: their share and delay, what silence says about them, and the gap that follows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling import silence
from watcher.core.polling.announcements import LATE_S, LEAST_SHARE, MEMORY, Announcements, StatusAnnouncements
from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.duration_model import DurationModel
from watcher.core.polling.silence import LONGEST_S, NO_TRUST, Trust

STATUS = ("speaker-search", "IN_PROGRESS")
TASK_S = 14.0
"""The mean time in the status, in seconds."""
durations = st.lists(st.floats(0, 100), max_size=60)
ages = st.floats(0, 1000)
trusts = st.builds(Trust.of, st.floats(LEAST_SHARE, 0.99), st.floats(0, LATE_S))
lags = st.floats(0, 1e6)
evidence = st.lists(st.tuples(st.sampled_from(["hear", "miss", "time"]), lags), max_size=300)


def searches(seed: int = 1) -> DurationModel:
    """Durations of ten seconds and an exponential tail with a mean of four."""
    rng = random.Random(seed)
    return DurationModel(10 + rng.expovariate(1 / 4) for _ in range(256))


def announced(times: int, delay_s: float = 0.3) -> StatusAnnouncements:
    """What is known after so many transitions, each of them announced."""
    known = StatusAnnouncements()
    for _ in range(times):
        pass_time(known, TASK_S)
        known.learn_announced(delay_s)
    return known


def pass_time(known: StatusAnnouncements, seconds: float) -> None:
    """Let one task be in the status for so long. As in the watcher, time is counted in small parts."""
    for _ in range(int(2 * seconds)):
        known.pass_time(0.5)


# --- the rule --------------------------------------------------------------------------------------


@given(durations, ages, st.floats(0, 1000), st.floats(1e-3, 50))
def test_without_trust_the_rule_is_the_one_without_announcements(samples: list[float], s: float, width: float, price: float) -> None:
    """Neither the lag nor the gap differs in any bit."""
    model = DurationModel(samples)
    assert silence.accrued(model, s, s + width, NO_TRUST) == model.accrued(s, s + width)
    assert silence.gap(model, s, price, 0.2, 60, NO_TRUST) == model.gap(s, price, 0.2, 60)


@given(durations, ages, st.floats(0, 500), st.floats(0, 500), st.floats(0, 0.99))
def test_the_lag_grows_with_the_silence(samples: list[float], s: float, one: float, other: float, share: float) -> None:
    """With announcements that come at once, A(s, s) = 0 and A never falls, whatever their share."""
    model, (near, far) = DurationModel(samples), sorted((one, other))
    lag = [silence.accrued(model, s, s + t, Trust(share, 0.0)) for t in (0.0, near, far)]
    assert lag[0] == 0
    assert lag[1] <= lag[2] + 1e-6 * (1 + s + far)


@given(durations, ages, st.floats(0, 500), trusts)
def test_silence_never_makes_a_lag_longer(samples: list[float], s: float, width: float, trust: Trust) -> None:
    """Nothing announced is good news: the expected lag is at most the one without announcements, and that one up to their delay."""
    model = DurationModel(samples)
    silent, blind = silence.accrued(model, s, s + width, trust), model.accrued(s, s + width)
    assert 0 <= silent <= blind + 1e-6 * (1 + s + width)
    if width <= trust.wait_s:
        assert silent == pytest.approx(blind, rel=1e-6, abs=1e-6 * (1 + s))


@given(durations, ages, st.floats(1e-3, 50), trusts, st.sampled_from([(0.2, 60.0), (0.05, 3600.0), (5.0, 5.0)]))
def test_a_gap_is_within_its_bounds(samples: list[float], s: float, price: float, trust: Trust, bounds: tuple[float, float]) -> None:
    """Announcements never make a gap shorter, and never longer than half a minute."""
    model, (low, high) = DurationModel(samples), bounds
    gap, blind = silence.gap(model, s, price, low, high, trust), model.gap(s, price, low, high)
    assert blind <= gap <= max(blind, min(high, LONGEST_S))


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("price", [0.1, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("s", [0.0, 11.0, 16.0])
def test_a_gap_is_where_the_price_is_reached(share: float, price: float, s: float) -> None:
    """At the end of a gap the expected lag is the price, within the precision of a gap, and shortly before it is less."""
    model, trust = searches(), Trust.of(share, 0.3)
    gap = silence.gap(model, s, price, 0.2, 60, trust)
    if gap < LONGEST_S:
        assert silence.accrued(model, s, s + gap, trust) == pytest.approx(price, rel=0.05)
        assert silence.accrued(model, s, s + gap * 0.97, trust) < price


def integrated(model: DurationModel, s: float, t: float, share: float, arrived: Callable[[float], float]) -> float:
    """E[(t - T)+ | T > s, silent until t] by a numerical integral; `arrived` is P(D <= x)."""
    steps = 8000
    width, lag, silent = (t - s) / steps, 0.0, 1 - model.probability(t)
    for step in range(steps):
        age = s + (step + 0.5) * width
        mass = model.probability(s + (step + 1) * width) - model.probability(s + step * width)
        weight = mass * (1 - share * arrived(t - age))
        lag, silent = lag + weight * (t - age), silent + weight
    return lag / silent


@pytest.mark.parametrize(("s", "t"), [(0, 11), (0, 14), (11, 13), (11, 20), (14, 15), (14, 30)])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_the_lag_is_the_expected_lag_in_spite_of_the_silence(s: float, t: float, share: float) -> None:
    """A(s, t) agrees with a numerical integral: exactly for a constant delay, and nearly for an exponential one with the same E[D^2]."""
    model = searches()
    for delay_s in (0.1, 0.3, 2.0):
        trust = Trust.of(share, delay_s)
        constant = integrated(model, s, t, share, lambda x, wait=trust.wait_s: float(x >= wait))
        assert silence.accrued(model, s, t, trust) == pytest.approx(constant, rel=0.01, abs=1e-3)
        if delay_s < 1:  # short beside the time in which tasks end
            exponential = integrated(model, s, t, share, lambda x, mean=delay_s: -math.expm1(-x / mean))
            assert silence.accrued(model, s, t, trust) == pytest.approx(exponential, rel=0.2, abs=0.03)


class Even:
    """Durations that are even between 0 and 1,000 s."""

    def probability(self, t: float) -> float:
        return t / 1000

    def integral(self, t: float) -> float:
        return t * t / 2000

    def accrued(self, s: float, t: float) -> float:
        raise AssertionError

    def gap(self, s: float, price: float, low: float, high: float) -> float:
        raise AssertionError


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_an_exponential_delay_counts_by_its_second_moment(share: float) -> None:
    """Where the density is constant, the lag of what is not announced yet is that of the exponential delay, not of one that is its mean."""
    lag = silence.accrued(Even(), 100, 140, Trust.of(share, 2.0)) - (1 - share) * 40**2 / 2 / 900 / (1 - share * 40 / 900)
    assert lag == pytest.approx(share * 2.0**2 / 900 / (1 - share * 40 / 900), rel=0.05, abs=(1 - share) * 0.1)


def test_announcements_slower_than_the_polls_change_nothing() -> None:
    """A poll that is worth its price before an announcement could have arrived is not delayed."""
    model = searches()
    assert silence.gap(model, 12, 0.3, 0.2, 60, Trust.of(0.95, 4.0)) == model.gap(12, 0.3, 0.2, 60)
    assert silence.gap(model, 12, 0.3, 0.2, 60, Trust.of(0.95, 0.3)) > 2 * model.gap(12, 0.3, 0.2, 60)


# --- what is learned -------------------------------------------------------------------------------


@given(evidence)
def test_the_share_is_a_probability(events: list[tuple[str, float]]) -> None:
    """Whatever is announced, or is not, or is silent: p and its current value stay within 0 and 1, and the delay within its limit."""
    announcements = Announcements()
    for what, seconds in events:
        if what == "hear":
            announcements.learn_announced(*STATUS, seconds)
        elif what == "miss":
            announcements.learn_unannounced(*STATUS, seconds)
        else:
            announcements.pass_time({STATUS: 1}, seconds)
        for _, known in announcements:
            assert 0 <= known.current_share <= known.share < 1
            assert 0 <= known.delay_s <= LATE_S
            assert known.missing >= 0


def test_nothing_is_trusted_before_twenty_announcements() -> None:
    """Then trust grows, and with many it comes near 1, which it never reaches."""
    assert [bool(announced(times).trust.share) for times in (0, 10, 18, 20, 30)] == [False, False, False, True, True]
    assert 0.94 < announced(200).share < announced(2000).share < 0.993


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_the_share_and_the_delay_are_learned(share: float) -> None:
    """After 2,000 transitions, both are near the truth, although a part of the announcements comes after the poll."""
    known, rng = StatusAnnouncements(), random.Random(3)
    for _ in range(2000):
        pass_time(known, TASK_S)
        announced, lag, delay = rng.random() < share, rng.uniform(0, 4), rng.expovariate(1 / 0.5)
        if announced and delay < lag:
            known.learn_announced(delay)
        else:
            coming = known.learn_unannounced(lag)
            if announced:
                known.correct(coming, delay)
    assert known.share == pytest.approx(share, abs=0.1)
    assert known.delay_s == pytest.approx(0.5, rel=0.35)


def test_old_transitions_are_forgotten() -> None:
    """Three times the memory later, what was true before has no weight."""
    known = announced(500)
    for _ in range(3 * int(MEMORY)):
        known.learn_unannounced(60.0)
    assert known.share < 0.06
    for _ in range(3 * int(MEMORY)):
        known.learn_announced(0.3)
    assert known.share > 0.94


def test_a_transition_found_at_once_says_little() -> None:
    """Its announcement may still come: the later it was found, the more p falls."""
    shares = []
    for lag in (0.0, 0.1, 0.3, 1.0, 5.0):
        known = announced(300)
        known.learn_unannounced(lag)
        shares.append(known.share)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(announced(300).share, abs=1e-3)
    p, w = announced(300).share, 1 - math.exp(-1.0 / 0.3)
    assert announced(300).learn_unannounced(1.0) == pytest.approx(p * (1 - w) / (1 - p * w)), "one step of expectation maximization"


def test_an_announcement_after_the_poll_corrects_what_was_learned() -> None:
    """The transition then counts as announced, once, and the silence is over."""
    late, once = announced(100), announced(100)
    late.correct(late.learn_unannounced(2.0), 2.5)
    once.learn_announced(2.5)
    assert (late.share, late.announced, late.unannounced) == pytest.approx((once.share, once.announced, once.unannounced))
    assert late.delay_s > announced(100).delay_s
    assert late.missing == 0


def test_silence_ends_the_trust_and_an_announcement_restores_it() -> None:
    """After about seven announcements that should have come, none are waited for. The time of open tasks is the clock."""
    known = announced(300)
    shares = [known.current_share]
    for _ in range(12):
        pass_time(known, TASK_S)
        shares.append(known.current_share)
    assert shares == sorted(shares, reverse=True)
    assert shares[4] > 0.9 * known.share
    assert shares[10] < 0.1
    assert known.trust == NO_TRUST
    known.learn_announced(0.3)
    assert known.trust.share > 0.95


def test_without_open_tasks_silence_means_nothing() -> None:
    """A night without tasks costs no trust."""
    announcements = Announcements()
    for _ in range(100):
        announcements.pass_time({STATUS: 7}, 2.0)
        announcements.learn_announced(*STATUS, 0.3)
    before = announcements.trust(*STATUS)
    for _ in range(2):
        announcements.pass_time({("voice-tone", "IN_PROGRESS"): 9}, 86_400.0)
    assert announcements.trust(*STATUS) == before


def test_transitions_found_without_an_announcement_end_the_trust_sooner_than_they_are_learned() -> None:
    """Three in a row are enough where nearly all are announced; the share of the past is kept for when they come again."""
    known = announced(300)
    for _ in range(3):
        known.learn_unannounced(10.0)
    assert known.trust == NO_TRUST
    assert known.share > 0.9


def test_a_long_silence_does_not_slow_down_the_next_alarm() -> None:
    """After an outage of a day, trust ends as fast as before."""
    known = announced(300)
    pass_time(known, 86_400.0)
    known.learn_announced(0.3)
    for _ in range(12):
        pass_time(known, TASK_S)
    assert known.trust == NO_TRUST


def test_a_time_with_an_announcement_in_it_is_not_silent() -> None:
    """Time is counted twice a second, for all open tasks at once: that alone must not look like many missing announcements."""
    known = announced(300)
    known.pass_time(50 * TASK_S)
    assert known.missing == 0
    known.pass_time(50 * TASK_S)
    assert known.missing > 20


# --- the cadence -----------------------------------------------------------------------------------


def taught(settings: CadenceSettings | None = None) -> Cadence:
    """A cadence that has learned durations and announcements of a status."""
    cadence, rng = Cadence(settings or CadenceSettings()), random.Random(4)
    for n in range(300):
        cadence.learn(*STATUS, 10 + rng.expovariate(1 / 4), n / 4)
        cadence.announcements.pass_time({STATUS: 1}, TASK_S)
        cadence.announcements.learn_announced(*STATUS, 0.3)
    return cadence


def test_announcements_make_gaps_longer_in_their_status_only() -> None:
    """The gap of another status, and of a task that relies on none, stay as they are. With spare calls, too."""
    cadence = taught()
    blind = cadence.gap(*STATUS, 12.0, trust=NO_TRUST)
    assert cadence.gap(*STATUS, 12.0) > 2 * blind
    assert cadence.spare_gap(*STATUS, 12.0) > 2 * blind
    assert cadence.worth(*STATUS, 12.0, 5.0) < cadence.durations(*STATUS).accrued(12.0, 17.0)
    assert cadence.gap(STATUS[0], "IN_QUEUE", 12.0) == Cadence(CadenceSettings()).gap(STATUS[0], "IN_QUEUE", 12.0)


@pytest.mark.parametrize("type_", ["fixed", "backoff"])
def test_only_accrual_waits_for_announcements(type_: str) -> None:
    """A fixed interval is what the user asked for."""
    cadence = taught(CadenceSettings.model_validate({"type": type_}))
    assert cadence.trust(*STATUS) == NO_TRUST
    assert cadence.gap(*STATUS, 12.0, polls=1) == 5


def test_what_was_learned_survives_a_restart() -> None:
    """Share and delay; and a silence that had begun goes on."""
    cadence, restored = taught(), Cadence(CadenceSettings())
    for _ in range(2):
        cadence.announcements.pass_time({STATUS: 1}, 2 * TASK_S)
    restored.restore(cadence.dump())
    (known,), (copy,) = [each for _, each in cadence.announcements], [each for _, each in restored.announcements]
    assert known.missing > 1
    assert (copy.share, copy.delay_s, copy.missing) == pytest.approx((known.share, known.delay_s, known.missing), rel=1e-3)
    assert restored.gap(*STATUS, 12.0) == pytest.approx(cadence.gap(*STATUS, 12.0), rel=0.03)


@pytest.mark.parametrize(
    "announcements",
    ["5", "null", "[]", '{"speaker-search IN_PROGRESS": 5}', '{"speaker-search IN_PROGRESS": [1, 2]}', '{"x": [1, 2, 3, 4, 5]}',
     '{"speaker-search IN_PROGRESS": [NaN, 1, 1, 1, 1]}', '{"speaker-search IN_PROGRESS": [1e9, 1, 1, 1, 1]}',
     '{"speaker-search IN_PROGRESS": [1, -1, 1, 1, 1]}', '{"speaker-search IN_PROGRESS": ["a", 1, 1, 1, 1]}'],
)  # fmt: skip
def test_stored_announcements_that_cannot_be_read_are_ignored(announcements: str) -> None:
    """The rest of the text is used, and nothing is trusted."""
    cadence = Cadence(CadenceSettings())
    cadence.restore('{"price": 0.25, "samples": {}, "announcements": ' + announcements + "}")
    assert cadence.price == 0.25
    assert cadence.trust(*STATUS) == NO_TRUST
    assert 0 < cadence.gap(*STATUS, 12.0) <= 60
