from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command, recorded
from tests.queries.recorded import CANARY, RecordedTask, dead_letter, search_result


def test_an_open_task_is_explained(command: Command) -> None:
    """`explain` prints the status and its age, each change with its lag, and when the next poll is due and why."""
    recorded(RecordedTask("t1").seen("IN_QUEUE", 20).seen("IN_PROGRESS", 12, lag=1.5), states=[("pace speaker-search", "4.0")])
    ended = command("explain", "abc/t1", "--config", "w.yaml")
    assert ended.code == 0
    assert "status    IN_PROGRESS, for 13." in ended.out
    assert "polls     2 so far, as the watcher saved it last" in ended.out
    assert "IN_QUEUE -> IN_PROGRESS  1.50 s" in ended.out
    assert "not yet delivered to log: 2 events" in ended.out
    assert "after the last poll" in ended.out
    assert "the pace is 4 calls/s; open tasks that share it: 1" in ended.out
    assert "at most 30 s old" in ended.out


def test_a_configured_rate_makes_the_gap_of_an_idle_watcher_short(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain` reads `pace.rate`, since a granted call is made wherever it saves a millisecond."""
    price = '{"price": 0.001, "samples": {}}'
    recorded(RecordedTask("t1").seen("IN_QUEUE", 2), states=[("pace speaker-search", "20"), ("cadence speaker-search", price)])
    gaps = []
    for rate in ("null", "20"):
        monkeypatch.setenv("WATCHER_PACE__RATE", rate)
        gaps.append(json.loads(command("explain", "abc/t1", "--config", "w.yaml", "--json").out)["next"]["gap_s"])
    assert gaps[1] < 0.5 < 1 < gaps[0]


@pytest.mark.parametrize("key", ["abc/t1", "speaker-search/abc/t1", "%61bc/t1"])
def test_a_task_has_several_names(command: Command, key: str) -> None:
    """`explain` takes the identifiers of the default kind or a key, each part percent-encoded or not."""
    recorded(RecordedTask("t1"))
    assert json.loads(command("explain", key, "--config", "w.yaml", "--json").out)["key"] == "speaker-search/abc/t1"


def test_an_ended_task_says_why_it_ended(command: Command) -> None:
    """`explain` prints the reason of an end in words, the result, and no next poll."""
    recorded(RecordedTask("t1").seen("SUCCEEDED", 12, result=search_result()))
    ended = command("explain", "abc/t1", "--config", "w.yaml")
    assert "because   terminal: the service reported a terminal status" in ended.out
    assert "skipped IN_QUEUE, IN_PROGRESS" in ended.out
    assert CANARY in ended.out
    assert "Next poll" not in ended.out


def test_json_holds_events_and_the_plan(command: Command) -> None:
    """`explain --json` prints the events as they were committed, and the numbers of the plan with their age."""
    recorded(RecordedTask("t1").seen("IN_PROGRESS", 12))
    shown = json.loads(command("explain", "abc/t1", "--config", "w.yaml", "--json").out)
    assert list(shown) == ["key", "task", "next", "end", "events", "not_yet_taken", "dead_letters"]
    assert shown["events"][0]["type"] == "watcher.task.transition.v1"
    assert shown["task"]["context"] == {"call": "c-42"}
    assert shown["not_yet_taken"] == {"log": 1}
    assert shown["next"]["rule"] == "accrual"
    assert "30 s" in shown["next"]["as_of"]
    assert shown["end"] is None
    members = [
        "rule",
        "age_s",
        "gap_s",
        "lag_s",
        "price_s",
        "spare_gap_s",
        "samples",
        "pace",
        "open_tasks",
        "why",
        "open_circuits",
        "last_error",
        "retry_s",
        "announced_share",
        "as_of",
    ]
    assert list(shown["next"]) == members


def test_dead_letters_of_the_task_are_listed(command: Command) -> None:
    """`explain` lists the events of the task that a sink rejected, and no dead letter of another task."""
    event = {"what": "event", "origin": "bus", "reason": "size", "detail": ""}
    letters = [dead_letter(id_ * 16, key=f"speaker-search/abc/{task}", **event) for id_, task in (("a", "t1"), ("b", "t2"))]
    recorded(RecordedTask("t1"), dead_letters=letters)
    shown = json.loads(command("explain", "abc/t1", "--config", "w.yaml", "--json").out)
    assert [each["id"] for each in shown["dead_letters"]] == ["a" * 16]
    assert "a" * 16 in command("explain", "abc/t1", "--config", "w.yaml").out


def test_an_unknown_task_exits_with_69(command: Command) -> None:
    """For an unknown task, `explain` exits with 69, says why it may be unknown, and still prints JSON with --json."""
    recorded()
    ended = command("explain", "abc/t1", "--config", "w.yaml", "--json")
    assert (ended.code, json.loads(ended.out)["task"]) == (69, None)
    assert "speaker-search/abc/t1: this task is not in the store" in ended.err


def test_a_key_whose_first_part_looks_like_a_kind_has_a_warning(command: Command) -> None:
    """It is the key of a speaker search all the same, stdout is still JSON, and the exit code is the same."""
    recorded()
    ended = command("explain", "batch-jobb/t1", "--config", "w.yaml", "--json")
    assert (ended.code, json.loads(ended.out)["key"]) == (69, "speaker-search/batch-jobb/t1")
    warning = '"batch-jobb" is not a kind, so this is read as VoiceConnectorId/SpeakerSearchTaskId; did you mean batch-job?'
    assert ended.err.startswith(f"{warning}\n")


def test_the_error_about_a_text_without_a_slash_names_all_forms(command: Command) -> None:
    """A speaker search, a task of another kind, and an ARN."""
    ended = command("explain", "call-1", "--config", "w.yaml")
    forms = "expected VoiceConnectorId/SpeakerSearchTaskId, kind/identifiers for a task of another kind, or the ARN of a task"
    assert (ended.code, forms in " ".join(ended.err.split())) == (64, True)


@pytest.mark.parametrize("key", ["abc", "a/b/c/d", "abc/..", "nope/abc/t1"])
def test_a_text_that_names_no_task_is_a_usage_error(command: Command, key: str) -> None:
    """`explain` exits with 64 for a text that names no task, before it opens a store."""
    ended = command("explain", key, "--config", "w.yaml")
    assert (ended.code, ended.out) == (64, "")
