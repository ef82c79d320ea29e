"""Events on their way out: stored once, and for each sink a cursor with, above it, the few that were settled out of turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from watcher.model import Backlog, Event

_EVENT = """SELECT e.id, w.key, w.kind, e.type, e."to", e.terminal, e.at, e.body, e.position
    FROM events e JOIN watches w ON w.n = e.watch"""
_UNSETTLED = """e.position > s.cursor AND NOT EXISTS (SELECT 1 FROM settled d WHERE d.sink = s.name AND d.position = e.position)"""
# S608 below: the statements are put together from the constants of this file, never from data.
_OUTBOX = f"""{_EVENT} JOIN sinks s ON s.name = ?
    WHERE e.position > max(?, s.cursor) AND {_UNSETTLED} ORDER BY e.position LIMIT ?"""
_HISTORY = f"{_EVENT} WHERE w.key = ? ORDER BY e.position"
# With min(), SQLite takes the other columns from the row that has the minimum: `at` is the oldest event's.
_BACKLOG = f"SELECT s.name, count(e.position), e.at, min(e.position) FROM sinks s LEFT JOIN events e ON {_UNSETTLED} GROUP BY s.name"  # noqa: S608
_OWED = f"""SELECT s.name, count(*) FROM sinks s JOIN events e ON {_UNSETTLED} JOIN watches w ON w.n = e.watch
    WHERE w.key = ? GROUP BY s.name"""  # noqa: S608
_WALK = """SELECT e.position, d.position IS NOT NULL FROM events e
    LEFT JOIN settled d ON d.sink = ? AND d.position = e.position WHERE e.position > ? ORDER BY e.position"""


def name_sinks(db: sqlite3.Connection, names: Sequence[str]) -> None:
    """Forget the sinks that are not named; the new ones begin behind the newest event there ever was."""
    known = {row[0] for row in db.execute("SELECT name FROM sinks")}
    gone = [(name,) for name in known - set(names)]
    db.executemany("DELETE FROM sinks WHERE name = ?", gone)
    db.executemany("DELETE FROM settled WHERE sink = ?", gone)
    newest = db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'").fetchone()[0] or 0
    new = [(name, newest) for name in dict.fromkeys(names) if name not in known]
    db.executemany("INSERT INTO sinks VALUES (?, ?)", new)


def outbox(db: sqlite3.Connection, sink: str, after: int, limit: int) -> list[Event]:
    """What this sink has not settled, behind `after`, in order."""
    return [_event(row) for row in db.execute(_OUTBOX, (sink, after, limit))]


def history(db: sqlite3.Connection, key: str) -> list[Event]:
    """All events of a task, in order."""
    return [_event(row) for row in db.execute(_HISTORY, (key,))]


def settle(db: sqlite3.Connection, sink: str, positions: set[int]) -> None:
    """Move the cursor as far as everything is settled, and note what is settled above it. In order, that is one small row."""
    row = db.execute("SELECT cursor FROM sinks WHERE name = ?", (sink,)).fetchone()
    if row is None:
        return
    cursor, stuck = _walk(db, sink, row[0], positions)
    if cursor > row[0]:
        db.execute("UPDATE sinks SET cursor = ? WHERE name = ?", (cursor, sink))
        db.execute("DELETE FROM settled WHERE sink = ? AND position <= ?", (sink, cursor))
    if stuck:
        db.executemany("INSERT OR IGNORE INTO settled VALUES (?, ?)", [(sink, position) for position in positions if position > cursor])


def _walk(db: sqlite3.Connection, sink: str, cursor: int, positions: set[int]) -> tuple[int, bool]:
    """The last position up to which all is settled, and whether it ended at one that is not."""
    with closing(db.execute(_WALK, (sink, cursor))) as rows:
        for position, settled in rows:
            if not settled and position not in positions:
                return cursor, True
            cursor = position
    return cursor, False


def backlog(db: sqlite3.Connection) -> dict[str, Backlog]:
    """For each sink, what it has still to settle."""
    return {name: Backlog(events, oldest_at) for name, events, oldest_at, _ in db.execute(_BACKLOG)}


def undelivered(db: sqlite3.Connection, key: str) -> dict[str, int]:
    """For each sink that has any, how many events of this task it has still to settle."""
    return dict(db.execute(_OWED, (key,)).fetchall())


def _event(row: Sequence[Any]) -> Event:
    id_, key, kind, type_, to, terminal, at, body, position = row
    return Event(id_, key, kind, type_, to, bool(terminal), at, body, position)
