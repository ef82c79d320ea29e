"""Events in the tables: each is stored one time. For each sink and shard there is a cursor, and the events settled beyond it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from watcher.adapters.stores.postgres import token_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.watch_rows import columns
from watcher.model import Backlog, Event, shard_of
from watcher.query import EventQuery

_COLUMNS = 'e.id, w.key, w.kind, e.type, e."to", e.terminal, e.at, e.body, e.position, e.shard'
# S608 below: the statements consist of constants of this file and parameters, never of data.
_EVENT = f"SELECT {_COLUMNS} FROM events e JOIN watches w ON w.n = e.watch"  # noqa: S608
# Not EXISTS, which PostgreSQL may turn into a join with all settled events. This is one look into the index for each event.
IS_UNSETTLED = "(SELECT TRUE FROM settled d WHERE d.sink = c.sink AND d.shard = e.shard AND d.position = e.position) IS NULL"
_UNSETTLED = f"e.shard = c.shard AND e.position > c.position AND {IS_UNSETTLED}"
_OUTBOX = f"""SELECT {_COLUMNS} FROM cursors c JOIN LATERAL (
        SELECT * FROM events e WHERE {_UNSETTLED} AND e.position > %b::int8 ORDER BY e.position LIMIT %b) e ON TRUE
    JOIN watches w ON w.n = e.watch WHERE c.sink = %b AND c.shard = %b ORDER BY e.position"""  # noqa: S608
_OF_TASK = f"{_EVENT} WHERE w.key = %b ORDER BY e.position"
# Within a shard, the order of positions is the order of commits. Across shards it is nearly so: the events of one busy shard
# do not keep those of the others from being read. Only the events of the result are read with their bodies.
_FIND = f"""SELECT {_COLUMNS} FROM (
        SELECT f.shard, f.position FROM unnest(%b::int[], %b::int8[]) AS a (shard, position) CROSS JOIN LATERAL (
            SELECT e.shard, e.position FROM events e {{join}} WHERE e.shard = a.shard AND e.position > a.position{{where}}
            ORDER BY e.position LIMIT %b) f
        ORDER BY f.position LIMIT %b) found
    JOIN events e ON e.shard = found.shard AND e.position = found.position JOIN watches w ON w.n = e.watch ORDER BY e.position"""  # noqa: S608
_BACKLOG = f"""SELECT c.sink,
    (SELECT count(*) FROM events e WHERE e.shard = c.shard AND e.position > c.position) - (SELECT count(*) FROM settled d
        JOIN events e ON e.shard = d.shard AND e.position = d.position
        WHERE d.sink = c.sink AND d.shard = c.shard AND d.position > c.position),
    (SELECT e.at FROM events e WHERE {_UNSETTLED} ORDER BY e.position LIMIT 1)
    FROM cursors c"""  # noqa: S608
_POSITIONS = """SELECT s.shard, e.position FROM shards s CROSS JOIN LATERAL (
    SELECT position FROM events WHERE shard = s.shard ORDER BY position DESC LIMIT 1) e"""
_UNDELIVERED = f"""SELECT c.sink, count(*) FROM watches w JOIN events e ON e.watch = w.n JOIN cursors c ON {_UNSETTLED}
    WHERE w.key = %b GROUP BY c.sink"""  # noqa: S608
# The cursor moves up to the first event that is not settled, or to the newest one. `NOT IN` looks each event up in a hash
# table of all that are settled now; `NOT EXISTS` would compare it with each of them. OFFSET 0: computed one time, not two.
_ADVANCE = f"""WITH done AS MATERIALIZED (SELECT * FROM unnest(%b::text[], %b::int[], %b::int8[]) AS v (sink, shard, position)),
    places AS MATERIALIZED (SELECT sink, shard, max(position) AS last FROM done GROUP BY sink, shard)
    UPDATE cursors c SET position = moved.position FROM (
        SELECT c.sink, c.shard, coalesce((
            SELECT e.position - 1 FROM events e WHERE {_UNSETTLED}
                AND (c.sink, e.shard, e.position) NOT IN (SELECT sink, shard, position FROM done)
            ORDER BY e.position LIMIT 1),
            greatest(p.last, (SELECT max(e.position) FROM events e WHERE e.shard = c.shard))) AS position
        FROM places p JOIN cursors c ON c.sink = p.sink AND c.shard = p.shard OFFSET 0) moved
    WHERE c.sink = moved.sink AND c.shard = moved.shard AND moved.position > c.position"""  # noqa: S608
_REMEMBER = """INSERT INTO settled (sink, shard, position) SELECT v.sink, v.shard, v.position
    FROM unnest(%b::text[], %b::int[], %b::int8[]) AS v (sink, shard, position)
    JOIN cursors c ON c.sink = v.sink AND c.shard = v.shard AND c.position < v.position ON CONFLICT DO NOTHING"""
_CLEAN = """DELETE FROM settled d USING unnest(%b::text[], %b::int[]) AS v (sink, shard), cursors c
    WHERE c.sink = v.sink AND c.shard = v.shard AND d.sink = v.sink AND d.shard = v.shard AND d.position <= c.position"""
_NEW_SINKS = """INSERT INTO cursors (sink, shard, position)
    SELECT sink, shard, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM positions)
    FROM unnest(%b::text[]) sink, generate_series(0, %b - 1) shard"""

Settled = tuple[str, int, int]
"""A sink, a shard, and the position of an event that this sink is done with."""


async def lock_sinks_to_remove(db: Connection, kept: Sequence[str]) -> list[str]:
    """Lock the sinks that are not among these. While they are locked, no replica registers that delivers to one of them."""
    rows = await db.execute("SELECT sink FROM cursors WHERE shard = 0 AND sink <> ALL(%b::text[]) ORDER BY sink FOR UPDATE", (list(kept),))
    return [row[0] for row in await rows.fetchall()]


async def lock_sinks_to_keep(db: Connection, names: Sequence[str]) -> list[str]:
    """Lock those of these sinks that exist. Until the end of the transaction, they are not removed."""
    rows = await db.execute(
        "SELECT sink FROM cursors WHERE shard = 0 AND sink = ANY(%b::text[]) ORDER BY sink FOR KEY SHARE", (list(names),)
    )
    return [row[0] for row in await rows.fetchall()]


async def set_sinks(db: Connection, names: Sequence[str], shards: int) -> None:
    """Deliver to these sinks only: a new one starts after the newest event, also an erased one; the others are forgotten."""
    known = {row[0] for row in await (await db.execute("SELECT DISTINCT sink FROM cursors")).fetchall()}
    removed = sorted(known - set(names))
    if removed:
        await db.execute("DELETE FROM cursors WHERE sink = ANY(%b::text[])", (removed,))
        await db.execute("DELETE FROM settled WHERE sink = ANY(%b::text[])", (removed,))
    if new := sorted(set(names) - known):
        await db.execute(_NEW_SINKS, (new, shards))
        await token_rows.make_late(db)


async def read_outbox(db: Connection, sink: str, shard: int, after: int, limit: int) -> list[Event]:
    """Events of the shard after this position that the sink has not settled, in order."""
    return await _events(db, _OUTBOX, (after, limit, sink, shard))


async def of_task(db: Connection, key: str) -> list[Event]:
    """All events of a task, in order."""
    return await _events(db, _OF_TASK, (key,))


async def find(db: Connection, query: EventQuery, shards: int) -> list[Event]:
    """Events that match, in order of position."""
    filters = [("w.key = %b", query.key), ("w.kind = %b", query.kind), ("e.terminal = %b", query.terminal)]
    where = "".join(f" AND {condition}" for condition, value in filters if value is not None)
    values = [value for _, value in filters if value is not None]
    if query.key is not None:
        after = query.after.get(shard_of(query.key, shards), 0)
        return await _events(db, f"{_EVENT} WHERE e.position > %b::int8{where} ORDER BY e.position LIMIT %b", (after, *values, query.limit))
    join = "JOIN watches w ON w.n = e.watch" if query.kind is not None else ""
    afters = [query.after.get(shard, 0) for shard in range(shards)]
    statement = _FIND.format(join=join, where=where)
    return await _events(db, statement, (list(range(shards)), afters, *values, query.limit, query.limit))


async def positions(db: Connection) -> dict[int, int]:
    """The position of the newest event of each shard that has any."""
    return dict(await (await db.execute(_POSITIONS)).fetchall())


async def settle(db: Connection, settled: Iterable[Settled]) -> None:
    """Move each cursor up to the first unsettled event, and record the events settled beyond it.

    For events that are settled in order, this writes one small row for each sink and shard. Needs the locks of the leases.
    """
    rows = sorted(set(settled))
    if rows:
        await db.execute(_ADVANCE, columns(rows))
        await db.execute(_REMEMBER, columns(rows))
        await db.execute(_CLEAN, columns(sorted({row[:2] for row in rows})))


async def backlog(db: Connection, shard: int | None = None, without: Collection[str] = ()) -> dict[str, Backlog]:
    """For each sink, how many events it has not settled, and when the oldest of them was committed: of one shard, or of all.

    `without` are sinks that are left out.
    """
    where = "c.sink <> ALL(%b::text[])" + ("" if shard is None else " AND c.shard = %b")
    values = [list(without), *([] if shard is None else [shard])]
    rows = await (await db.execute(f"{_BACKLOG} WHERE {where}", values)).fetchall()
    found: dict[str, Backlog] = {}
    for sink, events, oldest_at in rows:
        earlier = found.get(sink, Backlog(0, None))
        times = [at for at in (earlier.oldest_at, oldest_at) if at is not None]
        found[sink] = Backlog(earlier.events + events, min(times, default=None))
    return found


async def undelivered(db: Connection, key: str) -> dict[str, int]:
    """For each sink that has any, the number of events of this task that it has not settled."""
    return dict(await (await db.execute(_UNDELIVERED, (key,))).fetchall())


async def _events(db: Connection, statement: Any, values: Sequence[Any]) -> list[Event]:
    cursor = db.cursor(binary=True)
    await cursor.execute(statement, values)
    return [Event(*row) for row in await cursor.fetchall()]
