"""When to poll a task again: the accrual rule, its duration model and its price."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import REF, watch_of
from watcher.core.polling.cadence import (
    AGE_MAX_S,
    FIRST_LOOK_S,
    PRICE_MIN_S,
    SHARED_FLOOR_S,
    STEER_S,
    Cadence,
    CadenceSettings,
    Load,
)
from watcher.core.polling.duration_model import KNOTS, PRIOR_S, SAMPLES, DurationModel, Prior
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.silence import LONGEST_S, NO_TRUST, Trust
from watcher.kinds.kind import UsualDuration
from watcher.model import TaskRef

KIND = "speaker-search"
seconds = st.floats(0, 10_000, allow_subnormal=False)
models = st.lists(seconds, max_size=300).map(DurationModel)
ages = st.floats(0, 100_000, allow_subnormal=False)


def speaker_searches(seed=1, n=SAMPLES):
    """Durations of ten seconds and an exponential tail with a mean of four."""
    rng = random.Random(seed)
    return [10 + rng.expovariate(1 / 4) for _ in range(n)]


# --- the model -------------------------------------------------------------------------------------


@given(models, ages, ages)
def test_the_model_is_a_distribution(model: DurationModel, one: float, other: float) -> None:
    """F starts at 0 or above, never falls, and never reaches 1, because a task may always take longer."""
    early, late = sorted((one, other))
    assert 0 <= model.probability(early) <= model.probability(late) + 1e-12  # but for rounding
    assert model.probability(late) < 1


@given(models, st.floats(0, 20_000), st.floats(0, 20_000), st.floats(0, 20_000))
def test_accrued_lag_is_increasing_and_convex(model: DurationModel, s: float, one: float, other: float) -> None:
    """A(s, s) = 0; A grows with t, faster and faster, and never by more than the time that passes."""
    near, far = sorted((one, other))
    middle = (near + far) / 2
    lag = [model.accrued(s, s + t) for t in (near, middle, far)]
    tolerance = 1e-6 * (1 + s + far)
    assert model.accrued(s, s) == 0
    assert 0 <= lag[0] <= lag[1] + tolerance
    assert lag[1] <= lag[2] + tolerance
    assert lag[1] <= (lag[0] + lag[2]) / 2 + tolerance
    assert lag[2] <= far + tolerance


@pytest.mark.parametrize("samples", [[], [5.0], [5.0, 5.0, 5.0], [0.0, 1.0, 100.0], speaker_searches(n=40), speaker_searches()])
@pytest.mark.parametrize(("s", "t"), [(0, 3), (0, 30), (4.9, 5.1), (5, 60), (12, 14), (40, 100)])
def test_accrued_lag_is_the_expected_lag(samples, s, t) -> None:
    """A(s, t) agrees with a numerical integral of E[(t - T)+ | T > s] over F."""
    model, steps = DurationModel(samples), 20_000
    width = (t - s) / steps
    before = model.probability(s)
    mass = sum(model.probability(s + (k + 0.5) * width) - before for k in range(steps)) * width
    assert model.accrued(s, t) == pytest.approx(mass / (1 - before), rel=1e-2, abs=1e-4)


def test_accrued_lag_agrees_with_simulated_tasks() -> None:
    """With many samples, A(s, t) is near the mean lag of random tasks that take longer than s."""
    model = DurationModel(speaker_searches(seed=1))
    drawn = speaker_searches(seed=2, n=100_000)
    for s, t in ((0, 14), (11, 13), (12, 16)):
        alive = [duration for duration in drawn if duration > s]
        assert model.accrued(s, t) == pytest.approx(sum(max(0.0, t - d) for d in alive) / len(alive), rel=0.15)


def test_without_samples_the_model_is_the_prior() -> None:
    """F is t / (t + 30 s), so half of the tasks are assumed to have left the status after 30 s."""
    model = DurationModel()
    assert model.probability(PRIOR_S) == pytest.approx(0.5)
    assert model.integral(60) == pytest.approx(60 - PRIOR_S * math.log(3))


@pytest.mark.parametrize("n", [1, KNOTS, KNOTS + 1, SAMPLES, SAMPLES + 50])
def test_the_newest_samples_are_kept(n) -> None:
    """Of many samples the newest 256 are kept, and the weight of the prior falls to 3 %."""
    model = DurationModel(float(k) for k in range(n))
    assert model.samples == [float(k) for k in range(max(0, n - SAMPLES), n)]
    kept = len(model.samples)
    prior = 8 / (8 + kept)
    assert model.probability(n) == pytest.approx(1 - prior + prior * n / (n + PRIOR_S))


@given(models, st.floats(0, AGE_MAX_S), st.floats(1e-2, 100), st.sampled_from([(0.2, 60.0), (0.05, 3600.0), (15.0, 60.0), (5.0, 5.0)]))
def test_a_gap_is_where_the_price_is_reached(model: DurationModel, age: float, price: float, bounds: tuple[float, float]) -> None:
    """A gap between its bounds is where A equals the price; it is at a bound only when the price is reached before it or after it."""
    low, high = bounds
    gap = model.gap(age, price, low, high)
    assert low <= gap <= high
    slack = 0.06 + 0.003 * gap
    if gap < high:
        assert model.accrued(age, age + gap) >= price * 0.999, "except for rounding, which is visible at an age of a week"
    if gap > low + slack:
        assert model.accrued(age, age + gap - slack) < price


@given(models, ages, st.floats(1e-3, 50), st.floats(1, 100))
def test_a_higher_price_never_makes_a_gap_shorter(model: DurationModel, age: float, price: float, factor: float) -> None:
    """More lag must accrue before a call with a higher price."""
    shorter, longer = model.gap(age, price, 0.2, 60), model.gap(age, price * factor, 0.2, 60)
    assert shorter <= longer * (1 + 1e-9), "but for rounding"


@given(models, st.floats(0, 1000), st.floats(0, 1), st.floats(0, 100), st.floats(0, 100))
def test_the_lag_of_a_task_that_may_have_changed_lies_between_the_extremes(
    model: DurationModel, s: float, changed: float, one: float, other: float
) -> None:
    """With the chance that the task had changed at s already, the expected lag is between that of none and the time itself, and grows."""
    near, far = sorted((one, other))
    lag = [model.accrued(s, s + t, changed) for t in (near, far)]
    assert model.accrued(s, s + far) - 1e-9 <= lag[1] <= far + 1e-9
    assert lag[0] <= lag[1] + 1e-9


@given(models, st.floats(0, 1), st.floats(1e-2, 100))
def test_a_first_gap_is_where_the_price_is_reached(model: DurationModel, changed: float, price: float) -> None:
    """It accrues the price, unless it is the longest one."""
    gap = model.gap(0.0, price, 0.0, 60.0, changed)
    assert 0 <= gap <= 60
    if gap < 60:
        assert model.accrued(0.0, gap, changed) >= price * 0.999
        assert model.accrued(0.0, max(0.0, gap - 0.06 - 0.003 * gap), changed) < price


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_tasks_that_stay_for_ever_are_samples_at_infinity(share) -> None:
    """The samples' part of F ends at the share of the tasks that left the status."""
    model = DurationModel([5.0 + k % 10 for k in range(int(share * 200))] + [math.inf] * (200 - int(share * 200)))
    prior = 8 / 208
    assert model.probability(100) == pytest.approx((1 - prior) * share + prior * 100 / (100 + PRIOR_S))


