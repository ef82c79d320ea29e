"""Watches in the tables: admission, adoption, queries, erasure, retention."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import LOCK, one
from watcher.model import Lease, TaskRef, Watch, shard_of
from watcher.query import Page, Selection, TaskQuery, decode_cursor, page

LOAD_BATCH = 1000
"""Watches in one read of `load` and `arrivals`."""
PRUNE_BATCH = 500
"""Ended watches looked at in one transaction of `prune`."""

state = attrgetter(
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
"""The stored fields of a watch besides its names, in the order of `Watch` and of the columns."""

STATE = (
    "admitted_at, deadline_at, context, status, status_since, changed_at, created_at, started_at, updated_at,"
    " result_digest, sequence, polls, ended_at, end_reason"
)
_TYPES = ["float8", "float8", "text", "text", "float8", "float8", "float8", "float8", "float8", "text", "int8", "int8", "float8", "text"]
STATE_ARRAYS = ", ".join(f"%b::{type_}[]" for type_ in _TYPES)
"""Parameters: an array for each field of `STATE`."""

# S608 below: the statements consist of constants of this file and parameters, never of data.
# The rows come in order of key, so that two replicas which admit the same tasks wait for each other in the same order.
# The owner of a shard is notified when it is another replica.
_ADMIT = f"""WITH new AS (
        INSERT INTO watches (shard, key, id, target, kind, params, {STATE})
        SELECT v.shard, v.key, v.id, v.target, v.kind, v.params::text[], {", ".join("v." + name for name in STATE.split(", "))}
        FROM unnest(%b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], {STATE_ARRAYS})
            AS v (shard, key, id, target, kind, params, {STATE})
        ON CONFLICT (key) DO NOTHING RETURNING key, shard),
    others AS (
        SELECT DISTINCT s.owner FROM (SELECT DISTINCT shard FROM new) n JOIN shards s ON s.shard = n.shard
        WHERE s.owner IS NOT NULL AND s.owner <> %b)
    SELECT ARRAY(SELECT key FROM new), (SELECT count(pg_notify(%b, 'admitted ' || owner)) FROM others)"""  # noqa: S608
COLUMNS = f"w.n, w.target, w.kind, w.params, w.id, {', '.join('w.' + name for name in STATE.split(', '))}"
_READ = f"SELECT {COLUMNS} FROM watches w"  # noqa: S608
_FIND = f"{_READ} WHERE w.key = ANY(%b::text[])"
_LOAD = f"""SELECT w.admitted_xid::text, {COLUMNS} FROM watches w
    WHERE w.shard = %b AND w.ended_at IS NULL AND (w.admitted_xid, w.n) > (%b::text::xid8, %b::int8)
    ORDER BY w.admitted_xid, w.n LIMIT {LOAD_BATCH}"""  # noqa: S608
# What a snapshot did not see: transactions that began after it, and those that were running.
_ARRIVALS = f"""SELECT w.shard, w.admitted_xid::text, {COLUMNS}
    FROM unnest(%b::int[], %b::text[]::xid8[], %b::text[]::xid8[]) AS unseen (shard, first, after)
    JOIN watches w ON w.shard = unseen.shard AND w.ended_at IS NULL AND w.admitted_xid >= unseen.first AND w.admitted_xid < unseen.after
    WHERE (w.shard, w.admitted_xid, w.n) > (%b::int, %b::text::xid8, %b::int8)
    ORDER BY w.shard, w.admitted_xid, w.n LIMIT {LOAD_BATCH}"""  # noqa: S608
_SNAPSHOT = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
_COUNT_OPEN = "SELECT count(*) FROM watches WHERE ended_at IS NULL"
_COUNT_OPEN_OF = f"{_COUNT_OPEN} AND kind = ANY(%b::text[])"
_RESET_XIDS = """UPDATE watches SET admitted_xid = pg_current_xact_id()
    WHERE ended_at IS NULL AND shard IN (SELECT shard FROM shards) AND admitted_xid >= pg_snapshot_xmax(pg_current_snapshot())"""
IS_UNSETTLED = """EXISTS (
    SELECT 1 FROM events e JOIN cursors c ON c.shard = e.shard AND c.position < e.position
    WHERE e.watch = w.n AND NOT EXISTS (
        SELECT 1 FROM settled d WHERE d.sink = c.sink AND d.shard = e.shard AND d.position = e.position))"""
_PRUNE = f"""WITH piece AS MATERIALIZED (
        SELECT n, ended_at FROM watches WHERE ended_at < %b::float8 AND (ended_at, n) > (%b::float8, %b::int8)
        ORDER BY ended_at, n LIMIT {PRUNE_BATCH}),
    old AS MATERIALIZED (
        SELECT w.n FROM piece p JOIN watches w ON w.n = p.n WHERE NOT {IS_UNSETTLED} FOR UPDATE OF w SKIP LOCKED),
    events_of_old AS (DELETE FROM events e USING old WHERE e.watch = old.n),
    gone AS (DELETE FROM watches w USING old WHERE w.n = old.n RETURNING 1)
    SELECT ended_at, n, (SELECT count(*) FROM gone) FROM piece ORDER BY ended_at DESC, n DESC LIMIT 1"""  # noqa: S608
_MAY_PRUNE = "SELECT pg_try_advisory_xact_lock(%b::int, hashtext(%b::text))"
_LAST_XID = str(2**64 - 1)


class Snapshot(NamedTuple):
    """Which transactions a reading saw. `server` changes when another server, or a restarted one, answers."""

    after: str
    """The first transaction that had not begun."""
    running: tuple[str, ...]
    server: str


async def admit(db: Connection, watches: Mapping[str, Watch], shards: int, me: str, channel: str) -> dict[str, Watch]:
    """Add watches, each under its key. Returns for each key the watch that now exists."""
    existing: dict[str, Watch] = {}
    missing = dict(sorted(watches.items()))
    while missing:  # again only for a task that was erased after it was found to exist
        names = [_names(key, watch, shards) for key, watch in missing.items()]
        added, _ = await one(db, _ADMIT, (*columns(names), *state_columns(missing.values()), me, channel))
        new = set(added)
        existing |= {key: stored(watch) for key, watch in missing.items() if key in new}
        rest = [key for key in missing if key not in new]
        if rest:
            existing |= {watch.key: watch for watch in await _find(db, rest)}
        missing = {key: watch for key, watch in missing.items() if key not in existing}
    return existing


async def snapshot(db: Connection) -> Snapshot:
    """What a reading that begins now sees at least."""
    text, server = await one(db, _SNAPSHOT)
    _, after, running = text.split(":")
    return Snapshot(after, tuple(each for each in running.split(",") if each), server)


async def load(db: Connection, shard: int, xid: str, n: int) -> list[tuple[str, int, Watch]]:
    """Some open watches of the shard after this place, each with its place."""
    cursor = db.cursor(binary=True)
    await cursor.execute(_LOAD, (shard, xid, n))
    return [(row[0], row[1], watch_of(row[1:])) for row in await cursor.fetchall()]


async def arrivals(db: Connection, seen: Mapping[int, Snapshot], last: tuple[int, str, int]) -> list[tuple[tuple[int, str, int], Watch]]:
    """Some open watches of these shards that their snapshots did not see, after this place, each with its place."""
    ranges = [(shard, first, after) for shard, each in seen.items() for first, after in _unseen(each)]
    cursor = db.cursor(binary=True)
    await cursor.execute(_ARRIVALS, (*columns(ranges, 3), *last))
    return [((row[0], row[1], row[2]), watch_of(row[2:])) for row in await cursor.fetchall()]


def _unseen(seen: Snapshot) -> list[tuple[str, str]]:
    running = [(xid, str(int(xid) + 1)) for xid in seen.running]
    return [*running, (seen.after, _LAST_XID)]


async def reset_future_xids(db: Connection) -> None:
    """After a restore into another cluster, the rows may name transactions that are still to come: make them present ones."""
    await db.execute(_RESET_XIDS)


async def find(db: Connection, key: str) -> Watch | None:
    """The watch of this task, open or ended."""
    return next(iter(await _find(db, [key])), None)


async def _find(db: Connection, keys: Sequence[str]) -> list[Watch]:
    cursor = db.cursor(binary=True)
    await cursor.execute(_FIND, (list(keys),))
    return [watch_of(row) for row in await cursor.fetchall()]


async def find_all(db: Connection, query: TaskQuery) -> Page[Watch]:
    """One page of the watches that match, the newest first. Walks the open ones or all of them, down from the cursor."""
    filters: list[tuple[str, object]] = [("w.kind = %b", query.kind), ("w.status = %b", query.status)]
    if query.after is not None:
        filters.append(("w.n < %b::int8", whole(decode_cursor(query.after, 1)[0])))
    conditions = [condition for condition, value in filters if value is not None]
    values = [value for _, value in filters if value is not None]
    if query.open is not None:
        conditions.append("w.ended_at IS NULL" if query.open else "w.ended_at IS NOT NULL")
    where = " AND ".join(conditions) or "TRUE"
    cursor = db.cursor(binary=True)
    await cursor.execute(f"{_READ} WHERE {where} ORDER BY w.n DESC LIMIT %b", (*values, query.limit + 1))
    return page([((row[0],), watch_of(row)) for row in await cursor.fetchall()], query.limit)


async def count_open(db: Connection, kinds: Collection[str] | None) -> int:
    """How many open watches there are of these kinds, or of all kinds."""
    return int((await (one(db, _COUNT_OPEN) if kinds is None else one(db, _COUNT_OPEN_OF, (list(kinds),))))[0])


async def forget(db: Connection, selection: Selection) -> int:
    """Erase the selected watches with their events and dead letters, and record their keys for the owners. Returns the number of watches.

    Each statement sees what was committed before it. So a commit or a dead letter that waits for the lock of a watch
    finds it erased, and one that was there first is erased.
    """
    where, values = _selected(selection)
    if where is None:
        return 0
    async with db.transaction():
        selected = await db.execute(f"SELECT n FROM watches w WHERE {where} ORDER BY n FOR UPDATE", values)  # noqa: S608
        numbers = [row[0] for row in await selected.fetchall()]
        await db.execute("DELETE FROM events WHERE watch = ANY(%b::int8[])", (numbers,))
        await db.execute(
            "WITH gone AS (DELETE FROM watches WHERE n = ANY(%b::int8[]) RETURNING n, shard, key)"
            " INSERT INTO forgotten (shard, key) SELECT shard, key FROM gone ORDER BY n",
            (numbers,),
        )
        letters = f"SELECT n FROM dead_letters w WHERE {where} ORDER BY id FOR UPDATE"  # noqa: S608
        await db.execute(f"DELETE FROM dead_letters WHERE n IN ({letters})", values)  # noqa: S608
    return len(numbers)


async def prune(db: Connection, schema: str, before: float, last: tuple[float, int]) -> tuple[float, int, int] | None:
    """Erase those of some ended watches whose events every sink has settled. Returns the place of the last one looked at, and how many.

    None: there are no more, or another replica is doing it.
    """
    async with db.transaction():
        if not (await one(db, _MAY_PRUNE, (LOCK + 1, schema)))[0]:
            return None
        row = await (await db.execute(_PRUNE, (before, *last))).fetchone()
    return None if row is None else (row[0], row[1], row[2])


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


def stored(watch: Watch) -> Watch:
    """The fields that a store keeps; the others are in the memory of the process that polls the task."""
    return watch._replace(seen_at=None, failures=0, failing_since=None)


def watch_of(row: Sequence[Any]) -> Watch:
    """The watch of a row with `COLUMNS`."""
    _, target, kind, params, watch, *rest = row
    return Watch(TaskRef(kind, tuple(params), target), watch, *rest)


def starts(leases: Sequence[Lease], seen: Mapping[int, tuple[int, Snapshot]]) -> dict[int, Snapshot]:
    """By shard, what was seen of it under this lease."""
    return {lease.shard: seen[lease.shard][1] for lease in leases if lease.shard in seen and seen[lease.shard][0] == lease.epoch}


def _selected(selection: Selection) -> tuple[str | None, list[object]]:
    """The condition for a selection, the same for watches and dead letters, and its values."""
    if selection.key is not None:
        return "w.key = %b", [selection.key]
    if selection.value is None:
        return None, []
    # A constant subscript can use the index on the first parameter.
    where, values = f"w.params[{selection.param + 1:d}] = %b", [selection.value]
    if selection.kind is None:
        return where, list(values)
    return f"{where} AND w.kind = %b", [*values, selection.kind]


def _names(key: str, watch: Watch, shards: int) -> tuple[Any, ...]:
    ref = watch.ref
    return (shard_of(key, shards), key, watch.id, ref.target, ref.kind, _array_literal(ref.params))


def _array_literal(texts: Sequence[str]) -> str:
    """An array as PostgreSQL writes it: `unnest` would flatten an array of arrays."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"
