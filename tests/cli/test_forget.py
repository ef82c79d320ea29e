from __future__ import annotations

import json

import pytest

from tests.cli.conftest import CANARY, Command, SimulatedTask, found, in_process, in_store, letter, recorded
from watcher.adapters.stores.sqlite import SqliteStore


def keys(command: Command) -> list[str]:
    return [task["key"] for task in json.loads(command("tasks", "--config", "w.yaml", "--json").out)]


def test_a_task_is_erased_with_all_it_left(command: Command) -> None:
    """Watch, events and dead letters; nothing of its result stays in the file, and the owner is told."""
    event = {"what": "event", "origin": "log", "reason": "size", "detail": "", "key": "speaker-search/abc/t1"}
    recorded(
        SimulatedTask("t1").seen("SUCCEEDED", 5, result=found()), SimulatedTask("t2"), letters=[letter("a" * 16, CANARY.encode(), **event)]
    )
    ended = command("forget", "abc/t1", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "1 task erased, with events and dead letters\n")
    assert keys(command) == ["speaker-search/abc/t2"]
    assert command("dead-letters", "list", "--config", "w.yaml", "--json").out == "[]\n"
    with open("w.db", "rb") as file:
        assert CANARY.encode() not in file.read()


@pytest.mark.process
def test_a_running_watcher_hears_of_it(command: Command) -> None:
    """The owner of the store finds the key among what operators asked for."""
    recorded(SimulatedTask("t1"))

    async def work(store: SqliteStore) -> None:
        assert (await in_process("forget", "abc/t1", "--config", "w.yaml")).code == 0
        assert list((await store.requests()).forgotten) == ["speaker-search/abc/t1"]

    in_store(work)


def test_a_connector_is_erased_with_all_its_tasks(command: Command) -> None:
    """All of its kinds, none of another connector."""
    recorded(SimulatedTask("t1"), SimulatedTask("t2", kind="voice-tone"), SimulatedTask("t3", connector="other"))
    ended = command("forget", "--connector", "abc", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "2 tasks erased, with events and dead letters\n")
    assert keys(command) == ["speaker-search/other/t3"]


def test_nothing_there_is_no_failure(command: Command) -> None:
    """It is as asked for: exit 0, and said."""
    recorded(SimulatedTask("t1"))
    ended = command("forget", "abc/t9", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "no such task was there: nothing to erase\n")
    assert keys(command) == ["speaker-search/abc/t1"]


@pytest.mark.parametrize("which", [(), ("abc/t1", "--connector", "abc"), ("abc",)])
def test_it_must_be_clear_what_is_meant(command: Command, which: tuple[str, ...]) -> None:
    """One task or one connector: anything else is exit 64, and nothing is erased."""
    recorded(SimulatedTask("t1"))
    assert command("forget", *which, "--config", "w.yaml").code == 64
    assert keys(command) == ["speaker-search/abc/t1"]
