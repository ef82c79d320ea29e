"""Task tokens in the tables. A watch that is erased takes its tokens with it (ON DELETE CASCADE)."""

from __future__ import annotations

from collections.abc import Sequence

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import one
from watcher.adapters.stores.postgres.watch_rows import columns, whole
from watcher.model import TaskTokens, token_digest
from watcher.query import Page, decode_cursor, page

# The lock waits for a commit that ends the watch: a token is either there when the last event is sent, or `late`.
# Owners and erasures lock watches in the same order.
_ADD = """WITH given AS MATERIALIZED (
        SELECT n, shard, key, ended_at FROM watches WHERE key = ANY(%b::text[]) ORDER BY n FOR SHARE),
    added AS (
        INSERT INTO task_tokens (shard, watch, digest, token, late)
        SELECT w.shard, w.n, v.digest, v.token, w.ended_at IS NOT NULL
        FROM unnest(%b::text[], %b::bytea[], %b::text[]) WITH ORDINALITY AS v (key, digest, token, number)
        JOIN given w ON w.key = v.key ORDER BY w.n, v.number ON CONFLICT (watch, digest) DO NOTHING)
    SELECT ARRAY(SELECT key FROM given)"""
_FIND = """SELECT w.key, t.token FROM watches w JOIN task_tokens t ON t.watch = w.n
    WHERE w.key = ANY(%b::text[]) AND t.token IS NOT NULL ORDER BY t.n"""
# Only the owner of a shard answers, so no other transaction changes these rows in another order.
_OF_WATCHES = """FROM unnest(%b::text[], %b::bytea[]) AS v (key, digest) JOIN watches w ON w.key = v.key
    WHERE t.watch = w.n AND t.digest = v.digest AND t.token IS NOT NULL"""
# S608 below: the statements consist of constants of this file and parameters, never of data.
_BEGIN = f"UPDATE task_tokens t SET begun = true {_OF_WATCHES} AND NOT t.begun RETURNING w.key, t.token"  # noqa: S608
_DROP = f"UPDATE task_tokens t SET token = NULL {_OF_WATCHES}"  # noqa: S608
_MAKE_LATE = """UPDATE task_tokens t SET late = true FROM watches w
    WHERE t.token IS NOT NULL AND NOT t.late AND w.n = t.watch AND w.ended_at IS NOT NULL"""
# Each shard is read from its place in the index, and no further than the limit: the tokens of all shards are never sorted.
_LATE = """SELECT w.key FROM unnest(%b::int[]) AS s (shard) CROSS JOIN LATERAL (
        SELECT n, watch FROM task_tokens WHERE shard = s.shard AND late AND token IS NOT NULL ORDER BY n LIMIT %b) t
    JOIN watches w ON w.n = t.watch GROUP BY w.key ORDER BY min(t.n) LIMIT %b"""
_OPEN = """SELECT t.n, w.key, t.token, w.ended_at IS NULL FROM (
        SELECT f.n FROM unnest(%b::int[]) AS s (shard) CROSS JOIN LATERAL (
            SELECT n FROM task_tokens WHERE shard = s.shard AND NOT late AND token IS NOT NULL AND n > %b::int8 ORDER BY n LIMIT %b) f
        ORDER BY f.n LIMIT %b) found
    JOIN task_tokens t ON t.n = found.n JOIN watches w ON w.n = t.watch ORDER BY t.n"""


async def add(db: Connection, tokens: TaskTokens) -> set[str]:
    """Keep tokens with their watches. One that was kept before is ignored, also if it was answered. Returns the keys that have a watch."""
    rows = [(key, token_digest(token), token) for key, given in tokens.items() for token in given]
    found: list[str] = (await one(db, _ADD, (list(tokens), *columns(rows, 3))))[0]
    return set(found)


async def find(db: Connection, keys: Sequence[str]) -> dict[str, list[str]]:
    """The tokens of these tasks that are not answered, in order of arrival."""
    return _by_key(await (await db.execute(_FIND, (list(keys),))).fetchall())


async def begin(db: Connection, tokens: TaskTokens) -> dict[str, list[str]]:
    """Record that these are about to be answered. Returns those that were recorded before."""
    new = set(await (await db.execute(_BEGIN, _places(tokens))).fetchall())
    return _by_key([(key, token) for key, given in tokens.items() for token in given if (key, token) not in new])


async def drop(db: Connection, tokens: TaskTokens) -> None:
    """Erase tokens that are answered, except their digests."""
    await db.execute(_DROP, _places(tokens))


async def make_late(db: Connection) -> None:
    """A sink was added: it does not get the last events of tasks that have ended, so their tokens are late."""
    await db.execute(_MAKE_LATE)


async def late(db: Connection, shards: Sequence[int], limit: int) -> list[str]:
    """The keys of tasks with late tokens that are not answered, the longest waiting first."""
    return [row[0] for row in await (await db.execute(_LATE, (list(shards), limit, limit))).fetchall()]


async def waiting(db: Connection, shards: Sequence[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
    """One page of the keys and tokens of open watches. Tokens whose watch has just ended are left out, so it may be short or empty."""
    first = 0 if after is None else whole(decode_cursor(after, 1)[0])
    rows = await (await db.execute(_OPEN, (list(shards), first, limit + 1, limit + 1))).fetchall()
    found = page([((number,), (key, token, is_open)) for number, key, token, is_open in rows], limit)
    return Page([(key, token) for key, token, is_open in found.items if is_open], found.next)


def _places(tokens: TaskTokens) -> list[list[object]]:
    return columns([(key, token_digest(token)) for key, given in tokens.items() for token in given], 2)


def _by_key(rows: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, token in rows:
        found.setdefault(key, []).append(token)
    return found
