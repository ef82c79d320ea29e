"""Task tokens in the file. Each function is a part of a transaction, or a read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from watcher.model import TaskTokens, token_digest
from watcher.query import Page, decode_cursor, page

_ADD = """INSERT INTO task_tokens (watch, digest, token, late) SELECT n, ?, ?, ended_at IS NOT NULL FROM watches WHERE key = ?
    ON CONFLICT (watch, digest) DO NOTHING"""
_FIND = """SELECT token FROM task_tokens WHERE watch = (SELECT n FROM watches WHERE key = ?) AND token IS NOT NULL ORDER BY n"""
_OF_WATCH = "watch = (SELECT n FROM watches WHERE key = ?) AND digest = ? AND token IS NOT NULL"
# S608 below: the statements consist of constants of this file and parameters, never of data.
_BEGIN = f"UPDATE task_tokens SET begun = 1 WHERE {_OF_WATCH} AND begun = 0"  # noqa: S608
_DROP = f"UPDATE task_tokens SET token = NULL WHERE {_OF_WATCH}"  # noqa: S608
_MAKE_LATE = """UPDATE task_tokens SET late = 1 WHERE token IS NOT NULL AND late = 0
    AND watch IN (SELECT n FROM watches WHERE ended_at IS NOT NULL)"""
_LATE = """SELECT w.key FROM task_tokens t JOIN watches w ON w.n = t.watch
    WHERE t.token IS NOT NULL AND t.late = 1 GROUP BY w.key ORDER BY min(t.n) LIMIT ?"""
_OPEN = """SELECT t.n, w.key, t.token FROM task_tokens t CROSS JOIN watches w ON w.n = t.watch
    WHERE t.token IS NOT NULL AND t.late = 0 AND t.n > ? AND w.ended_at IS NULL ORDER BY t.n LIMIT ?"""


def add(db: sqlite3.Connection, tokens: TaskTokens) -> None:
    """Keep tokens with their watches. One that was kept before is ignored, also if it was answered."""
    db.executemany(_ADD, [(token_digest(token), token, key) for key, given in tokens.items() for token in given])


def find(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, list[str]]:
    """The tokens of these tasks that are not answered, in order of arrival."""
    found = {key: [row[0] for row in db.execute(_FIND, (key,))] for key in keys}
    return {key: tokens for key, tokens in found.items() if tokens}


def begin(db: sqlite3.Connection, tokens: TaskTokens) -> dict[str, list[str]]:
    """Record that these are about to be answered. Returns those that were recorded before."""
    earlier: dict[str, list[str]] = {}
    for key, given in tokens.items():
        for token in given:
            if not db.execute(_BEGIN, (key, token_digest(token))).rowcount:
                earlier.setdefault(key, []).append(token)
    return earlier


def drop(db: sqlite3.Connection, tokens: TaskTokens) -> None:
    """Erase tokens that are answered, except their digests."""
    db.executemany(_DROP, [(key, token_digest(token)) for key, given in tokens.items() for token in given])


def make_late(db: sqlite3.Connection) -> None:
    """A sink was added: it does not get the last events of tasks that have ended, so their tokens are late."""
    db.execute(_MAKE_LATE)


def late(db: sqlite3.Connection, limit: int) -> list[str]:
    """The keys of tasks with late tokens that are not answered, the longest waiting first."""
    return [row[0] for row in db.execute(_LATE, (limit,))]


def waiting(db: sqlite3.Connection, after: str | None, limit: int) -> Page[tuple[str, str]]:
    """One page of the keys and tokens of open watches."""
    first = 0 if after is None else decode_cursor(after, 1)[0]
    rows = db.execute(_OPEN, (first, limit + 1))
    return page((((number,), (key, token)) for number, key, token in rows), limit)


def erase(db: sqlite3.Connection, watches: Sequence[tuple[int]]) -> None:
    """Erase all tokens of these watches, by their numbers."""
    db.executemany("DELETE FROM task_tokens WHERE watch = ?", watches)
