"""Dead letters in the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from watcher.adapters.dead_letter_bodies import pack, unpack
from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.watch_rows import columns, whole
from watcher.model import DeadLetter, shard_of
from watcher.ports import RETRY_PAGE
from watcher.query import DeadLetterQuery, Page, decode_cursor, page

ERASE_BATCH = 500
"""Dead letters erased in one transaction."""
_COLUMNS = "id, what, origin, reason, detail, at, key, position, shard, tries"
# S608 below: the statements consist of constants of this file and parameters, never of data.
# The locks, in the order in which an erasure takes them: it ends before this, or waits until these dead letters are there.
_LOCK_WATCHES = "SELECT n FROM watches WHERE key = ANY(%b::text[]) ORDER BY n FOR KEY SHARE"
_LOCK = "SELECT n FROM dead_letters WHERE id = ANY(%b::text[]) ORDER BY id FOR UPDATE"
# The dead letter of an event whose task was erased in the meantime would bring back its result, so it is not added.
# The task's kind and parameters are kept with the dead letter, because its watch may be pruned earlier.
# The numbers are in the order of arrival, the rows are written in the order of their ids.
_ADD = f"""INSERT INTO dead_letters AS d (n, {_COLUMNS}, body, size, kind, params)
    SELECT v.*, w.kind, w.params
    FROM (SELECT nextval('dead_letter_numbers'), * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::float8[],
        %b::text[], %b::int8[], %b::int[], %b::int[], %b::bytea[], %b::int8[]) AS u ({_COLUMNS}, body, size) OFFSET 0) v
    LEFT JOIN watches w ON w.key = v.key
    WHERE v.what <> 'event' OR v.position = 0 OR EXISTS (SELECT 1 FROM events e WHERE e.shard = v.shard AND e.position = v.position)
        OR EXISTS (SELECT 1 FROM dead_letters e WHERE e.id = v.id)
    ORDER BY v.id ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at, tries = d.tries + 1,
        retry = false"""  # noqa: S608
_READ = f"SELECT n, {_COLUMNS}, retry, body, size FROM dead_letters"  # noqa: S608
_READ_SUMMARY = f"SELECT n, {_COLUMNS}, retry, NULL::bytea, coalesce(size, length(body)) FROM dead_letters"  # noqa: S608
_COUNT = "SELECT what, origin, count(*) FROM dead_letters WHERE origin <> ALL(%b::text[]) GROUP BY what, origin"
_LAST_CHARACTER = "\U0010ffff"


async def lock_watches(db: Connection, dead_letters: Iterable[DeadLetter]) -> None:
    """Lock the watches of their events, before `lock` in the same transaction. A transaction that has locked them already skips this."""
    if keys := {x.key for x in dead_letters if x.key is not None}:
        await db.execute(_LOCK_WATCHES, (sorted(keys),))


async def lock(db: Connection, dead_letters: Iterable[DeadLetter]) -> None:
    """Lock those that are there already, before `add` in the same transaction, and after the watches of their events."""
    if ids := {x.id for x in dead_letters}:
        await db.execute(_LOCK, (sorted(ids),))


async def add(db: Connection, dead_letters: Iterable[DeadLetter], shards: int) -> None:
    """Keep dead letters. One that is kept already counts one more try, and loses its mark for a retry."""
    for unique in _rounds(dead_letters):
        rows = [
            (x.id, x.what, x.origin, x.reason, x.detail, float(x.at), x.key, x.position, _shard(x, shards), x.tries, *pack(x.body))
            for x in unique
        ]
        await db.execute(_ADD, columns(rows))


def _rounds(dead_letters: Iterable[DeadLetter]) -> list[list[DeadLetter]]:
    """The dead letters in lists in which no id comes twice: one statement cannot change a row two times."""
    rounds: list[dict[str, DeadLetter]] = []
    for dead_letter in dead_letters:
        for each in rounds:
            if dead_letter.id not in each:
                each[dead_letter.id] = dead_letter
                break
        else:
            rounds.append({dead_letter.id: dead_letter})
    return [list(each.values()) for each in rounds]


def _shard(dead_letter: DeadLetter, shards: int) -> int:
    """The shard whose owner retries it."""
    return dead_letter.shard if dead_letter.what == "event" else shard_of(dead_letter.id, shards)


async def find(db: Connection, query: DeadLetterQuery) -> Page[DeadLetter]:
    """One page of those that match."""
    comparison, order = (">", "ASC") if query.oldest_first else ("<", "DESC")
    conditions: list[str] = []
    values: list[object] = []
    if query.key is not None:
        conditions.append("key = %b")
        values.append(query.key)
    if query.id_prefix:
        conditions.append("id >= %b AND id < %b")
        values += [query.id_prefix, query.id_prefix + _LAST_CHARACTER]
    if query.after is not None:
        conditions.append(f"(at, n) {comparison} (%b::float8, %b::int8)")
        at, number = decode_cursor(query.after, 2)
        values += [at, whole(number)]
    where = " AND ".join(conditions) or "TRUE"
    read = _READ if query.bodies else _READ_SUMMARY
    rows = await _rows(db, f"{read} WHERE {where} ORDER BY at {order}, n {order} LIMIT %b", (*values, query.limit + 1))
    placed = ((number, _dead_letter(fields)) for number, *fields in rows)
    return page((((found.at, number), found) for number, found in placed), query.limit)


async def count(db: Connection, without: Collection[str] = ()) -> dict[tuple[str, str], int]:
    """Return the number of dead letters by `what` and `origin`. `without` are origins that are left out."""
    rows = await _rows(db, _COUNT, (list(without),))
    return {(what, origin): number for what, origin, number in rows}


async def to_retry(db: Connection, after: str | None, shards: Sequence[int]) -> Page[DeadLetter]:
    """Return one page of the dead letters of these shards that are marked for a retry, in order of arrival."""
    first = 0 if after is None else whole(decode_cursor(after, 1)[0])
    where = "retry AND n > %b::int8 AND shard = ANY(%b::int[])"
    rows = await _rows(db, f"{_READ} WHERE {where} ORDER BY n LIMIT %b", (first, list(shards), RETRY_PAGE + 1))
    return page((((row[0],), _dead_letter(row[1:])) for row in rows), RETRY_PAGE)


async def mark(db: Connection, ids: Sequence[str]) -> int:
    """Mark these for a retry. Returns how many exist."""
    chosen = "SELECT n FROM dead_letters WHERE id = ANY(%b::text[]) ORDER BY id FOR UPDATE"
    return (await db.execute(f"UPDATE dead_letters SET retry = true WHERE n IN ({chosen})", (list(ids),))).rowcount  # noqa: S608


async def purge(db: Connection, ids: Sequence[str] | None) -> int:
    """Erase these, or some of them all. Returns how many."""
    if ids is None:
        chosen = f"SELECT n FROM dead_letters ORDER BY id LIMIT {ERASE_BATCH} FOR UPDATE"  # noqa: S608
        return (await db.execute(f"DELETE FROM dead_letters WHERE n IN ({chosen})")).rowcount  # noqa: S608
    chosen = "SELECT n FROM dead_letters WHERE id = ANY(%b::text[]) ORDER BY id FOR UPDATE"
    return (await db.execute(f"DELETE FROM dead_letters WHERE n IN ({chosen})", (list(ids),))).rowcount  # noqa: S608


async def drop(db: Connection, sinks: Sequence[str]) -> None:
    """Erase the dead letters of the events of these sinks."""
    await db.execute("DELETE FROM dead_letters WHERE what = 'event' AND origin = ANY(%b::text[])", (list(sinks),))


async def _rows(db: Connection, statement: Any, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    cursor = db.cursor(binary=True)
    await cursor.execute(statement, values)
    return await cursor.fetchall()


def _dead_letter(row: Sequence[Any]) -> DeadLetter:
    id_, what, origin, reason, detail, at, key, position, shard, tries, retry, kept, size = row
    body, left_out = (b"", size) if kept is None else (unpack(bytes(kept), size), None)
    return DeadLetter(id_, what, origin, reason, detail, body, at, key, position, shard if what == "event" else 0, tries, retry, left_out)
