"""The content of another store, written into the tables as it is. Each function is a transaction, or a part of one."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from watcher.adapters.dead_letter_bodies import pack
from watcher.adapters.stores.postgres import event_rows, state_rows, token_rows, watch_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import one
from watcher.core.copying import marker
from watcher.errors import StoreRefused
from watcher.model import DEFAULT_TARGET, DeadLetter, Portion, StoredEvent, TaskRef, shard_of
from watcher.ports import IDENTITY

_HAS_CONTENT = "SELECT EXISTS (SELECT 1 FROM watches) OR EXISTS (SELECT 1 FROM dead_letters)"  # an event has a watch
_LOCK_RECORD = "SELECT text FROM state WHERE name = %b FOR UPDATE"
_POSITIONS = "SELECT array_agg(nextval('positions')) FROM generate_series(1, %b)"
_ADD_EVENTS = """INSERT INTO events (position, shard, watch, id, type, "to", terminal, at, body)
    SELECT v.position, v.shard, w.n, v.id, v.type, v."to", v.terminal, v.at, v.body
    FROM unnest(%b::int8[], %b::int[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bool[], %b::float8[], %b::bytea[])
        AS v (position, shard, key, id, type, "to", terminal, at, body)
    JOIN watches w ON w.key = v.key"""
_DONE = """SELECT c.sink, c.shard FROM cursors c
    WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.shard = c.shard AND e.position > c.position)"""
_MOVE = """UPDATE cursors c SET position = v.position FROM unnest(%b::text[], %b::int[], %b::int8[]) AS v (sink, shard, position)
    WHERE c.sink = v.sink AND c.shard = v.shard"""
_ADD_SETTLED = "INSERT INTO settled (sink, shard, position) SELECT * FROM unnest(%b::text[], %b::int[], %b::int8[])"
_COLUMNS = "id, what, origin, reason, detail, at, key, position, shard, tries, retry, body, size"
# S608 below: the statement consists of constants of this file and parameters, never of data.
_ADD_DEAD_LETTERS = f"""INSERT INTO dead_letters (n, {_COLUMNS}, kind, params)
    SELECT v.n, {", ".join("v." + name for name in _COLUMNS.split(", "))},
        coalesce(w.kind, v.task_kind), coalesce(w.params, v.task_params::text[])
    FROM (SELECT nextval('dead_letter_numbers') AS n, * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
        %b::float8[], %b::text[], %b::int8[], %b::int[], %b::int[], %b::bool[], %b::bytea[], %b::int8[], %b::text[], %b::text[])
            AS u ({_COLUMNS}, task_kind, task_params) OFFSET 0) v
    LEFT JOIN watches w ON w.key = v.key"""  # noqa: S608


Placed = tuple[int, int, StoredEvent]
"""The position and the shard of an event, and the event."""


async def check_empty(db: Connection) -> None:
    """Raise StoreRefused for content that is not a copy."""
    marker.check_empty(await state_rows.load(db, marker.NAME), has_content=(await one(db, _HAS_CONTENT))[0])


async def check_complete(db: Connection) -> None:
    """Raise StoreRefused for an unfinished copy."""
    marker.check_complete(await state_rows.load(db, marker.NAME))


async def accept(db: Connection) -> None:
    """Forget that the content is a copy, before a watcher changes it. Raises StoreRefused for an unfinished one."""
    await check_complete(db)
    await state_rows.drop(db, marker.NAME)


async def begin(db: Connection, source: str, sinks: Sequence[str], shards: int) -> tuple[str, str]:
    """Begin or continue a copy. Returns its record, and how far it got."""
    found = await state_rows.load(db, marker.NAME)
    record, progress = marker.begin(found, source)
    if found is None:
        await db.execute("DELETE FROM state")
        await state_rows.save(db, IDENTITY, secrets.token_hex(16))  # the events of the copy get new positions
        await db.execute("DELETE FROM forgotten")
        await event_rows.set_sinks(db, [], shards)
        await event_rows.set_sinks(db, sinks, shards)
    await state_rows.save(db, marker.NAME, record)
    return record, progress


async def restore(db: Connection, portion: Portion, record: str, progress: str, shards: int) -> str:
    """Add a portion, and record how far the copy got. Returns the new record; `record` is the last one of this process."""
    found = await (await db.execute(_LOCK_RECORD, (marker.NAME,))).fetchone()
    if found is not None and found[0] != record:
        raise StoreRefused("another process copies into this store: wait until it has ended, then call the same command again")
    following = marker.advance(None if found is None else found[0], progress)
    if portion.watches:
        await watch_rows.admit(db, {watch.key: watch for watch in portion.watches}, shards, "", "")
    if portion.task_tokens:
        await token_rows.add(db, portion.task_tokens)
    if portion.events:
        await _add_events(db, portion.events, shards)
    if portion.dead_letters:
        await db.execute(_ADD_DEAD_LETTERS, watch_rows.columns([_dead_letter_row(each, shards) for each in portion.dead_letters]))
    for name, text in portion.states.items():
        await state_rows.save(db, name, text)
    if portion.cancelled:
        await watch_rows.cancel(db, portion.cancelled)
    await state_rows.save(db, marker.NAME, following)
    return following


async def end(db: Connection) -> None:
    """Record that the copy is complete."""
    await state_rows.save(db, marker.NAME, marker.complete(await state_rows.load(db, marker.NAME)))


async def states(db: Connection) -> dict[str, str]:
    """The texts that belong to the content, by name."""
    rows = await (
        await db.execute("SELECT name, text FROM state WHERE name <> ALL(%b::text[]) ORDER BY name", ([marker.NAME, IDENTITY],))
    ).fetchall()
    return dict(rows)


async def _add_events(db: Connection, events: Sequence[StoredEvent], shards: int) -> None:
    done = {(sink, shard) for sink, shard in await (await db.execute(_DONE)).fetchall()}
    positions: list[int] = (await one(db, _POSITIONS, (len(events),)))[0]
    placed = [(position, shard_of(stored.event.key, shards), stored) for position, stored in zip(positions, events, strict=True)]
    rows = [_event_row(*each) for each in placed]
    if (await db.execute(_ADD_EVENTS, watch_rows.columns(rows))).rowcount != len(rows):
        raise StoreRefused("an event of the source has no watch there, as in a damaged file: restore a backup of the source")
    await _settle(db, placed, done)


async def _settle(db: Connection, placed: Sequence[Placed], done: set[tuple[str, int]]) -> None:
    """Move the cursors of those that are `done` with everything before these events, and record what is settled beyond a cursor.

    Cheaper than `event_rows.settle`, which looks for the first event that is not settled: here nothing else writes.
    """
    sinks = [row[0] for row in await (await db.execute("SELECT DISTINCT sink FROM cursors")).fetchall()]
    moved: dict[tuple[str, int], int] = {}
    beyond: list[tuple[str, int, int]] = []
    for position, shard, stored in placed:
        for sink in sinks:
            if sink in stored.unsettled:
                done.discard((sink, shard))
            elif (sink, shard) in done:
                moved[sink, shard] = position
            else:
                beyond.append((sink, shard, position))
    if moved:
        await db.execute(_MOVE, watch_rows.columns([(*pair, position) for pair, position in moved.items()]))
    if beyond:
        await db.execute(_ADD_SETTLED, watch_rows.columns(beyond))


def _event_row(position: int, shard: int, stored: StoredEvent) -> tuple[object, ...]:
    """The values of a row."""
    e = stored.event
    return (position, shard, e.key, e.id, str(e.type), e.to, e.terminal, float(e.at), e.body)


def _dead_letter_row(dead_letter: DeadLetter, shards: int) -> tuple[object, ...]:
    """The values of a row. The task of an event whose watch is gone is named by its key."""
    x = dead_letter
    task = None if x.key is None else TaskRef.of(x.key, DEFAULT_TARGET)
    names = (None, None) if task is None else (task.kind, watch_rows.array_literal(task.params))
    shard = x.shard if x.what == "event" else shard_of(x.id, shards)
    return (x.id, x.what, x.origin, x.reason, x.detail, float(x.at), x.key, x.position, shard, x.tries, x.retry, *pack(x.body), *names)
