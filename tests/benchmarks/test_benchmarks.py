"""What the tables of the benchmarks are based on: the bound, the simulations, and the document. On virtual time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from statistics import mean

import pytest

from tests.benchmarks.bound import bound, rule
from tests.benchmarks.distributions import TASK_MODELS, TaskModel, after
from tests.benchmarks.fleet import Fleet, Paced
from tests.benchmarks.lag import ACCRUAL
from tests.benchmarks.polling_simulation import KIND, PollingSimulation
from tests.benchmarks.process import COLD, LEGACY, SCENARIO, Plan, Result, measure
from tests.benchmarks.process_clients import Way
from tests.benchmarks.replicas.quota import most_in_a_second
from tests.benchmarks.restart import ORDERS, Case, simulate
from tests.benchmarks.table import Part, Table, with_section
from watcher.cli.demo_comparison import LagSummary
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.riders import LEAST_S, Riders
from watcher.simulator.distributions import parse_durations

SPEAKER_SEARCH = next(model for model in TASK_MODELS if model.name == "10 + exp 4")
ONE_STAGE = [model for model in TASK_MODELS if model.queue is None]


@pytest.mark.parametrize("model", TASK_MODELS, ids=lambda model: model.name)
def test_draws_follow_their_distribution(model: TaskModel) -> None:
    """The quantiles and the mean of many draws are those of the distribution, and its horizon is hardly ever exceeded."""
    rng = Random(5)
    draws = sorted(model.run.draw(rng) for _ in range(20_000))
    for share in (0.1, 0.2) if model.provisional else (0.1, 0.5, 0.9):
        assert model.run.cdf(draws[int(share * len(draws))]) == pytest.approx(share, abs=0.02)
    assert mean(min(draw, model.run.horizon) for draw in draws) == pytest.approx(model.run.mean, rel=0.1)
    assert model.run.cdf(model.run.horizon) > 0.9999 or model.provisional


@pytest.mark.parametrize("calls", [1.5, 2, 3, 5])
def test_the_bound_of_an_exponential_distribution_is_the_closed_form(calls: float) -> None:
    """Equal gaps g need 1/(1 - exp(-g/m)) polls, and have a lag of g times that less m; a delay before it changes nothing."""
    gap = -4 * math.log(1 - 1 / calls)
    assert bound(TaskModel("", after(10, 4)), calls, "status") == pytest.approx(gap * calls - 4, rel=0.02)
    assert rule(after(0, 4), calls) == pytest.approx(gap * calls - 4, rel=0.02)


@pytest.mark.parametrize("model", ONE_STAGE, ids=lambda model: model.name)
def test_the_accrual_rule_is_near_the_bound(model: TaskModel) -> None:
    """With a known distribution and three calls for each task, it is not below the bound and at most a twentieth above it."""
    least = bound(model, 3, "status")
    assert least * 0.995 <= rule(model.run, 3) <= least * (1.5 if model.provisional else 1.05)


@pytest.mark.parametrize("model", TASK_MODELS, ids=lambda model: model.name)
def test_a_first_look_is_one_of_the_calls(model: TaskModel) -> None:
    """With an id alone, the bound for a task that is in the queue is that with its status, because there is nothing to see yet. For one
    that runs at once it is that of one call less, because looking at once costs no lag; less, if many end at once."""
    known = bound(model, 3 if model.queue else 2, "status")
    assert known * (0.9 if model.run.cdf(0.5) > 0.02 else 0.98) <= bound(model, 3, "id") <= known * 1.02


def test_the_whole_cadence_is_near_the_bound() -> None:
    """Learning from nothing, with three calls for each of 400 speaker searches; fixed intervals have more than twice its lag."""
    accrual = PollingSimulation(SPEAKER_SEARCH, 400, 3, ACCRUAL, submitted="status")
    accrual.run(200)
    fixed = PollingSimulation(SPEAKER_SEARCH, 400, 3, CadenceSettings(type="fixed", every=5), submitted="status")
    fixed.run(60)
    least = bound(SPEAKER_SEARCH, 3, "status")
    assert accrual.measure(60).mean < 1.15 * least
    assert fixed.measure(60).mean > 2.5 * least


def test_new_tasks_keep_their_lag_beside_a_backlog() -> None:
    """After a restart with 600 overdue tasks, new ones are near their usual lag, and the overdue ones take at most twice their time."""
    case = Case("", 600, 10, 0.6)
    usual, lanes, one = (simulate(case, order, seeds=2) for order in ORDERS)
    means = [mean(lag for _, lag in lags.fresh) for lags in (usual, lanes, one)]
    assert means[1] < 1.6 * means[0]
    assert means[2] > 20 * means[0]
    assert len(lanes.overdue) == len(one.overdue) == 2 * 600
    assert max(lanes.overdue) < 2.1 * max(one.overdue)
    assert [at for at, _ in sorted(lanes.fresh)] == [at for at, _ in sorted(usual.fresh)], "the same tasks arrive"


def test_tasks_that_run_on_after_a_restart_take_no_calls_from_new_ones() -> None:
    """Also after a cold start, when the price is far too low for them."""
    case = Case("", 300, 10, 0.5, running=True, cold=True)
    usual, lanes, one = (mean(lag for _, lag in simulate(case, order, seeds=1).fresh) for order in ORDERS)
    assert lanes < 1.2 * usual
    assert one > 2 * usual


def test_replicas_share_a_quota_that_is_halved() -> None:
    """Four replicas use the quota in equal shares, with one call in a hundred throttled, and follow a halving within 10 s."""
    fleet = Fleet(40, [Paced() for _ in range(4)])
    fleet.run(200)
    fleet.reset_tally()
    fleet.run(200)
    assert sum(fleet.tally.accepted) > 0.98 * 40 * 200
    assert fleet.tally.throttled_share(range(4)) < 0.01
    assert fleet.tally.jain(range(4)) > 0.99
    fleet.change_quota(20)
    assert fleet.run(60, lambda: fleet.rate < 22) < 10


def test_a_section_of_the_document_replaces_only_itself() -> None:
    """A table that is written again leaves the other sections and the text around them as they were."""
    table = Table("Title", "command", "Note.", ["a", "b"], [["1", "2"]])
    document = with_section(with_section("# Head\n", "one", table), "two", table)
    again = with_section(document, "one", Table("Other", "command", "Note.", ["a"], [["1"]]))
    assert again.startswith("# Head\n\n<!-- begin one -->\n## Other\n")
    assert again.endswith(document[document.index("<!-- begin two -->") :])


def test_the_parts_of_a_table_come_before_its_command() -> None:
    """A section has its own table first, then each part with a title of its own, and ends with the command that makes it."""
    part = Part("A part", "Of what.", ["a", "b"], [["1", "2"]])
    text = Table("Title", "command", "Note.", ["c"], [["3"]], [part]).markdown()
    assert text.index("| c |") < text.index("### A part\n\nOf what.\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n") < text.index("Made by")


def test_the_most_calls_in_a_second_are_those_of_the_busiest_one() -> None:
    """A second may begin at any call. Two calls that are just a second apart are not in the same one."""
    assert most_in_a_second([]) == 0
    assert most_in_a_second([0.0, 1.0, 2.0]) == 1
    assert most_in_a_second([0.0, 0.9, 1.8, 1.85, 1.89, 3.0]) == 4


@pytest.mark.slow
@pytest.mark.process
async def test_processes_are_measured_on_the_same_tasks() -> None:
    """The loop and the watcher detect the end of each task, with one call for a task that has ended when it is submitted."""
    scenario = SCENARIO.model_copy(update={"durations": parse_durations("queue=0,run=0"), "partial": 0.0})
    found = await measure(Plan(2, 3, 0.1), [LEGACY, COLD], scenario)
    assert [(result.way, result.learned) for result in found] == [(LEGACY, False), (COLD, False), (COLD, True)]
    for result in found:
        assert (result.tasks, result.calls, result.throttled) == (6, 6, 0)
        assert (len(result.ends.detected_s), len(result.lags.detected_s), result.lags.missed_s) == (6, 12, [])


def test_a_loop_and_the_watcher_report_statuses_in_their_own_ways() -> None:
    """A line names the task and its status; the end of a watch without a status reports none."""
    params = {"VoiceConnectorId": "c", "SpeakerSearchTaskId": "t"}
    assert LEGACY.sight({"task": "t", "status": "FAILED"}) == ("t", "FAILED")
    assert COLD.sight({"data": {"task": {"params": params}, "to": "FAILED"}}) == ("t", "FAILED")
    assert COLD.sight({"data": {"task": {"params": params}, "to": None}}) == ("t", None)


def test_a_process_is_compared_with_the_loop() -> None:
    """A row has the calls of each task, the share of throttled calls, the lags, and how many times less the mean lag is."""
    loop = Result(LEGACY, learned=False, tasks=2, calls=10, throttled=5, lags=LagSummary([3.0, 5.0]), ends=LagSummary([5.0]))
    status = Way("watcher", sends_status=True)
    ours = Result(status, learned=True, tasks=2, calls=5, throttled=0, lags=LagSummary([1.0], [2.0]), ends=LagSummary([2.0]))
    assert loop.row(loop) == ("loop, retry mode legacy", "id", "5.0", "50.0%", "4.00 s", "5.00 s", "5.0 s", "1.0")
    assert ours.row(loop) == ("watcher, learned", "status", "2.5", "0.0%", "1.50 s", "2.00 s", "2.0 s", "2.7")


@pytest.mark.parametrize("size", [10, 50])
def test_the_price_settles_for_calls_about_many_tasks(size: int) -> None:
    """While calls are scarce, all of them are made, above the lowest price; with enough calls, it falls to that, and some are left over."""
    scarce = PollingSimulation(SPEAKER_SEARCH, 2 * size, 5 / size, CadenceSettings(price_floor=0.01), batch=size)
    scarce.run(40)
    measured = scarce.measure(30)
    assert measured.calls / measured.tasks == pytest.approx(5 / size, rel=0.25)
    assert measured.polls > 0.7 * size * measured.calls
    assert scarce.cadence.price > 2 * scarce.cadence.floor
    plenty = PollingSimulation(SPEAKER_SEARCH, 2 * size, 3, CadenceSettings(price_floor=0.1), batch=size)
    plenty.run(20)
    measured = plenty.measure(5)
    assert measured.calls / measured.tasks < 2
    assert plenty.cadence.price == plenty.cadence.floor


def test_riders_with_the_most_lag_beat_those_that_are_due_first() -> None:
    """With ten tasks in a call and scarce calls, the mean lag is lower than with the order of the due times."""

    class InOrder(Riders):
        def choose(self, waiting: Sequence[PendingEntry], room: int, now: float) -> list[PendingEntry]:
            return [entry for entry in waiting if self.lag(entry, now) >= LEAST_S][:room]

    lags = []
    for riders in (Riders, InOrder):
        simulation = PollingSimulation(SPEAKER_SEARCH, 150, 0.5, CadenceSettings(price_floor=0), kinds=[KIND], batch=10)
        simulation.schedule._riders = riders(simulation.cadence)
        simulation.run(60)
        lags.append(simulation.measure(40).mean)
    assert lags[0] < 0.98 * lags[1]
