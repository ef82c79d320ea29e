"""Dead letters, the notices that operators leave for the owner, and notes from an earlier life."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from watcher.model import DeadLetter

_COLUMNS = "id, what, origin, reason, detail, body, at, key, position, tries, retry"
# A letter about an event whose watch was forgotten in the meantime would bring back what was to be erased.
# S608 below: the statements are put together from the constants of this file, never from data.
_ADD = f"""INSERT INTO letters ({_COLUMNS}) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0
    WHERE ?2 != 'event' OR ?9 = 0 OR EXISTS (SELECT 1 FROM events WHERE position = ?9) OR EXISTS (SELECT 1 FROM letters WHERE id = ?1)
    ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at, tries = tries + 1, retry = 0"""  # noqa: S608
_READ = f"SELECT {_COLUMNS} FROM letters"  # noqa: S608


def add(db: sqlite3.Connection, letters: Sequence[DeadLetter]) -> None:
    """Keep these; the same letter again counts one more try, and is not to be retried until somebody asks again."""
    db.executemany(_ADD, [(x.id, x.what, x.origin, x.reason, x.detail, x.body, x.at, x.key, x.position, x.tries) for x in letters])


def newest(db: sqlite3.Connection) -> list[DeadLetter]:
    """The newest first."""
    return [_letter(row) for row in db.execute(f"{_READ} ORDER BY at DESC, n DESC")]


def asked(db: sqlite3.Connection) -> list[DeadLetter]:
    """Those to be tried again, in the order in which they came."""
    return [_letter(row) for row in db.execute(f"{_READ} WHERE retry ORDER BY n")]


def retry(db: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Mark these as to be tried again. Returns how many there were."""
    return db.executemany("UPDATE letters SET retry = 1 WHERE id = ?", [(id_,) for id_ in dict.fromkeys(ids)]).rowcount


def purge(db: sqlite3.Connection, ids: Sequence[str] | None) -> int:
    """Erase these, or all. Returns how many."""
    if ids is None:
        return db.execute("DELETE FROM letters").rowcount
    return db.executemany("DELETE FROM letters WHERE id = ?", [(id_,) for id_ in ids]).rowcount


def prune(db: sqlite3.Connection, before: float) -> int:
    """Erase those from before then. Returns how many."""
    return db.execute("DELETE FROM letters WHERE at < ?", (before,)).rowcount


def notices(db: sqlite3.Connection, after: int) -> tuple[int, list[str]]:
    """The keys forgotten behind notice `after`, and the last notice."""
    rows = db.execute("SELECT n, key FROM forgotten WHERE n > ? ORDER BY n", (after,)).fetchall()
    return (rows[-1][0] if rows else after), [row[1] for row in rows]


def drop_notices(db: sqlite3.Connection, upto: int | None = None) -> None:
    """Erase the notices up to this one, or all."""
    db.execute("DELETE FROM forgotten WHERE ?1 IS NULL OR n <= ?1", (upto,))


def load_state(db: sqlite3.Connection, name: str) -> str | None:
    """The note by this name."""
    row = db.execute("SELECT note FROM notes WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def save_state(db: sqlite3.Connection, name: str, note: str) -> None:
    """Keep this note under this name, instead of an earlier one."""
    db.execute("INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET note = excluded.note", (name, note))


def _letter(row: Sequence[Any]) -> DeadLetter:
    id_, what, origin, reason, detail, body, at, key, position, tries, retry = row
    return DeadLetter(id_, what, origin, reason, detail, body, at, key, position, tries, bool(retry))
