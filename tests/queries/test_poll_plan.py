from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.queries.recorded import CATALOG, RecordedTask
from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.call_progress import CallState
from watcher.core.polling.open_circuits import OpenCircuit
from watcher.core.polling.transitions import WatchSettings
from watcher.queries.poll_plan import LearnedState, PollPlan, PollSettings, plan_polls

NOTHING = LearnedState(None, None, 1)
DEAR = '{"price": 50, "samples": {}}'
"""A saved cadence in which a call has a high price."""


def plan(
    status: str,
    learned: LearnedState = NOTHING,
    *,
    cadence: CadenceSettings | None = None,
    watch: WatchSettings | None = None,
    granted: bool = False,
) -> PollPlan:
    """The plan for a speaker search that a poll saw in this status a second ago."""
    task = RecordedTask("t1").seen(status, 1)
    settings = PollSettings(watch or WatchSettings(), cadence or CadenceSettings(), granted)
    return plan_polls(task.watch, CATALOG["speaker-search"], learned, settings, time.time())


def test_the_gap_is_that_of_the_watcher() -> None:
    """The plan has the gap that a cadence with the same saved state computes."""
    taught = Cadence(CadenceSettings(), CATALOG)
    for n in range(100):
        taught.learn("speaker-search", "IN_PROGRESS", 12 + n % 5, float(n))
    taught.price = 0.3
    task = RecordedTask("t1").seen("IN_PROGRESS", 4, lag=1)
    settings = PollSettings(WatchSettings(), CadenceSettings())
    found = plan_polls(task.watch, CATALOG["speaker-search"], LearnedState(taught.dump(), "0.5", 1000), settings, task.now)
    assert found.gap_s == pytest.approx(taught.gap("speaker-search", "IN_PROGRESS", found.age_s), rel=1e-3)
    assert found.age_s == pytest.approx(5, abs=0.01)
    assert (found.price_s, found.samples, found.pace) == (0.3, 100, 0.5)
    assert found.lag_s == pytest.approx(0.3, rel=0.05)
    assert "learned from 100 tasks" in found.why[0]


@pytest.mark.parametrize(
    ("cadence", "status", "gap", "words"),
    [
        (CadenceSettings(type="fixed", every=7), "IN_PROGRESS", 7, "cadence.type is fixed"),
        (CadenceSettings(type="backoff", every=3), "IN_PROGRESS", 3, "backoff, from 3 s, doubling up to 60 s"),
        (CadenceSettings(min_gap=20, price_floor=0), "IN_PROGRESS", 20, "cadence.min_gap"),
        (CadenceSettings(max_gap=1, price_floor=60), "IN_PROGRESS", 1, "the longest gap"),
    ],
)
def test_the_reason_names_the_rule_or_the_bound_that_decides(cadence: CadenceSettings, status: str, gap: float, words: str) -> None:
    """Each rule and each bound of the gap has its own reason."""
    found = plan(status, cadence=cadence)
    assert found.gap_s == pytest.approx(gap)
    assert words in found.why[0]


def test_the_longest_gap_depends_on_the_number_of_tasks_and_the_pace() -> None:
    """At any price of a call, the gap is at most six times the number of tasks divided by the pace."""
    found = plan("IN_PROGRESS", LearnedState(DEAR, "3.0", 5))
    assert found.gap_s == pytest.approx(10)
    assert "6 x tasks / pace" in found.why[0]


def test_a_call_that_is_left_over_goes_before_the_price_is_reached() -> None:
    """With a high price, a task waits for long, but not for a spare call."""
    found = plan("PARTIAL_SUCCESS", LearnedState(DEAR, "0.1", 1))
    assert found.gap_s == pytest.approx(60)
    assert found.spare_gap_s is not None
    assert found.spare_gap_s < 5
    assert "if there is a spare call" in found.why[1]


def test_the_first_look_is_explained() -> None:
    """While nothing is known of a task, the plan says when the first look is due, and how many of the last tasks had changed."""
    learned = LearnedState('{"price": 5, "samples": {}, "first_looks": [["speaker-search", "", 1, 40]]}', "1", 100)
    task = RecordedTask("t1")
    found = plan_polls(task.watch, CATALOG["speaker-search"], learned, PollSettings(WatchSettings(), CadenceSettings()), task.now)
    assert 5 < found.gap_s < 60
    assert "4% had left their first status" in found.why[0]


def test_the_first_reason_names_an_open_circuit() -> None:
    """It says what to do, and the plan names the component of `/readyz`."""
    circuit = OpenCircuit("circuit:outage:chime-sdk-voice", "open: timeout", 1_790_000_000.0, "check the network")
    found = plan("IN_QUEUE", LearnedState(None, None, 1, [circuit]))
    assert found.why[0].startswith("circuit:outage:chime-sdk-voice is open: timeout, since 2026-09-21T14:13:20Z")
    assert found.why[1] == "check the network"
    assert found.as_json()["open_circuits"] == ["circuit:outage:chime-sdk-voice"]
    assert plan("IN_QUEUE").as_json()["open_circuits"] == []


def test_a_single_task_is_polled_no_more_often_than_the_price_floor_allows() -> None:
    """With calls to spare, the gap is the one after which a call saves cadence.price_floor."""
    found = plan("IN_PROGRESS", LearnedState(None, "20", 1))
    assert found.gap_s > 6 / 20
    assert found.lag_s == pytest.approx(0.1, rel=0.05)
    assert "cadence.price_floor" in found.why[0]


def test_a_single_task_is_polled_several_times_a_second_under_a_configured_rate() -> None:
    """The calls were granted, so one is made as soon as it saves 1 ms."""
    found = plan("IN_QUEUE", LearnedState('{"price": 0.001, "samples": {}}', "20", 1), granted=True)
    assert 0.2 <= found.gap_s < 0.5
    assert found.lag_s == pytest.approx(0.001, rel=0.05)
    assert "is 0.001 s, which is" in found.why[0]


