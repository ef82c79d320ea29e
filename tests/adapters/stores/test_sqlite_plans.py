"""The plans of the queries: each walks an index or the rows in order, so that its limit bounds the work."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.stores.sqlite_ground import owned
from tests.contracts.store_exam.facts import a_watch, leases
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.query import DeadLetterQuery, EventQuery, Selection, TaskQuery, encode_cursor

AFTER_TASK, AFTER_DEAD_LETTER = encode_cursor(5), encode_cursor(1000.0, 5)
SORTED = "TEMP B-TREE"
KEY = a_watch().key


async def plan(store: SqliteStore, path: Path, ask: Callable[[SqliteStore], Awaitable[Any]]) -> str:
    """How SQLite carries out each statement that reads or erases, one step a line."""
    statements: list[str] = []
    for db in store._file._connections:
        db.set_trace_callback(statements.append)
    await ask(store)
    with contextlib.closing(sqlite3.connect(path)) as other:
        asked = [
            statement
            for statement in statements
            if statement.startswith(
                ("SELECT n", "SELECT e", "SELECT key", "SELECT max", "SELECT s", "SELECT count", "SELECT what", "DELETE")
            )
        ]
        return "\n".join(row[3] for statement in asked for row in other.execute(f"EXPLAIN QUERY PLAN {statement}"))


@pytest.mark.parametrize(
    ("query", "access"),
    [
        (TaskQuery(), "SCAN watches"),
        (TaskQuery(after=AFTER_TASK), "INTEGER PRIMARY KEY (rowid<?)"),
        (TaskQuery(kind="speaker-search", status="IN_PROGRESS", after=AFTER_TASK), "INTEGER PRIMARY KEY (rowid<?)"),
        (TaskQuery(open=True), "watches_open (ended_at=?)"),
        (TaskQuery(open=True, after=AFTER_TASK), "watches_open (ended_at=? AND rowid<?)"),
        (TaskQuery(open=True, kind="speaker-search", status="IN_PROGRESS"), "watches_open (ended_at=?)"),
        (TaskQuery(open=False, kind="speaker-search"), "SCAN watches"),
        (TaskQuery(open=False, after=AFTER_TASK), "INTEGER PRIMARY KEY (rowid<?)"),
    ],
)
async def test_tasks_are_read_in_order(path: Path, query: TaskQuery, access: str) -> None:
    """Tasks are read from the newest row down, or from the index of the open ones, and never sorted."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.tasks(query))
        assert access in steps
        assert SORTED not in steps


@pytest.mark.parametrize(
    ("query", "access"),
    [
        (DeadLetterQuery(), "dead_letters_at"),
        (DeadLetterQuery(after=AFTER_DEAD_LETTER), "dead_letters_at (at<?)"),
        (DeadLetterQuery(key=KEY), "dead_letters_key (key=?)"),
        (DeadLetterQuery(key=KEY, after=AFTER_DEAD_LETTER), "dead_letters_key (key=? AND at<?)"),
    ],
)
async def test_dead_letters_are_read_in_order(path: Path, query: DeadLetterQuery, access: str) -> None:
    """Dead letters are read from an index in order of time, and never sorted."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.dead_letters(query))
        assert access in steps
        assert SORTED not in steps


async def test_dead_letters_are_counted_in_an_index(path: Path) -> None:
    """Counting and summaries read no body: the count walks an index that has no bodies."""
    async with owned(path) as store:
        assert "COVERING INDEX dead_letters_what" in await plan(store, path, lambda store: store.count_dead_letters())


async def test_old_dead_letters_are_found_by_their_time(path: Path) -> None:
    """Pruning searches the old ones of its kind, however many dead letters of events are kept."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.prune(5.0, 5.0))
        assert steps.count("dead_letters_what (what=? AND at<?)") == 2


async def test_marked_dead_letters_are_found_by_their_mark(path: Path) -> None:
    """A page of requests reads the marked dead letters and the cancelled watches only, in order."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.requests(encode_cursor(5)))
        assert "dead_letters_retry (retry=? AND rowid>?)" in steps
        assert "watches USING INDEX watches_cancelled (cancelled=?)" in steps
        assert SORTED not in steps


async def test_dead_letters_are_found_by_their_ids(path: Path) -> None:
    """The start of an id is searched in the index of the ids, so that only those that match are sorted."""
    async with owned(path) as store:
        assert "(id>? AND id<?)" in await plan(store, path, lambda store: store.dead_letters(DeadLetterQuery(id_prefix="ab")))


@pytest.mark.parametrize("query", [EventQuery(), EventQuery(after={0: 5}, kind="speaker-search", terminal=True)])
async def test_events_are_read_in_order(path: Path, query: EventQuery) -> None:
    """Events are read by position, starting at the cursor."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.events(query))
        assert steps.startswith("SEARCH e USING INTEGER PRIMARY KEY (rowid>?)")
        assert SORTED not in steps


@pytest.mark.parametrize("method", ["task_events", "undelivered"])
async def test_events_of_a_task_are_found_by_its_key(path: Path, method: str) -> None:
    """The events of one task are searched by its key, so that only they are sorted."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: getattr(store, method)(KEY))
        assert "(key=?)" in steps
        assert "events_id (watch=?)" in steps


async def test_events_with_a_key_are_found_by_it(path: Path) -> None:
    """The filter by key of an event query searches the task, and does not read the events of the others."""
    async with owned(path) as store:
        assert "events_id (watch=?)" in await plan(store, path, lambda store: store.events(EventQuery(key=KEY)))


async def test_open_watches_are_loaded_in_order(path: Path) -> None:
    """Open watches are read and counted from their index, however many have ended."""
    async with owned(path) as store:
        lease = (await leases(store))[0]

        async def load(store: SqliteStore) -> None:
            assert [watches async for watches in store.load(lease)] == []

        steps = await plan(store, path, load)
        assert "watches_open (ended_at=? AND rowid>?)" in steps
        assert SORTED not in steps
        assert "COVERING INDEX watches_open" in await plan(store, path, lambda store: store.count_open())
        assert "watches_open" in await plan(store, path, lambda store: store.count_open(["speaker-search"]))
        assert "watches_open" in await plan(store, path, lambda store: store.count_open(["speaker-search"], ["default"]))


async def test_the_newest_position_is_the_last_row(path: Path) -> None:
    """The newest position is found without reading events."""
    async with owned(path) as store:
        assert await plan(store, path, lambda store: store.positions()) == "SEARCH events"


async def test_the_outbox_is_read_in_order(path: Path) -> None:
    """The outbox is read by position, starting at the cursor of the sink."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.read_outbox("bus", 0, 7, 10))
        assert "SEARCH e USING INTEGER PRIMARY KEY (rowid>?)" in steps
        assert SORTED not in steps


@pytest.mark.parametrize("selection", [Selection(value="vc1"), Selection(kind="speaker-search", value="vc1")])
async def test_erasure_by_the_first_parameter_uses_its_index(path: Path, selection: Selection) -> None:
    """The tasks of one first parameter are found without reading all watches, also those of one kind."""
    async with owned(path) as store:
        steps = await plan(store, path, lambda store: store.forget(selection))
        assert "watches_first_param (<expr>=?)" in steps
        assert "SCAN watches" not in steps
