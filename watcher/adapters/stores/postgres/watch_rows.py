"""Watches in the tables: admission and queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import one
from watcher.model import STATE_FIELDS, TaskRef, Watch, shard_of
from watcher.query import AGE_BOUNDS_S, OpenCount, Page, TaskQuery, decode_cursor, page

state = attrgetter(*STATE_FIELDS)
STATE = ", ".join(STATE_FIELDS)
"""The columns have the names and the order of the fields of `Watch`."""

_TYPES = [*["float8"] * 2, *["text"] * 2, *["float8"] * 5, "text", *["int8"] * 2, "float8", *["text"] * 2]
STATE_ARRAYS = ", ".join(f"%b::{type_}[]" for type_ in _TYPES)
"""Parameters: an array for each field of `STATE`."""

# S608 below: the statements consist of constants of this file and parameters, never of data.
# The numbers are in the order of arrival. The rows are written in the order of their keys, so that two replicas which admit
# the same tasks wait for each other in the same order. The owner of a shard is notified when it is another replica.
_ADMIT = f"""WITH new AS (
        INSERT INTO watches (n, shard, key, id, target, kind, params, {STATE})
        SELECT v.n, v.shard, v.key, v.id, v.target, v.kind, v.params::text[], {", ".join("v." + name for name in STATE.split(", "))}
        FROM (SELECT nextval('watch_numbers') AS n, *
            FROM unnest(%b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], {STATE_ARRAYS})
                AS u (shard, key, id, target, kind, params, {STATE}) OFFSET 0) v
        ORDER BY v.key ON CONFLICT (key) DO NOTHING RETURNING key, shard),
    others AS (
        SELECT DISTINCT s.owner FROM (SELECT DISTINCT shard FROM new) n JOIN shards s ON s.shard = n.shard
        WHERE s.owner IS NOT NULL AND s.owner <> %b)
    SELECT ARRAY(SELECT key FROM new), (SELECT count(pg_notify(%b, 'admitted ' || owner)) FROM others)"""  # noqa: S608
COLUMNS = f"w.n, w.target, w.kind, w.params, w.id, {', '.join('w.' + name for name in STATE.split(', '))}"
_READ = f"SELECT {COLUMNS} FROM watches w"  # noqa: S608
_FIND = f"{_READ} WHERE w.key = ANY(%b::text[])"
# A notification can have 8000 bytes.
_ANNOUNCE = """WITH found AS (
        SELECT w.key, s.owner FROM watches w JOIN shards s ON s.shard = w.shard WHERE w.key = ANY(%b::text[]) AND w.ended_at IS NULL),
    others AS (SELECT * FROM found WHERE owner IS NOT NULL AND owner <> %b AND length(key) < 7000)
    SELECT ARRAY(SELECT key FROM found), (SELECT count(pg_notify(%b, 'notified ' || owner || ' ' || key)) FROM others)"""
_COUNT_OPEN = "SELECT count(*) FROM watches WHERE ended_at IS NULL"
_AGE_CLASS = "".join(f" WHEN age <= {bound} THEN {number}" for number, bound in enumerate(AGE_BOUNDS_S[:-1]))
_COUNT_BY_STATE = f"""SELECT kind, status, CASE{_AGE_CLASS} ELSE {len(AGE_BOUNDS_S) - 1} END AS age_class, count(*)
    FROM (SELECT kind, status, %b::float8 - coalesce(status_since, admitted_at) AS age FROM watches WHERE ended_at IS NULL) w
    GROUP BY kind, status, age_class"""  # noqa: S608
# The watches are locked in the order in which commits lock them.
_CANCEL = """UPDATE watches SET cancelled = true WHERE n IN (
    SELECT n FROM watches WHERE key = ANY(%b::text[]) AND ended_at IS NULL ORDER BY n FOR NO KEY UPDATE)"""
_CANCELLED = """SELECT key, id FROM watches WHERE cancelled AND ended_at IS NULL AND shard = ANY(%b::int[])
    ORDER BY n LIMIT %b::int8"""


async def admit(db: Connection, watches: Mapping[str, Watch], shards: int, me: str, channel: str) -> dict[str, Watch]:
    """Add watches, each under its key. Returns for each key the watch that now exists."""
    existing: dict[str, Watch] = {}
    missing = dict(watches)
    while missing:  # again only for a task that was erased after it was found to exist
        names = [_names(key, watch, shards) for key, watch in missing.items()]
        added, _ = await one(db, _ADMIT, (*columns(names), *state_columns(missing.values()), me, channel))
        new = set(added)
        existing |= {key: watch.stored for key, watch in missing.items() if key in new}
        rest = [key for key in missing if key not in new]
        if rest:
            existing |= {watch.key: watch for watch in await _find(db, rest)}
        missing = {key: watch for key, watch in missing.items() if key not in existing}
    return existing


async def announce(db: Connection, keys: Sequence[str], me: str, channel: str) -> list[str]:
    """Tell the owners of these tasks that AWS sent notifications about them. Returns the keys that have an open watch."""
    found: list[str] = (await one(db, _ANNOUNCE, (list(keys), me, channel)))[0]
    return found


async def find(db: Connection, key: str) -> Watch | None:
    """The watch of this task, open or ended."""
    return next(iter(await _find(db, [key])), None)


async def _find(db: Connection, keys: Sequence[str]) -> list[Watch]:
    cursor = db.cursor(binary=True)
    await cursor.execute(_FIND, (list(keys),))
    return [watch_of(row) for row in await cursor.fetchall()]


async def find_all(db: Connection, query: TaskQuery) -> Page[Watch]:
    """One page of the watches that match. Walks the open ones or all of them, from the cursor on."""
    comparison, order = (">", "ASC") if query.oldest_first else ("<", "DESC")
    filters: list[tuple[str, object]] = [
        ("w.kind = %b", query.kind),
        ("w.status = %b", query.status),
        ("strpos(w.key, %b) > 0", query.search),
    ]
    if query.after is not None:
        filters.append((f"w.n {comparison} %b::int8", whole(decode_cursor(query.after, 1)[0])))
    conditions = [condition for condition, value in filters if value is not None]
    values = [value for _, value in filters if value is not None]
    if query.open is not None:
        conditions.append("w.ended_at IS NULL" if query.open else "w.ended_at IS NOT NULL")
    where = " AND ".join(conditions) or "TRUE"
    cursor = db.cursor(binary=True)
    await cursor.execute(f"{_READ} WHERE {where} ORDER BY w.n {order} LIMIT %b", (*values, query.limit + 1))
    return page([((row[0],), watch_of(row)) for row in await cursor.fetchall()], query.limit)


async def count_open(db: Connection, kinds: Collection[str] | None, targets: Collection[str] | None) -> int:
    """How many open watches there are of these kinds and in these targets. None: of all kinds, in all targets."""
    filters = {"kind": kinds, "target": targets}
    used = {column: list(values) for column, values in filters.items() if values is not None}
    conditions = "".join(f" AND {column} = ANY(%b::text[])" for column in used)
    return int((await one(db, _COUNT_OPEN + conditions, tuple(used.values())))[0])


async def count_by_state(db: Connection, now: float) -> list[OpenCount]:
    """How many open watches there are by kind, status, and age class."""
    rows = await (await db.execute(_COUNT_BY_STATE, (now,))).fetchall()
    return [OpenCount(kind, status, AGE_BOUNDS_S[number], count) for kind, status, number, count in rows]


async def cancel(db: Connection, keys: Sequence[str]) -> int:
    """Mark the open watches of these tasks to be ended. Returns how many there are."""
    return (await db.execute(_CANCEL, (list(keys),))).rowcount


async def cancelled(db: Connection, shards: Sequence[int], limit: int | None) -> dict[str, str]:
    """The keys and ids of open watches of these shards that are marked to be ended, in order of admission."""
    return dict(await (await db.execute(_CANCELLED, (list(shards), limit))).fetchall())


def columns(rows: Sequence[Sequence[Any]], width: int = 0) -> list[list[Any]]:
    """The columns of these rows, as arrays for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def state_columns(watches: Iterable[Watch]) -> list[list[Any]]:
    """The columns of `STATE`, as arrays for `unnest`. An array has one type, so the integers among the times become floats."""
    found = columns([state(watch) for watch in watches], len(_TYPES))
    return [
        [None if x is None else float(x) for x in each] if type_ == "float8" else each for type_, each in zip(_TYPES, found, strict=True)
    ]


def whole(number: float) -> int:
    """The number of a row from a cursor. A number that no row can have selects nothing."""
    return int(min(max(number, 0), 2**62))


def watch_of(row: Sequence[Any]) -> Watch:
    """The watch of a row with `COLUMNS`."""
    _, target, kind, params, watch, *rest = row
    return Watch(TaskRef(kind, tuple(params), target), watch, *rest)


def _names(key: str, watch: Watch, shards: int) -> tuple[Any, ...]:
    ref = watch.ref
    return (shard_of(key, shards), key, watch.id, ref.target, ref.kind, array_literal(ref.params))


def array_literal(texts: Sequence[str]) -> str:
    """An array as PostgreSQL writes it: `unnest` would flatten an array of arrays."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
