"""What the HTTP API sends is read back into the objects that it was made from."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from tests.queries.recorded import CATALOG, RecordedTask, dead_letter, record, search_result
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.model import QuotaUse, Replica, Report
from watcher.queries.dead_letters import dead_letter_summary, find_dead_letter
from watcher.queries.explain import explain_task
from watcher.queries.from_json import (
    dead_letter_details_from_json,
    dead_letter_from_json,
    explanation_from_json,
    replicas_from_json,
    task_from_json,
)
from watcher.queries.poll_plan import PollSettings
from watcher.queries.replicas import ReplicaList
from watcher.queries.tasks import newest_tasks
from watcher.query import TaskQuery

LETTERS = [dead_letter("1111aaaa", "é\n".encode()), dead_letter("2222bbbb", b'{"a": 1}', key="speaker-search/abc/t1", what="event")]


async def store_with_tasks() -> MemoryStore:
    """A store with an open task, one with a result, and one that was never seen."""
    store = MemoryStore(MemoryStoreSettings())
    await store.open(["log"])
    tasks = [RecordedTask("t1").seen("IN_PROGRESS", 5), RecordedTask("t2").seen("SUCCEEDED", 5, result=search_result())]
    await record(store, *tasks, RecordedTask("t3").ended("not_found", 1), dead_letters=LETTERS)
    return store


def sent(value: object) -> object:
    """The value after its way over the network."""
    return json.loads(json.dumps(value))


async def test_tasks_come_back() -> None:
    """A task has the same JSON and the same words for its state."""
    for task in await newest_tasks(await store_with_tasks(), CATALOG, TaskQuery(), 10):
        found = task_from_json(sent(task.as_json()))  # type: ignore[arg-type]
        assert found.as_json() == task.as_json()
        assert (found.state, found.open) == (task.state, task.open)


@pytest.mark.parametrize("key", [f"speaker-search/abc/t{n}" for n in range(1, 5)])
async def test_explanations_come_back(key: str) -> None:
    """An explanation has the same JSON, events, plan, and context, also where the task is unknown."""
    settings, now = PollSettings(WatchSettings(), CadenceSettings()), time.time()
    explanation = await explain_task(await store_with_tasks(), CATALOG, key, settings, now)
    found = explanation_from_json(sent(explanation.as_json()), now)  # type: ignore[arg-type]
    assert sent(found.as_json()) == sent(explanation.as_json())
    assert (found.events, found.context, found.end) == (explanation.events, explanation.context, explanation.end)


async def test_dead_letters_come_back() -> None:
    """A dead letter has the same JSON, and its details the same text."""
    store = await store_with_tasks()
    for letter in LETTERS:
        summary = dead_letter_summary(letter)
        assert dead_letter_from_json(sent(summary.as_json())).as_json() == summary.as_json()  # type: ignore[arg-type]
        details = await find_dead_letter(store, letter.id)
        found = dead_letter_details_from_json(sent(details.as_json()))  # type: ignore[arg-type]
        assert (found.text, found.as_json()) == (details.text, details.as_json())


def test_replicas_come_back() -> None:
    """A list of replicas has the same JSON, also what only the sender knows to be wrong."""
    report = Report("1.2.0", 3, {"speaker-search": QuotaUse(2.5, 7, 0.5, 2)})
    late = Replica("a", 1_800_000_000.0, 12.0, 3.0, [0, 1, 2, 5], report)
    listed = ReplicaList([late, replace(late, name="b", shards=[3], renewed_s_ago=1.0)], 8, 5.0)
    found = replicas_from_json(sent(listed.as_json()))  # type: ignore[arg-type]
    assert found.as_json() == listed.as_json()
    assert any("has not renewed" in trouble for trouble in found.trouble)
    assert (found.replicas, found.unowned) == (listed.replicas, [4, 6, 7])