def test_what_a_kind_declares_is_assumed_until_it_is_learned() -> None:
    """Without samples hardly any task is expected to leave the status before `at_least`, and half of them by the median."""
    model = DurationModel(prior=Prior(UsualDuration(10, 14)))
    assert model.probability(10) < 0.03
    assert model.probability(14) == pytest.approx(0.5, abs=0.05)
    assert model.integral(60) == pytest.approx(sum(model.probability(k / 100) for k in range(6000)) / 100, rel=1e-3)


def test_twenty_tasks_override_a_wrong_declaration() -> None:
    """A status that is declared to last 100 s and more, and lasts 5 s, is polled after 5 s when twenty tasks have shown it."""
    model = DurationModel([5.0 + k / 20 for k in range(20)], Prior(UsualDuration(100, 200)))
    assert model.gap(0.0, 0.5, 0.2, 60) < 8
    assert DurationModel(prior=Prior(UsualDuration(100, 200))).gap(0.0, 0.5, 0.2, 60) > 15


def test_calls_go_when_tasks_end() -> None:
    """When no sample is shorter than 10 s, the first call waits until about then, and the next ones follow closely."""
    model = DurationModel(speaker_searches())
    assert 9 < model.gap(0, 0.3, 0.2, 60) < 13
    assert model.gap(12, 0.3, 0.2, 60) < 3


