"""Erasure of watches with their events and dead letters: what an operator selects, and what is old and delivered.

Each statement sees what was committed before it. So a commit or a dead letter that waits for the lock of a watch finds it
erased, and one that was there first is erased with it.
"""

from __future__ import annotations

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.event_rows import IS_UNSETTLED
from watcher.adapters.stores.postgres.schema import LOCK, one
from watcher.query import Selection

FORGET_BATCH = 500
"""Watches, or dead letters without a watch, that are erased in one transaction on request."""
PRUNE_BATCH = 500
"""Ended watches looked at, or dead letters erased, in one transaction of a `prune`."""

# S608 below: the statements consist of constants and parameters, never of data.
_DELETE_EVENTS = "DELETE FROM events WHERE watch = ANY(%b::int8[])"
_DELETE_WATCHES = """WITH gone AS (DELETE FROM watches WHERE n = ANY(%b::int8[]) RETURNING n, shard, key)
    INSERT INTO forgotten (shard, key) SELECT shard, key FROM gone ORDER BY n"""
_DELETE_DEAD_LETTERS = """DELETE FROM dead_letters WHERE n IN (
    SELECT n FROM dead_letters WHERE key = ANY(%b::text[]) ORDER BY id FOR UPDATE)"""
# Not EXISTS, which PostgreSQL may turn into a join with all unsettled events. This is answered for each watch by its own events.
_IS_SETTLED = f"""(SELECT 1 FROM events e JOIN cursors c ON c.shard = e.shard AND c.position < e.position
    WHERE e.watch = w.n AND {IS_UNSETTLED} LIMIT 1) IS NULL"""  # noqa: S608
_PRUNE = f"""WITH piece AS MATERIALIZED (
        SELECT n, ended_at FROM watches WHERE ended_at < %b::float8 AND (ended_at, n) > (%b::float8, %b::int8)
        ORDER BY ended_at, n LIMIT {PRUNE_BATCH}),
    old AS MATERIALIZED (
        SELECT w.n FROM piece p JOIN watches w ON w.n = p.n WHERE {_IS_SETTLED} FOR UPDATE OF w SKIP LOCKED),
    events_of_old AS (DELETE FROM events e USING old WHERE e.watch = old.n),
    gone AS (DELETE FROM watches w USING old WHERE w.n = old.n RETURNING 1)
    SELECT ended_at, n, (SELECT count(*) FROM gone) FROM piece ORDER BY ended_at DESC, n DESC LIMIT 1"""  # noqa: S608
_PRUNE_DEAD_LETTERS = f"""DELETE FROM dead_letters WHERE n IN (
    SELECT n FROM dead_letters WHERE what = %b AND at < %b::float8 ORDER BY at LIMIT {PRUNE_BATCH} FOR UPDATE SKIP LOCKED)"""  # noqa: S608
_MAY_PRUNE = "SELECT pg_try_advisory_xact_lock(%b::int, hashtext(%b::text))"

Place = tuple[float, int]
"""The end of a watch, and its number."""
FIRST: Place = (float("-inf"), 0)


async def forget_watches(db: Connection, selection: Selection) -> int:
    """Erase some of the selected watches with their events and dead letters, and record their keys for the owners. Returns how many."""
    where, values = _selected(selection)
    async with db.transaction():
        # A sum is in the order of no index, so the watches are found by the condition, and then sorted.
        statement = f"SELECT n, key FROM watches WHERE {where} ORDER BY n + 0 LIMIT {FORGET_BATCH} FOR UPDATE"  # noqa: S608
        rows = await (await db.execute(statement, values)).fetchall()
        if rows:
            numbers, keys = ([row[at] for row in rows] for at in (0, 1))
            await db.execute(_DELETE_EVENTS, (numbers,))
            await db.execute(_DELETE_WATCHES, (numbers,))
            await db.execute(_DELETE_DEAD_LETTERS, (keys,))
    return len(rows)


async def forget_dead_letters(db: Connection, selection: Selection) -> int:
    """Erase some of the selected dead letters, whose watch may be gone. Returns how many."""
    where, values = _selected(selection)
    chosen = f"SELECT n FROM dead_letters WHERE {where} ORDER BY id || '' LIMIT {FORGET_BATCH} FOR UPDATE"  # noqa: S608
    return (await db.execute(f"DELETE FROM dead_letters WHERE n IN ({chosen})", values)).rowcount  # noqa: S608


async def prune_watches(db: Connection, schema: str, before: float, after: Place) -> tuple[Place, int] | None:
    """Erase those of some ended watches whose events every sink has settled. Returns the place of the last one looked at, and how many.

    None: there are no more, or another replica is doing it.
    """
    async with db.transaction():
        if not await _may_prune(db, schema):
            return None
        row = await (await db.execute(_PRUNE, (before, *after))).fetchone()
    return None if row is None else ((row[0], row[1]), row[2])


async def prune_dead_letters(db: Connection, schema: str, what: str, before: float) -> int:
    """Erase some of the dead letters of inputs, or of events, that are older. Returns how many; 0 if another replica is doing it."""
    async with db.transaction():
        if not await _may_prune(db, schema):
            return 0
        return (await db.execute(_PRUNE_DEAD_LETTERS, (what, before))).rowcount


async def _may_prune(db: Connection, schema: str) -> bool:
    """Lock out other replicas, until the end of the transaction. False: one of them is pruning."""
    return bool((await one(db, _MAY_PRUNE, (LOCK + 1, schema)))[0])


def _selected(selection: Selection) -> tuple[str, list[str]]:
    """The condition for a selection, the same for watches and dead letters, and its values."""
    if selection.key is not None:
        return "key = %b", [selection.key]
    if selection.value is None:
        return "FALSE", []
    # A constant subscript can use the index on the first parameter.
    where, values = f"params[{selection.param + 1:d}] = %b", [selection.value]
    if selection.kind is None:
        return where, values
    return f"{where} AND kind = %b", [*values, selection.kind]
