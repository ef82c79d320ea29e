"""How far the calls are is saved, so that another process can show it."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.kinds.catalog import builtin_catalog
from watcher.queries.tasks import TaskSummary, newest_tasks
from watcher.query import Selection, TaskQuery

pytestmark = pytest.mark.looptime(noop_cycles=0)

CATALOG = builtin_catalog()


async def shown(store: MemoryStore) -> dict[str, TaskSummary]:
    """What `watcher tasks` shows of each task."""
    return {task.key: task for task in await newest_tasks(store, CATALOG, TaskQuery(), 100)}


async def test_polls_that_change_nothing_are_shown(world: MakeWorld) -> None:
    """While a status lasts, the polls so far are shown half a minute later, and a task that is not found says so."""
    store = MemoryStore(MemoryStoreSettings())
    w = world(store=store, quota=50.0, durations="queue=0,run=never", finite=False)
    w.submit("stuck-1", "missing-2", "denied-3")
    async with w.running():
        await anyio.sleep(35)
        tasks = await shown(store)
        calls = w.service.tasks.get(next(ref for ref in w.service.tasks.refs())).calls  # type: ignore[union-attr]
        assert (tasks[key("stuck-1")].state, tasks[key("stuck-1")].last_error) == ("IN_PROGRESS", None)
        assert 1 < tasks[key("stuck-1")].polls <= calls
        assert (tasks[key("missing-2")].state, tasks[key("missing-2")].last_error) == ("not found", "not_found")
        assert tasks[key("missing-2")].polls > 1
        assert tasks[key("denied-3")].state == "access denied"
        assert tasks[key("denied-3")].as_json()["last_error"] == "denied"


async def test_a_status_that_is_no_longer_found_says_so(world: MakeWorld) -> None:
    """A task that was seen and is not found now has its status, and what is wrong with it."""
    store = MemoryStore(MemoryStoreSettings())
    w = world(store=store, quota=50.0, durations="queue=0,run=never", finite=False, faults={})
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(40)
        w.service.change(known_only=True)
        w.service.tasks.clear()
        await anyio.sleep(45)
        assert (await shown(store))[key("task-1")].state == "IN_PROGRESS, now not found"


async def test_nothing_of_an_ended_or_erased_task_stays(world: MakeWorld) -> None:
    """Half a minute after a task has ended or was erased, nothing about it is saved."""
    store = MemoryStore(MemoryStoreSettings())
    w = world(store=store, quota=50.0, durations="queue=0,run=40", partial=0, finite=False)
    w.submit("succeeded-1", "stuck-2")
    async with w.running():
        await anyio.sleep(35)
        assert len(await store.load_state("progress speaker-search") or "") > 60
        await store.forget(Selection(key=key("stuck-2")))
        await anyio.sleep(65)
        assert await store.load_state("progress speaker-search") == "{}"
