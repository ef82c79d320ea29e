"""Watches in the file, with the events that report their changes. Each function is one piece of work in a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any

from watcher.adapters.stores.sqlite import token_rows
from watcher.model import NO_TOKENS, STATE_FIELDS, Change, TaskRef, TaskTokens, Watch
from watcher.query import AGE_BOUNDS_S, OpenCount, Page, Selection, TaskQuery, decode_cursor, page

LOAD_BATCH = 1000
"""Watches in one read of `load`."""
PRUNE_BATCH = 500
"""Watches erased in one transaction, so that commits do not wait for all of them."""

_state = attrgetter(*STATE_FIELDS)
_STATE = ", ".join(STATE_FIELDS)
"""The columns have the names and the order of the fields of `Watch`."""

# S608 below: the statements consist of constants of this file and parameters, never of data.
_ADMIT = f"""INSERT INTO watches (key, id, target, kind, params, {_STATE})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"""  # noqa: S608
_UPDATE = f"""UPDATE watches SET ({_STATE}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    WHERE key = ? AND id = ? AND sequence <= ?"""  # noqa: S608
_ADD_EVENT = """INSERT INTO events (watch, id, type, "to", terminal, at, body)
    SELECT n, ?, ?, ?, ?, ?, ? FROM watches WHERE key = ? AND id = ? ON CONFLICT (watch, id) DO NOTHING"""
_READ = f"SELECT n, target, kind, params, id, {_STATE} FROM watches"  # noqa: S608
_LOAD = f"{_READ} WHERE ended_at IS NULL AND n > ? ORDER BY n LIMIT ?"
_COUNT_OPEN = "SELECT count(*) FROM watches WHERE ended_at IS NULL"
_AGE_CLASS = "".join(
    f" WHEN ? - coalesce(status_since, admitted_at) <= {bound} THEN {number}" for number, bound in enumerate(AGE_BOUNDS_S[:-1])
)
_COUNT_BY_STATE = f"""SELECT kind, status, CASE{_AGE_CLASS.replace("?", "?1")} ELSE {len(AGE_BOUNDS_S) - 1} END AS age_class, count(*)
    FROM watches WHERE ended_at IS NULL GROUP BY kind, status, age_class"""  # noqa: S608
_CANCEL = "UPDATE watches SET cancelled = 1 WHERE key = ? AND ended_at IS NULL"
_CANCELLED = "SELECT key, id FROM watches WHERE cancelled = 1 AND ended_at IS NULL ORDER BY n LIMIT ?"
_PRUNABLE = """SELECT n FROM watches WHERE ended_at < ? AND NOT EXISTS (
    SELECT 1 FROM events e JOIN sinks s ON e.position > s.cursor WHERE e.watch = n AND NOT EXISTS (
        SELECT 1 FROM settled d WHERE d.sink = s.name AND d.position = e.position)) LIMIT ?"""


def admit(db: sqlite3.Connection, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
    """Add watches, and tokens that wait for their tasks. Returns for each key the watch that now exists."""
    rows = [_names(watch) + _state(watch) for watch in watches]
    added = db.executemany(_ADMIT, rows).rowcount
    if task_tokens:
        token_rows.add(db, task_tokens)
    if added == len(rows):
        return watches
    return [_existing(db, row[0]) for row in rows]


def commit(db: sqlite3.Connection, changes: Sequence[Change]) -> list[str]:
    """Write the changes whose watch still exists. Returns the keys of the others.

    The runtime never writes a change older than the row. If one came, the row would stay as it is.
    """
    keyed = [(change.watch.key, change) for change in changes]
    rows = [(*_state(change.watch), key, change.watch.id, change.watch.sequence) for key, change in keyed]
    written = db.executemany(_UPDATE, rows).rowcount
    events = [
        (event.id, event.type, event.to, event.terminal, event.at, event.body, key, change.watch.id)
        for key, change in keyed
        for event in change.events
    ]
    db.executemany(_ADD_EVENT, events)
    if written == len(rows):
        return []
    return [key for key, change in keyed if not _exists(db, key, change.watch.id)]


def load(db: sqlite3.Connection, after: int) -> tuple[int, list[Watch]]:
    """Some open watches after this row, and the number of the last row read."""
    rows = db.execute(_LOAD, (after, LOAD_BATCH)).fetchall()
    return (rows[-1][0] if rows else after), [_watch(row) for row in rows]


def find(db: sqlite3.Connection, key: str) -> Watch | None:
    """The watch of this task, open or ended."""
    row = db.execute(f"{_READ} WHERE key = ?", (key,)).fetchone()
    return None if row is None else _watch(row)


def find_all(db: sqlite3.Connection, query: TaskQuery) -> Page[Watch]:
    """One page of the watches that match. Walks the open ones or all of them, from the cursor on."""
    comparison, order = (">", "ASC") if query.oldest_first else ("<", "DESC")
    filters: list[tuple[str, object]] = [("kind = ?", query.kind), ("status = ?", query.status), ("instr(key, ?) > 0", query.search)]
    if query.after is not None:
        filters.append((f"n {comparison} ?", decode_cursor(query.after, 1)[0]))
    conditions = [condition for condition, value in filters if value is not None]
    values = [value for _, value in filters if value is not None]
    if query.open is not None:
        conditions.append("ended_at IS NULL" if query.open else "ended_at IS NOT NULL")
    where = " AND ".join(conditions) or "TRUE"
    rows = db.execute(f"{_READ} WHERE {where} ORDER BY n {order} LIMIT ?", (*values, query.limit + 1))
    return page((((row[0],), _watch(row)) for row in rows), query.limit)


def count_open(db: sqlite3.Connection, kinds: Collection[str] | None, targets: Collection[str] | None) -> int:
    """How many open watches there are of these kinds and in these targets. None: of all kinds, in all targets."""
    filters = {"kind": kinds, "target": targets}
    used = {column: json.dumps(list(values)) for column, values in filters.items() if values is not None}
    conditions = "".join(f" AND {column} IN (SELECT value FROM json_each(?))" for column in used)  # noqa: S608
    return int(db.execute(_COUNT_OPEN + conditions, tuple(used.values())).fetchone()[0])


def count_by_state(db: sqlite3.Connection, now: float) -> list[OpenCount]:
    """How many open watches there are by kind, status, and age class."""
    rows = db.execute(_COUNT_BY_STATE, (now,))
    return [OpenCount(kind, status, AGE_BOUNDS_S[number], count) for kind, status, number, count in rows]


def cancel(db: sqlite3.Connection, keys: Sequence[str]) -> int:
    """Mark the open watches of these tasks to be ended. Returns how many there are."""
    return db.executemany(_CANCEL, [(key,) for key in dict.fromkeys(keys)]).rowcount if keys else 0


def cancelled(db: sqlite3.Connection, limit: int) -> dict[str, str]:
    """The keys and ids of open watches that are marked to be ended, in order of admission; all of them with a limit of -1."""
    return dict(db.execute(_CANCELLED, (limit,)).fetchall())


def forget(db: sqlite3.Connection, selection: Selection) -> int:
    """Erase the selected watches with their events and dead letters, and record their keys for the owner. Returns the number of watches."""
    where, values = _selected(selection)
    rows = db.execute(f"SELECT n, key FROM watches WHERE {where}", values).fetchall()  # noqa: S608
    _erase(db, [row[0] for row in rows])
    db.executemany("INSERT INTO forgotten (key) VALUES (?)", [(row[1],) for row in rows])
    db.execute(f"DELETE FROM dead_letters WHERE {where}", values)  # noqa: S608
    return len(rows)


def prune(db: sqlite3.Connection, before: float) -> int:
    """Erase some of the watches that ended before then and whose events every sink has settled. Returns how many."""
    numbers = [row[0] for row in db.execute(_PRUNABLE, (before, PRUNE_BATCH))]
    _erase(db, numbers)
    return len(numbers)


def _selected(selection: Selection) -> tuple[str, list[str]]:
    """The condition for a selection, the same for watches and dead letters, and its values."""
    if selection.key is not None:
        return "key = ?", [selection.key]
    if selection.value is None:
        return "FALSE", []
    # Part of the text, because only a constant path can use the index on the first parameter.
    where, values = f"json_extract(params, '$[{selection.param:d}]') = ?", [selection.value]
    if selection.kind is None:
        return where, values
    return f"{where} AND kind = ?", [*values, selection.kind]


def _erase(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    rows = [(number,) for number in numbers]
    db.executemany("DELETE FROM events WHERE watch = ?", rows)
    token_rows.erase(db, rows)
    db.executemany("DELETE FROM watches WHERE n = ?", rows)


def _exists(db: sqlite3.Connection, key: str, watch: str) -> bool:
    return db.execute("SELECT 1 FROM watches WHERE key = ? AND id = ?", (key, watch)).fetchone() is not None


def _existing(db: sqlite3.Connection, key: str) -> Watch:
    return _watch(db.execute(f"{_READ} WHERE key = ?", (key,)).fetchone())


def _names(watch: Watch) -> tuple[str, ...]:
    ref = watch.ref
    return (ref.key, watch.id, ref.target, ref.kind, json.dumps(ref.params))


def _watch(row: Sequence[Any]) -> Watch:
    _, target, kind, params, watch, *state = row
    return Watch(TaskRef(kind, tuple(json.loads(params)), target), watch, *state)
