from __future__ import annotations

import json
import time

import pytest

from tests.cli.conftest import CANARY, CATALOG, Command, SimulatedTask, found, letter, recorded
from watcher.cli.explain import ENDS
from watcher.cli.schedule import LearnedState, schedule
from watcher.config import parse
from watcher.core.polling.cadence import PROVISIONAL_GAP_S, Cadence, CadenceSettings
from watcher.core.polling.poll_errors import on_poll_error
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import Denied, Invalid, NotFound

BASE = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"
SETTINGS = parse(BASE, "test", {})


def test_an_open_task_is_explained(command: Command) -> None:
    """Status and age, each change with its lag, and why it is asked about again when."""
    recorded(SimulatedTask("t1").seen("IN_QUEUE", 20).seen("IN_PROGRESS", 12, lag=1.5), notes=[("pace speaker-search", "4.0")])
    ended = command("explain", "abc/t1", "--config", "w.yaml")
    assert ended.code == 0
    assert "status    IN_PROGRESS, for 13." in ended.out
    assert "polls     2 as of the last change" in ended.out
    assert "IN_QUEUE -> IN_PROGRESS  1.50 s" in ended.out
    assert "after the last look" in ended.out
    assert "1 open task to share 4 calls/s" in ended.out
    assert "up to 30 s old" in ended.out


def test_a_task_shares_the_calls_of_its_own_quota(command: Command) -> None:
    """With all open tasks whose calls count against the same one, of whatever kind the others are."""
    lives = [
        SimulatedTask("t1").seen("IN_PROGRESS", 12),
        SimulatedTask("t2"),
        SimulatedTask("v1", kind="voice-tone").seen("IN_PROGRESS", 12),
    ]
    recorded(*lives, notes=[("pace speaker-search", "4.0"), ("pace voice-tone", "0.5")])
    assert "2 open tasks to share 4 calls/s" in command("explain", "abc/t1", "--config", "w.yaml").out
    assert "1 open task to share 0.5 calls/s" in command("explain", "voice-tone/abc/v1", "--config", "w.yaml").out


@pytest.mark.parametrize("key", ["abc/t1", "speaker-search/abc/t1", "%61bc/t1"])
def test_a_task_goes_by_several_names(command: Command, key: str) -> None:
    """VC/TASK, kind/VC/TASK, and parts percent-encoded or not, are the same task."""
    recorded(SimulatedTask("t1"))
    assert json.loads(command("explain", key, "--config", "w.yaml", "--json").out)["key"] == "speaker-search/abc/t1"


def test_an_ended_task_says_why_it_ended(command: Command) -> None:
    """The reason in words, the result, and no next look."""
    recorded(SimulatedTask("t1").seen("SUCCEEDED", 12, result=found()))
    ended = command("explain", "abc/t1", "--config", "w.yaml")
    assert "because   terminal: the service's last word" in ended.out
    assert "skipped IN_QUEUE, IN_PROGRESS" in ended.out
    assert CANARY in ended.out
    assert "Next look" not in ended.out


def test_json_holds_events_and_the_schedule(command: Command) -> None:
    """The events as they were committed, and the numbers of the next look with their age."""
    recorded(SimulatedTask("t1").seen("IN_PROGRESS", 12))
    told = json.loads(command("explain", "abc/t1", "--config", "w.yaml", "--json").out)
    assert told["events"][0]["type"] == "watcher.task.transition.v1"
    assert told["task"]["context"] == {"call": "c-42"}
    assert told["next"]["rule"] == "accrual"
    assert "30 s" in told["next"]["as_of"]
    assert told["end"] is None


def test_its_dead_letters_are_named(command: Command) -> None:
    """A sink that refused one of its events is seen here too; letters of other tasks are not."""
    event = {"what": "event", "origin": "bus", "reason": "size", "detail": "", "key": "speaker-search/abc/t1"}
    recorded(SimulatedTask("t1"), letters=[letter("a" * 16, **event), letter("b" * 16, **(event | {"key": "speaker-search/abc/t2"}))])
    told = json.loads(command("explain", "abc/t1", "--config", "w.yaml", "--json").out)
    assert [each["id"] for each in told["dead_letters"]] == ["a" * 16]
    assert "a" * 16 in command("explain", "abc/t1", "--config", "w.yaml").out


def test_an_unknown_task_ends_with_69(command: Command) -> None:
    """The message says what may have become of it; --json still prints JSON."""
    recorded()
    ended = command("explain", "abc/t1", "--config", "w.yaml", "--json")
    assert (ended.code, json.loads(ended.out)["task"]) == (69, None)
    assert "not submitted yet, forgotten" in ended.err


@pytest.mark.parametrize("key", ["abc", "a/b/c/d", "abc/..", "nope/abc/t1"])
def test_what_names_no_task_is_a_usage_mistake(command: Command, key: str) -> None:
    """Exit 64 with what a task is named like, before any store is asked."""
    ended = command("explain", key, "--config", "w.yaml")
    assert (ended.code, ended.out) == (64, "")


