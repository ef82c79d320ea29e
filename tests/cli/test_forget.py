from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Command, in_process, in_store, recorded
from tests.queries.recorded import CANARY, RecordedTask, dead_letter, search_result
from watcher.adapters.stores.sqlite import SqliteStore

TONE = "voice-tone"


def keys(command: Command) -> list[str]:
    return [task["key"] for task in json.loads(command("tasks", "--config", "w.yaml", "--json").out)]


def test_a_task_is_erased_with_everything_about_it(command: Command) -> None:
    """`forget KEY` erases watch, events and dead letters, also the bytes of a result in the file, and no other task."""
    event = {"what": "event", "origin": "log", "reason": "size", "detail": "", "key": "speaker-search/abc/t1"}
    recorded(
        RecordedTask("t1").seen("SUCCEEDED", 5, result=search_result()),
        RecordedTask("t2"),
        dead_letters=[dead_letter("a" * 16, CANARY.encode(), **event)],
    )
    ended = command("forget", "abc/t1", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "Erased 1 task with events and dead letters.\n")
    assert keys(command) == ["speaker-search/abc/t2"]
    assert command("dead-letters", "list", "--config", "w.yaml", "--json").out == "[]\n"
    with open("w.db", "rb") as file:
        assert CANARY.encode() not in file.read()


@pytest.mark.process
def test_a_running_watcher_learns_of_it(command: Command) -> None:
    """The owner of the store finds the key of an erased task among the requests of operators."""
    recorded(RecordedTask("t1"))

    async def work(store: SqliteStore) -> None:
        assert (await in_process("forget", "abc/t1", "--config", "w.yaml")).code == 0
        assert list((await store.requests()).forgotten) == ["speaker-search/abc/t1"]

    in_store(work)


def test_all_tasks_of_a_connector_are_erased(command: Command) -> None:
    """`forget --connector` erases the tasks of all kinds of this voice connector."""
    recorded(RecordedTask("t1"), RecordedTask("t2", kind=TONE), RecordedTask("t3", connector="other"))
    ended = command("forget", "--connector", "abc", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "Erased 2 tasks with events and dead letters.\n")
    assert keys(command) == ["speaker-search/other/t3"]


@pytest.mark.parametrize("name", ["VoiceConnectorId", "voice_connector_id"])
def test_all_tasks_of_a_kind_with_a_parameter_are_erased(command: Command, name: str) -> None:
    """`forget --kind --param` erases the tasks of this kind only; the parameter has the name of AWS or that of messages."""
    recorded(RecordedTask("t1"), RecordedTask("t2", kind=TONE), RecordedTask("t3", kind=TONE), RecordedTask("t4", kind=TONE, connector="x"))
    ended = command("forget", "--kind", TONE, "--param", f"{name}=abc", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "Erased 2 tasks with events and dead letters.\n")
    assert keys(command) == ["voice-tone/x/t4", "speaker-search/abc/t1"]


def test_nothing_to_erase_is_no_failure(command: Command) -> None:
    """A task that is not in the store exits with 0."""
    recorded(RecordedTask("t1"))
    ended = command("forget", "abc/t9", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "No such task in the store; nothing was erased.\n")
    assert keys(command) == ["speaker-search/abc/t1"]


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ((), "give one of"),
        (("abc/t1", "--connector", "abc"), "give one of"),
        (("abc/t1", "--kind", TONE, "--param", "VoiceConnectorId=abc"), "give one of"),
        (("abc",), "expected VoiceConnectorId/SpeakerSearchTaskId"),
        (("--kind", TONE), "give both"),
        (("--param", "VoiceConnectorId=abc"), "give both"),
        (("--kind", TONE, "--param", "VoiceConnectorId"), "give both"),
        (("--kind", TONE, "--param", "VoiceConnectorId="), "give both"),
        (("--kind", "tone", "--param", "VoiceConnectorId=abc"), "unknown kind; `watcher kinds list` shows all"),
        (("--kind", TONE, "--param", "Connector=abc"), "use one of VoiceConnectorId, VoiceToneAnalysisTaskId"),
    ],
)
def test_an_unclear_selection_is_a_usage_error(command: Command, which: tuple[str, ...], message: str) -> None:
    """A selection that is missing, incomplete, unknown or given twice exits with 64, and nothing is erased."""
    recorded(RecordedTask("t1"))
    ended = command("forget", *which, "--config", "w.yaml")
    assert ended.code == 64
    assert message in ended.err
    assert keys(command) == ["speaker-search/abc/t1"]