# --- learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [math.nan, -math.inf, -0.001])
def test_a_number_that_is_no_duration_is_ignored(number) -> None:
    """It is neither learned from a task nor restored from stored samples."""
    model = DurationModel([number, 5.0])
    assert not model.add(number, 0.0)
    assert model.samples == [5.0]


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_at_most_five_samples_per_second_are_learned(pauses: list[float]) -> None:
    """However fast tasks end, at most 5 t + 5 durations are learned in any time t, so that a burst does not replace all samples."""
    model, now, taken = DurationModel(), 0.0, []
    for pause in pauses:
        now += pause
        if model.add(1.0, now):
            taken.append(now)
    for k, begin in enumerate(taken):
        for n, end in enumerate(taken[k:], 1):
            assert n <= 5 * (end - begin) + 5 + 1e-6


def test_fewer_than_five_samples_per_second_are_all_learned() -> None:
    """None is ignored, and a time that does not advance or steps back costs no credit."""
    model = DurationModel()
    assert all(model.add(1.0, now / 4) for now in range(100))
    assert model.add(1.0, 0.0)


def test_each_kind_and_status_has_its_own_model() -> None:
    """What is learned about one status changes no gap of another."""
    cadence = Cadence(CadenceSettings())
    before = cadence.gap("voice-tone", "IN_PROGRESS", 5.0)
    for now, duration in enumerate(speaker_searches()):
        assert cadence.learn(KIND, "IN_PROGRESS", duration, float(now))
    assert cadence.gap("voice-tone", "IN_PROGRESS", 5.0) == before
    assert cadence.gap(KIND, "IN_QUEUE", 5.0) == before
    assert cadence.gap(KIND, "IN_PROGRESS", 5.0) != before


@pytest.mark.parametrize("type_", ["fixed", "backoff"])
def test_only_accrual_learns(type_) -> None:
    """The other types keep no samples and no price."""
    cadence = Cadence(CadenceSettings(type=type_))
    assert not cadence.learn(KIND, "IN_PROGRESS", 10.0, 0.0)
    cadence.steer(wanted=1000, tasks=10, pace=1, lateness_s=100)
    assert cadence.price == 0


# --- gaps ------------------------------------------------------------------------------------------


def test_a_fixed_gap_is_the_same_for_every_task() -> None:
    """It is `every`, whatever the task, and never below the shortest gap."""
    cadence = Cadence(CadenceSettings(type="fixed", every=5, min_gap=0.2))
    assert [cadence.gap(KIND, status, age, polls=n) for status, age, n in ((None, 0, 1), ("IN_QUEUE", 900, 50))] == [5, 5]