def test_a_spare_call_names_the_floor_in_force() -> None:
    """Under a configured rate it is 1 ms, without one 100 ms."""
    task = RecordedTask("t1").seen("IN_PROGRESS", 30)
    for granted, words in ((True, "a call then saves 0.001 s of lag"), (False, "a call then saves 0.1 s of lag")):
        settings = PollSettings(WatchSettings(), CadenceSettings(min_gap=0.05), granted)
        found = plan_polls(task.watch, CATALOG["speaker-search"], LearnedState(DEAR, "1", 1000), settings, task.now)
        assert words in found.why[1]


def test_a_task_that_no_poll_has_seen_is_due_now() -> None:
    """Before the first poll there is no gap."""
    task = RecordedTask("t1")
    found = plan_polls(task.watch, CATALOG["speaker-search"], NOTHING, PollSettings(WatchSettings(), CadenceSettings()), task.now)
    assert (found.gap_s, found.spare_gap_s) == (0.0, None)
    assert "due now" in found.why[0]


@pytest.mark.parametrize(
    ("reason", "polls", "range_s", "words"),
    [
        ("unreadable", 4, (0.0, 8.0), "(unreadable: reply not readable): the next one follows at most 8 s after it"),
        ("unreadable", 9, (0.0, 660.0), "from failure 5 in a row on it is 600 to 660 s"),
        ("denied", 1, (20.0, 30.0), "(denied: access denied): the next one follows 20 to 30 s after it; denial 3 ends the watch"),
        ("not_found", 1, (2.0, 10.0), "2 to 10 s after it"),
        ("unavailable", 2, (0.0, 60.0), "at most 60 s after it, at a random time"),
        ("busy", 1, (0.5, 60.0), "0.5 to 60 s after it; each conflict doubles the wait"),
        ("throttled", 3, None, "due again at once; only the pace or an open circuit"),
        ("credentials", 3, None, "due again at once"),
    ],
)
@pytest.mark.parametrize("status", [None, "IN_PROGRESS"])
def test_a_failed_poll_decides_the_wait(
    status: str | None, reason: str, polls: int, range_s: tuple[float, float] | None, words: str
) -> None:
    """After a failed poll the plan has its reason and the wait that follows it, whether or not the task was seen before."""
    task = RecordedTask("t1") if status is None else RecordedTask("t1").seen(status, 1)
    learned = replace(NOTHING, last_call=CallState(polls, reason))
    found = plan_polls(task.watch, CATALOG["speaker-search"], learned, PollSettings(WatchSettings(), CadenceSettings()), task.now)
    assert found.last_error == reason
    assert "due now" not in " ".join(found.why)
    if status is None:
        assert found.retry_s == range_s
        assert words in found.why[0]


@pytest.mark.parametrize("status", [None, "IN_PROGRESS"])
def test_a_task_of_a_backlog_says_what_it_waits_for(status: str | None) -> None:
    """After a restart or a takeover it is due, with half of the calls; the poll after that is planned as usual."""
    task = RecordedTask("t1") if status is None else RecordedTask("t1").seen(status, 1)
    learned = replace(NOTHING, last_call=CallState(3, "adopted"))
    found = plan_polls(task.watch, CATALOG["speaker-search"], learned, PollSettings(WatchSettings(), CadenceSettings()), task.now)
    assert found.why[0].startswith("adopted: ")
    assert "half of the calls" in found.why[0]
    assert found.last_error is None
    assert len(found.why) == 2


@pytest.mark.parametrize("text", ["", "nan", "-1", "rubbish", "{}"])
def test_a_saved_state_that_cannot_be_read_is_ignored(text: str) -> None:
    """Without readable state the plan follows the prior, and the pace is unknown."""
    found = plan("IN_PROGRESS", LearnedState(text, text, 1))
    assert (found.pace, found.samples) == (None, 0)
    assert "not saved yet" in found.why[-1]


@pytest.mark.parametrize(
    ("announced", "silent_s", "share", "words"),
    [
        (0, 0, None, None),
        (5, 0, 0.2, "notifications announced 20% of the changes from IN_PROGRESS: too few to wait for them"),
        (300, 0, 0.98, "98% of the changes from IN_PROGRESS, 0.4 s after them on average: without one the task has probably not changed"),
        (300, 200, 0.0, "98% of the changes from IN_PROGRESS, but about 20 are missing since the last one: the watcher does not wait"),
    ],
)
def test_the_reasons_say_how_far_notifications_are_trusted(announced: int, silent_s: int, share: float | None, words: str | None) -> None:
    """Which share they announced and how late, and whether the gap is longer because of that, or they are too few or have stopped."""
    taught = Cadence(CadenceSettings())
    for _ in range(announced):
        for _ in range(20):
            taught.announcements.pass_time({("speaker-search", "IN_PROGRESS"): 1}, 0.5)
        taught.announcements.learn_announced("speaker-search", "IN_PROGRESS", 0.4)
    taught.announcements.pass_time({("speaker-search", "IN_PROGRESS"): 1}, 0.5)
    taught.announcements.pass_time({("speaker-search", "IN_PROGRESS"): 1}, float(silent_s))
    found = plan("IN_PROGRESS", replace(NOTHING, cadence=taught.dump()))
    assert found.announced_share == (None if share is None else pytest.approx(share, abs=0.01))
    assert any(words in reason for reason in found.why) if words else not any("notification" in reason for reason in found.why)
    assert ("so the gap is longer" in " ".join(found.why)) == (found.gap_s > 1.01 * plan("IN_PROGRESS").gap_s)
