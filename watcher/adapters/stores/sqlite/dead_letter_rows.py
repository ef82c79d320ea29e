"""Dead letters in the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from watcher.adapters.dead_letter_bodies import pack, unpack
from watcher.adapters.stores.sqlite.event_rows import SHARD
from watcher.model import DeadLetter
from watcher.ports import RETRY_PAGE
from watcher.query import DeadLetterQuery, Page, decode_cursor, page

ERASE_BATCH = 500
"""Dead letters erased in one transaction, so that commits do not wait for all of them."""
_COLUMNS = "id, what, origin, reason, detail, at, key, position, tries"
# The dead letter of an event whose task was erased in the meantime would bring back its result, so it is not added.
# The task's kind and parameters are kept with the dead letter, because its watch may be pruned earlier.
# S608 below: the statements consist of constants of this file and parameters, never of data.
_ADD = f"""INSERT INTO dead_letters ({_COLUMNS}, body, size, kind, params, retry)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, w.kind, w.params, 0 FROM (SELECT 1) LEFT JOIN watches w ON w.key = ?7
    WHERE ?2 != 'event' OR ?8 = 0 OR EXISTS (SELECT 1 FROM events WHERE position = ?8) OR EXISTS (SELECT 1 FROM dead_letters WHERE id = ?1)
    ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at, tries = tries + 1, retry = 0"""  # noqa: S608
_READ = f"SELECT n, {_COLUMNS}, retry, body, size FROM dead_letters"  # noqa: S608
_READ_SUMMARY = f"SELECT n, {_COLUMNS}, retry, NULL, coalesce(size, length(body)) FROM dead_letters"  # noqa: S608
_LAST_CHARACTER = "\U0010ffff"


def add(db: sqlite3.Connection, dead_letters: Sequence[DeadLetter]) -> None:
    """Keep dead letters. One that is kept already counts one more try, and loses its mark for a retry."""
    rows = [(x.id, x.what, x.origin, x.reason, x.detail, x.at, x.key, x.position, x.tries, *pack(x.body)) for x in dead_letters]
    db.executemany(_ADD, rows)


def find(db: sqlite3.Connection, query: DeadLetterQuery) -> Page[DeadLetter]:
    """One page of those that match."""
    comparison, order = (">", "ASC") if query.oldest_first else ("<", "DESC")
    conditions: list[str] = []
    values: list[object] = []
    if query.key is not None:
        conditions.append("key = ?")
        values.append(query.key)
    if query.id_prefix:
        conditions.append("id >= ? AND id < ?")
        values += [query.id_prefix, query.id_prefix + _LAST_CHARACTER]
    if query.after is not None:
        conditions.append(f"(at, n) {comparison} (?, ?)")
        values += decode_cursor(query.after, 2)
    where = " AND ".join(conditions) or "TRUE"
    read = _READ if query.bodies else _READ_SUMMARY
    rows = db.execute(f"{read} WHERE {where} ORDER BY at {order}, n {order} LIMIT ?", (*values, query.limit + 1))
    placed = ((number, _dead_letter(fields)) for number, *fields in rows)
    return page((((found.at, number), found) for number, found in placed), query.limit)


def count(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Return the number of dead letters by `what` and `origin`."""
    rows = db.execute("SELECT what, origin, count(*) FROM dead_letters GROUP BY what, origin")
    return {(what, origin): number for what, origin, number in rows}


def to_retry(db: sqlite3.Connection, after: str | None) -> Page[DeadLetter]:
    """Return one page of the dead letters that are marked for a retry, in order of arrival."""
    first = 0 if after is None else decode_cursor(after, 1)[0]
    # the first condition makes the partial index usable, the second one lets it be searched in order of arrival
    rows = db.execute(f"{_READ} WHERE retry AND retry = 1 AND n > ? ORDER BY n LIMIT ?", (first, RETRY_PAGE + 1))
    return page((((row[0],), _dead_letter(row[1:])) for row in rows), RETRY_PAGE)


def mark(db: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Mark these for a retry. Returns how many exist."""
    return db.executemany("UPDATE dead_letters SET retry = 1 WHERE id = ?", [(id_,) for id_ in dict.fromkeys(ids)]).rowcount


def purge(db: sqlite3.Connection, ids: Sequence[str] | None) -> int:
    """Erase these, or all. Returns how many."""
    if ids is None:
        return db.execute("DELETE FROM dead_letters").rowcount
    return db.executemany("DELETE FROM dead_letters WHERE id = ?", [(id_,) for id_ in ids]).rowcount


def prune(db: sqlite3.Connection, what: str, before: float) -> int:
    """Erase some of the dead letters of inputs, or of events, that are older. Returns how many."""
    old = "SELECT n FROM dead_letters WHERE what = ? AND at < ? LIMIT ?"
    return db.execute(f"DELETE FROM dead_letters WHERE n IN ({old})", (what, before, ERASE_BATCH)).rowcount  # noqa: S608


def drop(db: sqlite3.Connection, sink: str) -> None:
    """Erase the dead letters of the events of this sink."""
    db.execute("DELETE FROM dead_letters WHERE what = 'event' AND origin = ?", (sink,))


def _dead_letter(row: Sequence[Any]) -> DeadLetter:
    id_, what, origin, reason, detail, at, key, position, tries, retry, kept, size = row
    body, left_out = (b"", size) if kept is None else (unpack(kept, size), None)
    return DeadLetter(id_, what, origin, reason, detail, body, at, key, position, SHARD, tries, bool(retry), left_out)
