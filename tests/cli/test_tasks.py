from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CANARY, CONFIG, Command, SimulatedTask, found, in_process, in_store, recorded
from watcher.adapters.stores.sqlite import SqliteStore


def test_tasks_are_listed_the_newest_first(command: Command) -> None:
    """One line each with status, age, polls and how it ended; stdout of a pipe has neither colour nor boxes."""
    recorded(SimulatedTask("t1").seen("SUCCEEDED", 10, result=found()), SimulatedTask("t2").seen("IN_PROGRESS", 5), SimulatedTask("t3"))
    ended = command("tasks", "--config", "w.yaml")
    head, *rows = ended.out.splitlines()
    assert (ended.code, head.split()) == (0, ["TASK", "STATUS", "AGE", "POLLS", "ENDED"])
    assert [row.split()[0] for row in rows] == [f"speaker-search/abc/t{n}" for n in (3, 2, 1)]
    assert "not seen yet" in rows[0]
    assert "terminal, 10." in rows[2]
    assert ended.out.isascii()


def test_json_is_one_array_without_results_and_contexts(command: Command) -> None:
    """What a machine needs to follow tasks, nothing about persons."""
    recorded(SimulatedTask("t1").seen("SUCCEEDED", 10, result=found()))
    ended = command("tasks", "--config", "w.yaml", "--json")
    [task] = json.loads(ended.out)
    assert (task["key"], task["status"], task["open"], task["end_reason"], task["events"]) == (
        "speaker-search/abc/t1",
        "SUCCEEDED",
        False,
        "terminal",
        1,
    )
    assert task["params"] == {"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1"}
    assert CANARY not in ended.out
    assert "c-42" not in ended.out


def test_open_and_limit_choose(command: Command) -> None:
    """--open leaves out what has ended, --limit what is older, and says so on stderr."""
    recorded(SimulatedTask("t1"), SimulatedTask("t2"), SimulatedTask("t3").ended("cancelled", 1))
    ended = command("tasks", "--config", "w.yaml", "--open", "--limit", "1", "--json")
    assert [task["key"] for task in json.loads(ended.out)] == ["speaker-search/abc/t2"]
    assert "the newest 1" in command("tasks", "--config", "w.yaml", "--limit", "1").err


@pytest.mark.parametrize("arguments", [("tasks",), ("tasks", "--json"), ("dead-letters", "list"), ("dead-letters", "list", "--json")])
def test_nothing_there_is_no_failure(command: Command, arguments: tuple[str, ...]) -> None:
    """An empty list is empty stdout, or an empty array, exit 0."""
    recorded()
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "[]\n" if "--json" in arguments else "")


@pytest.mark.parametrize("arguments", [("tasks",), ("explain", "abc/t1"), ("dead-letters", "list"), ("forget", "abc/t1")])
def test_a_store_that_is_not_there_is_said(command: Command, arguments: tuple[str, ...]) -> None:
    """Exit 74 with the path, and no file is made."""
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert ended.err == f"store: {Path('w.db').absolute()}: there is no store here: start the watcher first, or name its file\n"


def test_a_memory_store_cannot_be_asked(command: Command, here: Path) -> None:
    """A memory store exists only in the watcher's process: the command says what to use instead and exits 74."""
    (here / "w.yaml").write_text(CONFIG.replace("{type: sqlite, path: w.db}", "{type: memory}"), encoding="utf-8")
    ended = command("tasks", "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert ended.err.startswith("store: the memory store exists only inside the running watcher: ")


@pytest.mark.parametrize(
    "arguments", [("tasks",), ("explain", "abc/t1"), ("dead-letters", "list"), ("forget", "abc/t1"), ("submit", "abc/t1")]
)
def test_mistakes_of_the_configuration_end_each_command(command: Command, here: Path, arguments: tuple[str, ...]) -> None:
    """All of them at once, with their lines, exit 78."""
    (here / "w.yaml").write_text(CONFIG + "pace: {rate: 0}\nlogs: {level: loud}\n", encoding="utf-8")
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (78, "")
    assert [line.split(": ")[:2] for line in ended.err.splitlines()] == [["w.yaml:4", "pace.rate"], ["w.yaml:5", "logs.level"]]


def test_a_status_cannot_write_to_the_terminal(command: Command) -> None:
    """A status is the service's free string: control characters are shown as escapes."""
    recorded(SimulatedTask("t1").seen("ODD\x1b[31m", 5))
    ended = command("tasks", "--config", "w.yaml")
    assert "ODD\\x1b[31m" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.process
def test_the_real_script_answers_beside_the_owner(command: Command) -> None:
    """Another process lists tasks while the owner holds the store."""
    recorded(SimulatedTask("t1"))

    async def work(_: SqliteStore) -> None:
        done = await in_process("tasks", "--config", "w.yaml", "--json")
        assert [task["key"] for task in json.loads(done.out)] == ["speaker-search/abc/t1"]

    in_store(work)
