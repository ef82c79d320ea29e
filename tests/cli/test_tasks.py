from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Command, in_process, in_store, recorded
from tests.queries.recorded import CANARY, RecordedTask, search_result
from watcher.adapters.stores.sqlite import SqliteStore


def test_tasks_are_listed_the_newest_first(command: Command) -> None:
    """`tasks` prints one line per task with status, age, polls and end; into a pipe it prints plain ASCII."""
    recorded(
        RecordedTask("t1").seen("SUCCEEDED", 10, result=search_result()), RecordedTask("t2").seen("IN_PROGRESS", 5), RecordedTask("t3")
    )
    ended = command("tasks", "--config", "w.yaml")
    head, *rows = ended.out.splitlines()
    assert (ended.code, head.split()) == (0, ["TASK", "STATUS", "AGE", "POLLS", "ENDED"])
    assert [row.split()[0] for row in rows] == [f"speaker-search/abc/t{n}" for n in (3, 2, 1)]
    assert "not polled yet" in rows[0]
    assert "terminal, 10." in rows[2]
    assert re.search(r" SUCCEEDED +1\d\.\d s +1 ", rows[2]), "an ended task has the age of its status"
    assert ended.out.isascii()


def test_json_is_one_array_without_results_and_contexts(command: Command) -> None:
    """`tasks --json` prints an array of tasks that identifies no person."""
    recorded(RecordedTask("t1").seen("SUCCEEDED", 10, result=search_result()))
    ended = command("tasks", "--config", "w.yaml", "--json")
    [task] = json.loads(ended.out)
    assert task["params"] == {"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1"}
    times = ["status_since", "admitted_at", "deadline_at", "changed_at"]
    assert list(task) == [
        "key",
        "kind",
        "target",
        "params",
        "open",
        "status",
        *times,
        "events",
        "polls",
        "ended_at",
        "end_reason",
        "last_error",
    ]
    assert CANARY not in ended.out
    assert "c-42" not in ended.out


def test_open_and_limit_select(command: Command) -> None:
    """--open leaves out tasks that have ended, and --limit the older ones, with a note on stderr."""
    recorded(RecordedTask("t1"), RecordedTask("t2"), RecordedTask("t3").ended("cancelled", 1))
    ended = command("tasks", "--config", "w.yaml", "--open", "--limit", "1", "--json")
    assert [task["key"] for task in json.loads(ended.out)] == ["speaker-search/abc/t2"]
    assert "the newest 1" in command("tasks", "--config", "w.yaml", "--limit", "1").err


@pytest.mark.parametrize("arguments", [("tasks",), ("tasks", "--json"), ("dead-letters", "list"), ("dead-letters", "list", "--json")])
def test_an_empty_list_is_no_failure(command: Command, arguments: tuple[str, ...]) -> None:
    """A list with nothing in it exits with 0 and prints nothing on stdout, or an empty array."""
    recorded()
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "[]\n" if "--json" in arguments else "")


@pytest.mark.parametrize("arguments", [("tasks",), ("explain", "abc/t1"), ("dead-letters", "list"), ("forget", "abc/t1")])
def test_a_missing_store_is_an_error(command: Command, arguments: tuple[str, ...]) -> None:
    """Where there is no store, the command exits with 74, names the path, and creates no file."""
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert ended.err.startswith(f"store: {Path('w.db').absolute()}: there is no store here")
    assert not Path("w.db").exists()


def test_a_memory_store_cannot_be_read(command: Command, here: Path) -> None:
    """A memory store exists only in the watcher's process: the command exits with 74 and says what to use instead."""
    (here / "w.yaml").write_text(CONFIG.replace("{type: sqlite, path: w.db}", "{type: memory}"), encoding="utf-8")
    ended = command("tasks", "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert "memory" in ended.err


@pytest.mark.parametrize("arguments", [("tasks",), ("explain", "abc/t1"), ("dead-letters", "list"), ("forget", "abc/t1")])
def test_mistakes_of_the_store_end_each_command(command: Command, here: Path, arguments: tuple[str, ...]) -> None:
    """A command on the store prints all mistakes of `store` and of the top level with their lines, and exits with 78."""
    (here / "w.yaml").write_text(CONFIG.replace("path: w.db}", "pth: w.db, fsync: 1}") + "stor: {}\n", encoding="utf-8")
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.out) == (78, "")
    found = [line.split(": ")[:2] for line in ended.err.splitlines()]
    assert found == [["w.yaml:3", "store.fsync"], ["w.yaml:3", "store.pth"], ["w.yaml:4", "stor"]]


def test_a_status_cannot_control_the_terminal(command: Command) -> None:
    """Control characters in a status, which is a free text of the service, are printed as escapes."""
    recorded(RecordedTask("t1").seen("ODD\x1b[31m", 5))
    ended = command("tasks", "--config", "w.yaml")
    assert "ODD\\x1b[31m" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.process
def test_tasks_are_listed_beside_the_owner(command: Command) -> None:
    """Another process lists tasks while the owner has the store open."""
    recorded(RecordedTask("t1"))

    async def work(_: SqliteStore) -> None:
        done = await in_process("tasks", "--config", "w.yaml", "--json")
        assert [task["key"] for task in json.loads(done.out)] == ["speaker-search/abc/t1"]

    in_store(work)
