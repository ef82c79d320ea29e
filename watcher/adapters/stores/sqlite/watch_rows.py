"""Watches in the file, with the events that tell of them. Each function is one piece of work inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from watcher.model import Change, TaskRef, Watch

PIECE = 1000
"""Watches read at once when all are loaded."""
PRUNED_AT_ONCE = 500
"""Watches erased in one transaction, so that commits pass in between."""

_facts = attrgetter(
    "admitted_at",
    "deadline_at",
    "context",
    "status",
    "status_since",
    "changed_at",
    "created_at",
    "started_at",
    "updated_at",
    "result_digest",
    "sequence",
    "polls",
    "ended_at",
    "end_reason",
)
"""What the store keeps of a watch beside its names, in the order of `Watch` and of the columns."""

_FACTS = (
    "admitted_at, deadline_at, context, status, status_since, changed_at, created_at, started_at, updated_at,"
    " result_digest, sequence, polls, ended_at, end_reason"
)
# S608 below: the statements are put together from the constants of this file, never from data.
_ADMIT = f"""INSERT INTO watches (key, id, target, kind, connector, params, {_FACTS})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"""  # noqa: S608
_UPDATE = f"""UPDATE watches SET ({_FACTS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    WHERE key = ? AND id = ? AND sequence <= ?"""  # noqa: S608
_TELL = """INSERT INTO events (watch, id, type, "to", terminal, at, body)
    SELECT n, ?, ?, ?, ?, ?, ? FROM watches WHERE key = ? AND id = ? ON CONFLICT (watch, id) DO NOTHING"""
_READ = f"SELECT target, kind, params, id, {_FACTS} FROM watches"  # noqa: S608
_LOAD = f"SELECT n, target, kind, params, id, {_FACTS} FROM watches WHERE ended_at IS NULL AND n > ? ORDER BY n LIMIT ?"  # noqa: S608
_PRUNABLE = """SELECT n FROM watches WHERE ended_at < ? AND NOT EXISTS (
    SELECT 1 FROM events e JOIN sinks s ON e.position > s.cursor WHERE e.watch = n AND NOT EXISTS (
        SELECT 1 FROM settled d WHERE d.sink = s.name AND d.position = e.position)) LIMIT ?"""


def admit(db: sqlite3.Connection, watches: Sequence[Watch]) -> Sequence[Watch]:
    """For each, the watch that stands now."""
    rows = [_named(watch) + _facts(watch) for watch in watches]
    if db.executemany(_ADMIT, rows).rowcount == len(rows):
        return watches
    return [_standing(db, row[0]) for row in rows]


def commit(db: sqlite3.Connection, changes: Sequence[Change]) -> list[str]:
    """Write all that still has its watch; returns the keys of the others.

    A change that is older than its row is not expected; it would leave the row as it is.
    """
    named = [(change.watch.key, change) for change in changes]
    rows = [(*_facts(change.watch), key, change.watch.id, change.watch.sequence) for key, change in named]
    written = db.executemany(_UPDATE, rows).rowcount
    told = [
        (event.id, event.type, event.to, event.terminal, event.at, event.body, key, change.watch.id)
        for key, change in named
        for event in change.events
    ]
    db.executemany(_TELL, told)
    if written == len(rows):
        return []
    return [key for key, change in named if not _stands(db, key, change.watch.id)]


def load(db: sqlite3.Connection, after: int) -> tuple[int, list[Watch]]:
    """Open watches behind row `after`, and the row to go on behind."""
    rows = db.execute(_LOAD, (after, PIECE)).fetchall()
    return (rows[-1][0] if rows else after), [_watch(row[1:]) for row in rows]


def find(db: sqlite3.Connection, key: str) -> Watch | None:
    """The watch of this key, open or ended."""
    row = db.execute(f"{_READ} WHERE key = ?", (key,)).fetchone()
    return None if row is None else _watch(row)


def newest(db: sqlite3.Connection, open_only: bool, limit: int) -> list[Watch]:
    """The newest first."""
    where = "WHERE ended_at IS NULL" if open_only else ""
    return [_watch(row) for row in db.execute(f"{_READ} {where} ORDER BY n DESC LIMIT ?", (limit,))]


def forget(db: sqlite3.Connection, key: str | None, connector: str | None) -> int:
    """Erase all there is about a task, or about all tasks of a connector, and leave a notice for the owner."""
    rows = db.execute("SELECT n, key FROM watches WHERE key = ? OR connector = ?", (key, connector)).fetchall()
    _erase(db, [row[0] for row in rows])
    db.executemany("INSERT INTO forgotten (key) VALUES (?)", [(row[1],) for row in rows])
    db.execute("DELETE FROM letters WHERE key = ?", (key,))
    if connector is not None:
        db.execute("DELETE FROM letters WHERE instr(key || '/', ?)", (f"/{quote(connector, safe='')}/",))
    return len(rows)


def prune(db: sqlite3.Connection, before: float) -> int:
    """Erase some of the watches that ended before then and that every sink has heard all of. Returns how many."""
    numbers = [row[0] for row in db.execute(_PRUNABLE, (before, PRUNED_AT_ONCE))]
    _erase(db, numbers)
    return len(numbers)


def _erase(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    rows = [(number,) for number in numbers]
    db.executemany("DELETE FROM events WHERE watch = ?", rows)
    db.executemany("DELETE FROM watches WHERE n = ?", rows)


def _stands(db: sqlite3.Connection, key: str, watch: str) -> bool:
    return db.execute("SELECT 1 FROM watches WHERE key = ? AND id = ?", (key, watch)).fetchone() is not None


def _standing(db: sqlite3.Connection, key: str) -> Watch:
    return _watch(db.execute(f"{_READ} WHERE key = ?", (key,)).fetchone())


def _named(watch: Watch) -> tuple[str | None, ...]:
    ref = watch.ref
    return (ref.key, watch.id, ref.target, ref.kind, ref.params[0] if ref.params else None, json.dumps(ref.params))


def _watch(row: Sequence[Any]) -> Watch:
    target, kind, params, watch, *facts = row
    return Watch(TaskRef(kind, tuple(json.loads(params)), target), watch, *facts)
