"""Learned state, and erasures that the owners have not read yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from watcher.adapters.stores.postgres.connections import Connection

_SAVE = "INSERT INTO state (name, text) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET text = excluded.text"
# Only while the row of the replica is there; the text is removed together with it.
_SAVE_OWN = """INSERT INTO replica_state (name, replica, text) SELECT %s, r.name, %s FROM replicas r WHERE r.name = %s FOR KEY SHARE
    ON CONFLICT (name, replica) DO UPDATE SET text = excluded.text"""
_LOAD_ALL = """SELECT text FROM (SELECT '' AS replica, text FROM state WHERE name = %s
    UNION ALL SELECT replica, text FROM replica_state WHERE name = %s) texts ORDER BY replica"""


async def save(db: Connection, name: str, text: str) -> None:
    """Keep a text under this name, in place of an earlier one."""
    await db.execute(_SAVE, (name, text))


async def save_own(db: Connection, name: str, text: str, replica: str) -> None:
    """Keep a text of this replica under this name. Without a row of the replica, it is not kept."""
    await db.execute(_SAVE_OWN, (name, text, replica))


async def load(db: Connection, name: str) -> str | None:
    """The text kept under this name."""
    row = await (await db.execute("SELECT text FROM state WHERE name = %s", (name,))).fetchone()
    return None if row is None else str(row[0])


async def drop(db: Connection, name: str) -> None:
    """Remove the text kept under this name."""
    await db.execute("DELETE FROM state WHERE name = %s", (name,))


async def load_all(db: Connection, name: str) -> list[str]:
    """The common text under this name, and those of the replicas."""
    return [row[0] for row in await (await db.execute(_LOAD_ALL, (name, name))).fetchall()]


async def forgotten(db: Connection, shards: Sequence[int], read: Collection[int]) -> list[tuple[int, str]]:
    """The number and the key of each erasure in these shards, without those that were read."""
    statement = "SELECT n, key FROM forgotten WHERE shard = ANY(%s::int[]) AND n <> ALL(%s::int8[]) ORDER BY n"
    return [(row[0], row[1]) for row in await (await db.execute(statement, (list(shards), list(read)))).fetchall()]


async def drop_forgotten(db: Connection, numbers: Collection[int]) -> None:
    """Remove the records of these erasures."""
    await db.execute("DELETE FROM forgotten WHERE n = ANY(%s::int8[])", (list(numbers),))
