"""Events in the file: each is stored one time. For each sink there is a cursor, and the events settled beyond it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import Any

from watcher.adapters.stores.sqlite import token_rows
from watcher.model import Backlog, Event
from watcher.query import EventQuery

SHARD = 0
"""The only shard of a file."""

_EVENT = """SELECT e.id, w.key, w.kind, e.type, e."to", e.terminal, e.at, e.body, e.position
    FROM events e JOIN watches w ON w.n = e.watch"""
_IS_SETTLED = "EXISTS (SELECT 1 FROM settled d WHERE d.sink = s.name AND d.position = e.position)"
_UNSETTLED = f"e.position > s.cursor AND NOT {_IS_SETTLED}"
# S608 below: the statements consist of constants of this file and parameters, never of data.
_OUTBOX = f"""{_EVENT} JOIN sinks s ON s.name = ?
    WHERE e.position > max(?, s.cursor) AND {_UNSETTLED} ORDER BY e.position LIMIT ?"""
_OF_TASK = f"{_EVENT} WHERE w.key = ? ORDER BY e.position"
_BACKLOG = f"""SELECT s.name,
    (SELECT count(*) FROM events e WHERE e.position > s.cursor) - (SELECT count(*) FROM settled d
        JOIN events e ON e.position = d.position WHERE d.sink = s.name AND d.position > s.cursor),
    (SELECT e.at FROM events e WHERE {_UNSETTLED} ORDER BY e.position LIMIT 1)
    FROM sinks s"""  # noqa: S608
_UNDELIVERED = f"""SELECT s.name, count(*) FROM sinks s JOIN events e ON {_UNSETTLED} JOIN watches w ON w.n = e.watch
    WHERE w.key = ? GROUP BY s.name"""  # noqa: S608
_FROM_CURSOR = """SELECT e.position, d.position IS NOT NULL FROM events e
    LEFT JOIN settled d ON d.sink = ? AND d.position = e.position WHERE e.position > ? ORDER BY e.position"""


def set_sinks(db: sqlite3.Connection, names: Sequence[str]) -> None:
    """Deliver to these sinks only: a new one starts after the newest event, also an erased one; the others are forgotten."""
    known = set(sinks(db))
    removed = [(name,) for name in known - set(names)]
    db.executemany("DELETE FROM sinks WHERE name = ?", removed)
    db.executemany("DELETE FROM settled WHERE sink = ?", removed)
    position = newest(db)
    new = [(name, position) for name in dict.fromkeys(names) if name not in known]
    db.executemany("INSERT INTO sinks VALUES (?, ?)", new)
    if new:
        token_rows.make_late(db)


def sinks(db: sqlite3.Connection) -> list[str]:
    """The names of the sinks, in order."""
    return [row[0] for row in db.execute("SELECT name FROM sinks ORDER BY name")]


def newest(db: sqlite3.Connection) -> int:
    """The last position that was given, also to an event that was erased since."""
    return db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'").fetchone()[0] or 0


def read_outbox(db: sqlite3.Connection, sink: str, after: int, limit: int) -> list[Event]:
    """Events after this position that the sink has not settled, in order."""
    return [_event(row) for row in db.execute(_OUTBOX, (sink, after, limit))]


def of_task(db: sqlite3.Connection, key: str) -> list[Event]:
    """All events of a task, in order."""
    return [_event(row) for row in db.execute(_OF_TASK, (key,))]


def find(db: sqlite3.Connection, query: EventQuery) -> list[Event]:
    """Events that match, in order."""
    filters = [("w.key = ?", query.key), ("w.kind = ?", query.kind), ("e.terminal = ?", query.terminal)]
    where = "".join(f" AND {condition}" for condition, value in filters if value is not None)
    values = [value for _, value in filters if value is not None]
    statement = f"{_EVENT} WHERE e.position > ?{where} ORDER BY e.position LIMIT ?"
    return [_event(row) for row in db.execute(statement, (query.after.get(SHARD, 0), *values, query.limit))]


def positions(db: sqlite3.Connection) -> dict[int, int]:
    """The position of the newest event; empty without events."""
    last = db.execute("SELECT max(position) FROM events").fetchone()[0]
    return {} if last is None else {SHARD: last}


def settle(db: sqlite3.Connection, sink: str, positions: Collection[int]) -> None:
    """Move the cursor up to the first unsettled event, and record the events settled beyond it.

    For events that are settled in order, this writes one small row.
    """
    row = db.execute("SELECT cursor FROM sinks WHERE name = ?", (sink,)).fetchone()
    if row is None:
        return
    cursor, is_behind = _advance(db, sink, row[0], positions)
    if cursor > row[0]:
        db.execute("UPDATE sinks SET cursor = ? WHERE name = ?", (cursor, sink))
        db.execute("DELETE FROM settled WHERE sink = ? AND position <= ?", (sink, cursor))
    if is_behind:
        db.executemany("INSERT OR IGNORE INTO settled VALUES (?, ?)", [(sink, position) for position in positions if position > cursor])


def _advance(db: sqlite3.Connection, sink: str, cursor: int, positions: Collection[int]) -> tuple[int, bool]:
    """The last position up to which all events are settled, and whether an unsettled event follows."""
    with closing(db.execute(_FROM_CURSOR, (sink, cursor))) as rows:
        for position, settled in rows:
            if not settled and position not in positions:
                return cursor, True
            cursor = position
    return cursor, False


def backlog(db: sqlite3.Connection) -> dict[str, Backlog]:
    """For each sink, how many events it has not settled, and when the oldest of them was committed."""
    return {name: Backlog(events, oldest_at) for name, events, oldest_at in db.execute(_BACKLOG)}


def undelivered(db: sqlite3.Connection, key: str) -> dict[str, int]:
    """For each sink that has any, the number of events of this task that it has not settled."""
    return dict(db.execute(_UNDELIVERED, (key,)).fetchall())


def _event(row: Sequence[Any]) -> Event:
    id_, key, kind, type_, to, terminal, at, body, position = row
    return Event(id_, key, kind, type_, to, bool(terminal), at, body, position, SHARD)