def test_backoff_doubles_up_to_the_longest_gap() -> None:
    """It starts at `every` and is twice as long after each call, up to `max_gap`."""
    cadence = Cadence(CadenceSettings(type="backoff", every=5, max_gap=60))
    assert [cadence.gap(KIND, "IN_QUEUE", 0, polls=n) for n in (0, 1, 2, 3, 4, 5, 10_000)] == [5, 5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize("age", [12, 25, 200])
def test_a_status_that_most_tasks_never_leave_is_polled_seldom(age) -> None:
    """Of two statuses with the same durations, the one that only a fifth of the tasks leave is polled less often at every age."""
    cadence = Cadence(CadenceSettings(price_floor=0))
    for n in range(200):
        cadence.learn(KIND, "LEFT", 10.0 + n % 20, float(n))
        cadence.learn(KIND, "KEPT", 10.0 + n % 20 if n % 5 == 0 else math.inf, float(n))
    cadence.price = 0.5
    assert cadence.gap(KIND, "KEPT", age) > 1.2 * cadence.gap(KIND, "LEFT", age)


def test_a_first_look_is_priced() -> None:
    """The higher the price, the longer a task waits for the first look, and never longer than the time in which one that is missing
    must be noticed."""
    cadence, gaps = Cadence(CadenceSettings()), []
    for _ in range(100):
        cadence.first_looks.learn(KIND, "queue", False)
    for price in (0.1, 1.0, 10.0, 1000.0):
        cadence.price = price
        gaps.append(cadence.first_gap(KIND, "queue"))
    assert gaps == sorted(gaps)
    assert 0 < gaps[0] < gaps[-1] <= FIRST_LOOK_S


def test_a_first_look_at_tasks_that_have_changed_already_goes_at_once() -> None:
    """Where most tasks of a source had left their first status when they were submitted, waiting costs lag and saves no call;
    where none had, the first look waits for what the first status usually lasts."""
    cadence = Cadence(CadenceSettings())
    for n in range(100):
        cadence.first_looks.learn(KIND, "old", True)
        cadence.first_looks.learn(KIND, "fresh", False)
        cadence.learn(KIND, "IN_QUEUE", 10.0, float(n))
    cadence.price = 0.5
    assert cadence.first_gap(KIND, "old") == 0
    assert cadence.first_gap(KIND, "fresh") > 5


@pytest.mark.parametrize("type_", ["fixed", "backoff"])
def test_other_rules_look_at_a_new_task_at_once(type_) -> None:
    """Only the accrual rule prices the first look."""
    assert Cadence(CadenceSettings(type=type_)).first_gap(KIND, "") == 0


@given(st.none() | st.sampled_from(["IN_QUEUE", "odd"]), st.floats(-1e9, 1e12), st.integers(0, 100_000), st.floats(1 / 30, 1e5))
def test_every_gap_is_within_the_settings(status, age, tasks, pace) -> None:
    """Whatever the age by the service's timestamps, each gap is between `min_gap` and `max_gap`; where calls are so scarce that all
    of them would only keep to `max_gap`, it is at most three times the mean gap that they allow."""
    cadence = Cadence(CadenceSettings(min_gap=0.5, max_gap=40))
    for _ in range(3):
        cadence.steer(wanted=tasks / 2, tasks=tasks, pace=pace, lateness_s=1e6)
        assert 0.5 <= cadence.gap(KIND, status, age) <= max(40, 3 * tasks / pace) * (1 + 1e-9)
        assert cadence.spare_gap(KIND, status, age) >= 0.5
        assert cadence.worth(KIND, status, age, 1.0) >= 0


def test_announcements_never_make_a_gap_longer_than_half_a_minute() -> None:
    """Their end must be noticed soon. Only where the gap without them is longer, that one counts, also while calls are scarce."""
    cadence = Cadence(CadenceSettings())
    for n in range(200):
        cadence.learn(KIND, "IN_PROGRESS", 10.0 + n % 20, float(n))
    trust = Trust.of(0.99, 0.3)
    for tasks, pace, price in ((1, 100.0, 0.1), (100, 10.0, 0.3), (300, 12.0, 1.0), (3000, 10.0, 20.0)):
        cadence.share(tasks, pace)
        cadence.price = price
        blind = cadence.gap(KIND, "IN_PROGRESS", 5.0, trust=NO_TRUST)
        assert cadence.gap(KIND, "IN_PROGRESS", 5.0, trust=trust) <= max(LONGEST_S, blind)


def test_an_absurd_age_gets_the_longest_gap() -> None:
    """For a status that is fifty years old by its timestamps, rounding errors of large integrals cause no calls."""
    cadence = Cadence(CadenceSettings())
    assert cadence.gap(KIND, "IN_PROGRESS", 50 * 365 * 86_400.0) == 60
    assert cadence.spare_gap(KIND, "IN_PROGRESS", 50 * 365 * 86_400.0) == math.inf


def test_a_spare_call_goes_only_where_it_saves_the_floor() -> None:
    """Its gap accrues a lag of `price_floor`; where no gap up to the longest one does, there is no spare call."""
    cadence = Cadence(CadenceSettings(price_floor=0.1, max_gap=60))
    gap = cadence.spare_gap(KIND, "IN_QUEUE", 0.0)
    assert cadence.worth(KIND, "IN_QUEUE", 0.0, gap) == pytest.approx(0.1, rel=0.05)
    assert Cadence(CadenceSettings(price_floor=30, max_gap=60)).spare_gap(KIND, "IN_QUEUE", 0.0) == math.inf


# --- the price, in closed loop ---------------------------------------------------------------------


class Loop:
    """A simulation in discrete time: tasks end and are replaced, calls go at the pace, and the price is steered twice a second."""

    def __init__(self, tasks: int, pace: float, seed: int = 7, *, granted: bool = False, **settings: float) -> None:
        self.cadence = Cadence(CadenceSettings(**settings), granted=granted)
        self.rng = random.Random(seed)
        self.pending = PendingSet()
        self.pace, self.now, self.credit = pace, 0.0, 1.0
        self.calls = self.count = 0
        self.begun: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.add(tasks)

    def add(self, tasks: int) -> None:
        for _ in range(tasks):
            self.count += 1
            ref = TaskRef(KIND, (REF.params[0], f"t-{self.count}"))
            self.begun[ref.key], self.ends[ref.key] = self.now, self.now + 10 + self.rng.expovariate(1 / 140)
            self.pending.add(watch_of(ref), self.now)

    def remove(self, tasks: int) -> None:
        for key in list(self.begun)[:tasks]:
            self.pending.drop(key)
            del self.begun[key]

    def run(self, duration: float) -> list[float]:
        """The calls wanted per second at each steer."""
        wanted = []
        for _ in range(round(duration / STEER_S)):
            for _ in range(5):
                self._tick(STEER_S / 5)
            self.cadence.steer(self.pending.wanted, len(self.pending), self.pace, self.pending.lateness(self.now))
            wanted.append(self.pending.wanted)
        return wanted

    def _tick(self, seconds: float) -> None:
        self.now += seconds
        self.credit = min(1 + self.pace * seconds, self.credit + self.pace * seconds)
        while self.credit >= 1 and (entry := self.pending.first()) is not None and entry.due <= self.now:
            self.credit -= 1
            self._call()

    def _call(self) -> None:
        (entry,) = self.pending.take()
        self.calls += 1
        key, watch = entry.watch.key, entry.watch
        if self.now < self.ends[key]:
            gap = self.cadence.gap(KIND, "IN_PROGRESS", self.now - self.begun[key])
            self.pending.put_back(watch, self.now, gap, "cadence")
            return
        self.cadence.learn(KIND, "IN_PROGRESS", self.ends[key] - self.begun[key], self.now)
        self.pending.finish(watch)
        del self.begun[key]
        self.add(1)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def steered(steps: int, price: float, load: Load, pace: float, fresh: Load | None = None) -> float:
    """The price after so many steps with the same load."""
    cadence = Cadence(CadenceSettings(price_floor=0.01))
    cadence.price = price
    for _ in range(steps):
        cadence.steer(*load[:2], pace, load.lateness_s, fresh=fresh)
    return cadence.price


LIGHT = Load(wanted=2, tasks=1000, lateness_s=0)


@pytest.mark.parametrize("fresh", [Load(30, 100, 0), Load(9, 100, 8), Load(30, 100, 50)])
def test_beside_a_backlog_the_price_is_that_of_half_the_pace(fresh) -> None:
    """The fresh tasks may want half of the calls, so with more their price rises as if they were alone with that half."""
    prices = [steered(40, 1.0, LIGHT, 20, fresh), steered(40, 1.0, fresh, 10)]
    assert prices[0] == prices[1] > 1.05


@pytest.mark.parametrize("wanted", [1.0, 9.0])
def test_the_price_does_not_fall_because_a_backlog_wants_no_calls_yet(wanted) -> None:
    """It falls no faster than with all tasks in the count, although the fresh ones leave calls to the backlog."""
    load = Load(wanted, 10_000, 0)
    assert steered(40, 1.0, load, 20, Load(wanted, 10, 0)) == steered(40, 1.0, load, 20) > 0.95


def test_a_price_that_rose_beside_a_backlog_falls_back() -> None:
    """To the one that all tasks need, as soon as the fresh ones want less than half; and then as usual without a backlog."""
    cadence, prices = Cadence(CadenceSettings(price_floor=0.01)), []
    cadence.price = 1.0
    for steps, fresh in ((30, Load(15, 100, 0)), (400, Load(5, 100, 0)), (400, None)):
        for _ in range(steps):
            cadence.steer(20 if fresh else 5, 100, 20, 0.0, fresh=fresh)
        prices.append(cadence.price)
    assert prices[0] > 1.5
    assert prices[1] == 1.0
    assert prices[2] < 0.5


def test_fresh_tasks_that_want_nothing_leave_the_price() -> None:
    """Right after a restart there are none."""
    assert steered(40, 1.0, LIGHT, 20, Load(0, 0, 0)) == steered(40, 1.0, LIGHT, 20)


@pytest.mark.parametrize("tasks", [60, 100])
def test_the_calls_wanted_meet_the_pace_through_steps_of_load(tasks) -> None:
    """When the number of tasks rises tenfold and falls again, the pace is used, the calls wanted stay near it, and the price recovers."""
    loop, prices = Loop(tasks, pace=20, price_floor=0.01), []
    for load in (tasks, 10 * tasks, tasks):
        loop.add(max(0, load - len(loop.begun)))
        loop.remove(max(0, len(loop.begun) - load))
        loop.run(240)
        calls, wanted = loop.calls, loop.run(120)
        prices.append(loop.cadence.price)
        assert loop.calls - calls > 0.85 * 20 * 120
        assert 0.6 * 20 < mean(wanted) < 1.25 * 20
        assert max(wanted) < 1.5 * mean(wanted)
        assert min(wanted) > 0.5 * mean(wanted)
        assert loop.pending.lateness(loop.now) < 10
    assert prices[0] < prices[1] > prices[2]
    assert prices[2] == pytest.approx(prices[0], rel=1)


def test_the_calls_wanted_follow_a_pace_that_is_halved() -> None:
    """The price rises until half of the calls are wanted, without oscillation."""
    loop = Loop(200, pace=20)
    loop.run(240)
    before = loop.cadence.price
    loop.pace = 10
    loop.run(240)
    assert 0.75 * 10 < mean(loop.run(120)) < 1.25 * 10
    assert loop.cadence.price > before


def test_an_idle_watcher_makes_few_calls() -> None:
    """With few tasks under a large pace, the price is at its floor, and a call goes only when it saves the floor."""
    loop = Loop(2, pace=50)
    loop.run(300)
    assert loop.cadence.price == loop.cadence.floor == SHARED_FLOOR_S
    assert loop.calls < 2 * 300
    assert loop.cadence.gap(KIND, "IN_PROGRESS", 0.0) == pytest.approx(loop.cadence.spare_gap(KIND, "IN_PROGRESS", 0.0))


def test_an_idle_watcher_uses_the_calls_that_it_was_granted() -> None:
    """With few tasks under a configured rate, each one is polled while a call saves anything, and never within `min_gap`."""
    loop = Loop(2, pace=50, granted=True)
    loop.run(300)
    assert loop.cadence.price == loop.cadence.floor == PRICE_MIN_S
    assert 3 * 300 < loop.calls <= 2 * 300 / loop.cadence.settings.min_gap


@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize("price_floor", [0.0, 0.1, 0.5])
def test_a_configured_floor_counts_whether_or_not_a_rate_is_configured(price_floor, granted) -> None:
    """Only the default depends on the rate."""
    floor = max(PRICE_MIN_S, price_floor)
    assert Cadence(CadenceSettings(price_floor=price_floor), granted=granted).floor == floor


def test_a_price_does_not_wind_up() -> None:
    """Hours of overload leave no price so high that it would take long to fall again."""
    cadence = Cadence(CadenceSettings())
    for _ in range(100_000):
        cadence.steer(wanted=2000, tasks=100_000, pace=20, lateness_s=5000)
    assert cadence.price <= 60
    for _ in range(240):
        cadence.steer(wanted=2, tasks=20, pace=20, lateness_s=0)
    assert cadence.price < 1


@given(
    st.lists(st.tuples(st.just(0.0) | st.floats(1e-9, 1e6), st.integers(0, 10**6), st.floats(1 / 30, 1e5), st.floats(0, 1e7)), max_size=50)
)
def test_the_price_moves_slowly_within_its_bounds(steers) -> None:
    """It rises by at most a tenth with each steer, never falls below the floor, and never exceeds the longest gap."""
    cadence = Cadence(CadenceSettings(price_floor=0.1, max_gap=60))
    for steer in steers:
        before = cadence.price
        cadence.steer(*steer)
        assert 0.1 <= cadence.price <= 60
        assert cadence.price <= before * math.exp(0.1) * 1.000001


def test_the_price_can_rise_from_a_floor_of_0() -> None:
    """With `price_floor: 0`, overload still makes gaps longer."""
    cadence = Cadence(CadenceSettings(price_floor=0))
    for _ in range(200):
        cadence.steer(wanted=500, tasks=1000, pace=20, lateness_s=1)
    assert cadence.gap(KIND, "IN_QUEUE", 5.0) > 1


# --- over restarts ---------------------------------------------------------------------------------


def test_what_was_learned_survives_a_restart() -> None:
    """Price and samples are restored from the stored text, also for a status with a space in its name."""
    cadence = Cadence(CadenceSettings())
    for now, duration in enumerate(speaker_searches(n=50)):
        cadence.learn(KIND, "IN_PROGRESS", round(duration, 3), float(now))
        cadence.learn(KIND, "ON HOLD", 2.5, float(now))
    for _ in range(20):
        cadence.steer(wanted=100, tasks=500, pace=10, lateness_s=0)
    again = Cadence(CadenceSettings())
    again.restore(cadence.dump())
    assert again.price == pytest.approx(cadence.price) != cadence.floor
    for status in ("IN_PROGRESS", "ON HOLD"):
        assert again.durations(KIND, status).samples == cadence.durations(KIND, status).samples
    assert json.loads(again.dump()) == json.loads(cadence.dump())


def test_the_stored_text_has_the_format_of_earlier_versions() -> None:
    """A store that an earlier version wrote is read, and written in the same form."""
    text = '{"price":0.25,"samples":{"speaker-search IN_PROGRESS":[12.5,13.0]}}'
    cadence = Cadence(CadenceSettings())
    cadence.restore(text)
    assert cadence.dump() == text
    cadence.learn(KIND, "IN_PROGRESS", 9.87654, 0.0)
    assert cadence.dump() == text.replace("13.0", "13.0,9.877")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "5", "{}", '{"price": 1}', '{"samples": {}}', '{"price": 1, "samples": []}',
        '{"price": "x", "samples": {"speaker-search IN_QUEUE": [1]}}', '{"price": 1, "samples": {"speaker-search IN_QUEUE": 5}}',
        '{"price": 1, "samples": {"speaker-search IN_QUEUE": [null]}}', '{"price": null, "samples": {}}',
        '{"price": 1, "samples": {"speaker-search IN_QUEUE": [1' + "0" * 400 + "]}}", "[" * 100_000,
    ],
)  # fmt: skip
def test_a_stored_text_that_cannot_be_read_is_ignored(text) -> None:
    """Nothing of it is used, and the gaps are those of a new watcher."""
    cadence, new = Cadence(CadenceSettings()), Cadence(CadenceSettings())
    cadence.restore(text)
    assert cadence.price == new.price
    assert cadence.gap(KIND, "IN_QUEUE", 3.0) == new.gap(KIND, "IN_QUEUE", 3.0)


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", "0", "1e300"])
def test_a_stored_price_is_kept_within_its_bounds(price) -> None:
    """Samples that are no durations, and names without a status, are ignored."""
    cadence = Cadence(CadenceSettings())
    cadence.restore('{"price": ' + price + ', "samples": {"speaker-search IN_QUEUE": [NaN, -5, -Infinity, 4.0], "nonsense": [1.0]}}')
    assert 0.1 <= cadence.price <= 60
    assert cadence.durations(KIND, "IN_QUEUE").samples == [4.0]
    assert 0.2 <= cadence.gap(KIND, "IN_QUEUE", 3.0) <= 60