def test_every_end_there_is_has_its_words() -> None:
    """Whatever reason the decisions end a watch with is explained."""
    watch = SimulatedTask("t1").watch
    long_ago = watch.admitted_at
    kind, settings = CATALOG["speaker-search"], WatchSettings(not_found_grace=0)
    reasons = {
        on_poll_error(kind, watch, Invalid("x"), long_ago, settings, mono=0.0).watch.end_reason,
        on_poll_error(kind, watch, NotFound("x"), long_ago, settings, mono=0.0).watch.end_reason,
        on_poll_error(kind, watch, NotFound("x"), long_ago + 8 * 86_400, settings, mono=0.0).watch.end_reason,
        SimulatedTask("t1").seen("SUCCEEDED", 1).watch.end_reason,
    }
    for _ in range(3):
        step = on_poll_error(kind, watch, Denied("x"), long_ago, settings, mono=0.0)
        watch = step.watch
    assert {*reasons, watch.end_reason} <= set(ENDS)
    assert None not in {*reasons, watch.end_reason}


def test_the_gap_is_the_cadences_own() -> None:
    """What is explained is what a watcher with the same notes would do."""
    teacher = Cadence(CadenceSettings())
    for n in range(100):
        teacher.learn("speaker-search", "IN_PROGRESS", 12 + n % 5, float(n))
    teacher.price = 0.3
    life = SimulatedTask("t1").seen("IN_PROGRESS", 4, lag=1)
    now = life.now
    told = schedule(life.watch, SETTINGS, LearnedState(teacher.dump(), "0.5", 1000), now)
    assert told.gap_s == teacher.gap("speaker-search", "IN_PROGRESS", told.age_s)
    assert told.age_s == pytest.approx(5, abs=0.01)
    assert (told.price_s, told.samples, told.pace) == (0.3, 100, 0.5)
    assert told.lag_s == pytest.approx(0.3, rel=0.05)
    assert "learned from 100 tasks" in told.why[0]


@pytest.mark.parametrize(
    ("cadence", "status", "gap", "words"),
    [
        ("{type: fixed, every: 7s}", "IN_PROGRESS", 7, "cadence.type is fixed"),
        ("{type: backoff, every: 3s}", "IN_PROGRESS", 3, "backoff, from 3 s doubling up to 60 s"),
        ("{type: accrual}", "PARTIAL_SUCCESS", 15, "provisional"),
        ("{min_gap: 20s, price_floor: 0s}", "IN_PROGRESS", 20, "cadence.min_gap"),
        ("{max_gap: 1s, price_floor: 1min}", "IN_PROGRESS", 1, "the longest gap"),
    ],
)
def test_each_rule_is_put_in_words(cadence: str, status: str, gap: float, words: str) -> None:
    """Which bound or which rule it is that decides."""
    settings = parse(f"{BASE}cadence: {cadence}\n", "test", {})
    told = schedule(SimulatedTask("t1").seen(status, 1).watch, settings, LearnedState(None, None, 1), time.time())
    assert told.gap_s == pytest.approx(gap)
    assert words in told.why[0]


def test_few_tasks_at_a_high_pace_are_asked_often() -> None:
    """Dear as a call may be, the longest gap is six times the tasks over the pace."""
    told = schedule(
        SimulatedTask("t1").seen("IN_PROGRESS", 1).watch, SETTINGS, LearnedState('{"price": 50, "samples": {}}', "3.0", 5), time.time()
    )
    assert told.gap_s == pytest.approx(10)
    assert "6 x tasks / pace" in told.why[0]


def test_a_provisional_status_is_one_like_any_other_where_the_settings_say_so() -> None:
    """Then it has the gap that the watcher gives it, which is shorter than that of a provisional one."""
    settings = parse(f"{BASE}watch: {{partial_success: transient}}\n", "test", {})
    told = schedule(SimulatedTask("t1").seen("PARTIAL_SUCCESS", 1).watch, settings, LearnedState(None, None, 1), time.time())
    assert told.gap_s < PROVISIONAL_GAP_S
    assert "provisional" not in told.why[0]


def test_a_provisional_status_gets_spare_calls_too() -> None:
    """However dear a call is: no faster than its own least gap."""
    told = schedule(
        SimulatedTask("t1").seen("PARTIAL_SUCCESS", 1).watch, SETTINGS, LearnedState('{"price": 50, "samples": {}}', "0.1", 1), time.time()
    )
    assert (told.gap_s, told.spare_gap_s) == (pytest.approx(60), pytest.approx(PROVISIONAL_GAP_S))


def test_a_single_task_is_not_asked_about_all_the_time() -> None:
    """Calls to spare are not spent where they would save less than the floor, and that is what is explained."""
    told = schedule(SimulatedTask("t1").seen("IN_PROGRESS", 1).watch, SETTINGS, LearnedState(None, "20", 1), time.time())
    assert told.gap_s > 6 / 20
    assert told.lag_s == pytest.approx(0.1, rel=0.05)
    assert "cadence.price_floor" in told.why[0]


@pytest.mark.parametrize("note", ["", "nan", "-1", "rubbish", "{}"])
def test_notes_that_cannot_be_read_cost_nothing(note: str) -> None:
    """The prior stands, and the pace is not told."""
    told = schedule(SimulatedTask("t1").seen("IN_PROGRESS", 1).watch, SETTINGS, LearnedState(note, note, 1), time.time())
    assert (told.pace, told.samples) == (None, 0)
