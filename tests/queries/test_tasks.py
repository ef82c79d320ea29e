from __future__ import annotations

import json

import pytest

from tests.queries.recorded import CANARY, CATALOG, RecordedTask, record, search_result
from watcher.adapters.stores.memory import MemoryStore
from watcher.model import TaskRef, Watch
from watcher.queries.pages import PAGE_SIZE
from watcher.queries.tasks import newest_tasks, task_summary
from watcher.query import TaskQuery


async def test_a_summary_holds_no_result_and_no_context(store: MemoryStore) -> None:
    """The JSON form of a task identifies no person, and has its parameters by the names that AWS uses."""
    await record(store, RecordedTask("t1").seen("SUCCEEDED", 10, result=search_result()))
    [task] = await newest_tasks(store, CATALOG, TaskQuery(), 10)
    shown = task.as_json()
    assert (shown["key"], shown["status"], shown["open"], shown["end_reason"]) == ("speaker-search/abc/t1", "SUCCEEDED", False, "terminal")
    assert shown["params"] == {"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t1"}
    assert CANARY not in json.dumps(shown)
    assert "c-42" not in json.dumps(shown)


async def test_the_newest_tasks_are_read_over_several_pages(store: MemoryStore) -> None:
    """A limit above the page size returns that many tasks, each once, the newest first."""
    watches = [Watch(TaskRef("speaker-search", ("abc", f"t{n:04}")), f"{n:032x}", float(n), n + 3600.0) for n in range(PAGE_SIZE + 500)]
    await store.admit(watches)
    found = await newest_tasks(store, CATALOG, TaskQuery(open=True), PAGE_SIZE + 100)
    assert [task.key for task in found] == [watch.key for watch in reversed(watches)][: PAGE_SIZE + 100]


def test_the_age_of_an_ended_task_stops_at_its_end() -> None:
    """The age of a status grows until the watch ends; a task that no poll has seen has the age of its watch."""
    task = RecordedTask("t1")
    assert task_summary(task.watch, CATALOG).status_age_s(task.now) == pytest.approx(60)
    seen = task.seen("IN_PROGRESS", 20, lag=1)
    assert task_summary(seen.watch, CATALOG).status_age_s(task.now) == pytest.approx(21)
    ended = seen.ended("deadline", 5)
    assert task_summary(ended.watch, CATALOG).status_age_s(task.now) == pytest.approx(16)


def test_a_kind_that_is_not_in_the_catalog_has_no_parameter_names() -> None:
    """A task of an unknown kind is shown without names for its parameters."""
    watch = Watch(TaskRef("removed-kind", ("a", "b")), "0" * 32, 0.0, 3600.0)
    assert task_summary(watch, CATALOG).params == {}


@pytest.mark.parametrize(
    ("reason", "state"), [("not_found", "not found"), ("expired", "not found"), ("denied", "access denied"), ("deadline", "never seen")]
)
async def test_an_ended_task_that_was_never_seen_says_what_it_was(store: MemoryStore, reason: str, state: str) -> None:
    """A task that no poll ever saw has no status: its state is what ended it."""
    await record(store, RecordedTask("t1").ended(reason, 3))
    [task] = await newest_tasks(store, CATALOG, TaskQuery(), 10)
    assert (task.status, task.state) == (None, state)


async def test_the_polls_are_those_of_the_saved_state(store: MemoryStore) -> None:
    """An open task has the saved number of polls where it is higher, and the error of its last poll."""
    ids = "a" * 32, "b" * 32
    tasks = [RecordedTask("t1"), RecordedTask("t2")]
    for task, id_ in zip(tasks, ids, strict=True):
        task.watch = task.watch._replace(id=id_)
    tasks[1].seen("IN_PROGRESS", 5)
    states = [("progress speaker-search", f'{{"{ids[0]}": [12, "not_found"], "{ids[1]}": [7, "unchanged"]}}')]
    await record(store, *tasks, states=states)
    found = {task.params["SpeakerSearchTaskId"]: task for task in await newest_tasks(store, CATALOG, TaskQuery(), 10)}
    assert (found["t1"].polls, found["t1"].state, found["t1"].last_error) == (12, "not found", "not_found")
    assert (found["t2"].polls, found["t2"].state, found["t2"].last_error) == (7, "IN_PROGRESS", None)
