"""What the owner of the file keeps for itself: the epoch of its lease, learned state, and erasures that it has not read yet."""

from __future__ import annotations

import sqlite3


def read_epoch(db: sqlite3.Connection) -> int:
    """The epoch of the current lease, or of the last one."""
    return int(db.execute("SELECT epoch FROM shards WHERE shard = 0").fetchone()[0])


def next_epoch(db: sqlite3.Connection) -> int:
    """Make every lease invalid. Returns the epoch of the next one."""
    db.execute("UPDATE shards SET epoch = epoch + 1 WHERE shard = 0")
    return read_epoch(db)


def load_state(db: sqlite3.Connection, name: str) -> str | None:
    """The text kept under this name."""
    row = db.execute("SELECT text FROM state WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def save_state(db: sqlite3.Connection, name: str, text: str) -> None:
    """Keep a text under this name, in place of an earlier one."""
    db.execute("INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text", (name, text))


def states(db: sqlite3.Connection) -> dict[str, str]:
    """All texts by name."""
    return dict(db.execute("SELECT name, text FROM state ORDER BY name"))


def drop_states(db: sqlite3.Connection) -> None:
    """Remove all texts."""
    db.execute("DELETE FROM state")


def drop_state(db: sqlite3.Connection, name: str) -> None:
    """Remove the text kept under this name."""
    db.execute("DELETE FROM state WHERE name = ?", (name,))


def forgotten(db: sqlite3.Connection, after: int) -> tuple[int, list[str]]:
    """The keys erased after erasure number `after`, and the number of the last erasure."""
    rows = db.execute("SELECT n, key FROM forgotten WHERE n > ? ORDER BY n", (after,)).fetchall()
    return (rows[-1][0] if rows else after), [row[1] for row in rows]


def drop_forgotten(db: sqlite3.Connection, upto: int | None = None) -> None:
    """Remove the records of erasures up to this number, or all."""
    db.execute("DELETE FROM forgotten WHERE ?1 IS NULL OR n <= ?1", (upto,))
