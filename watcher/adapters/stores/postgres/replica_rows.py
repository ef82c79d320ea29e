"""Replicas and the shards that they own. Only the clock of the database decides when a lease has ended.

A lease belongs to a replica: a renewal updates one row, and all leases of a replica end together. The row of a replica that
did not renew is removed by the first other one that notices (`core.ownership.grace` says when it may), and from then on its
shards are free. The epoch of a shard
grows when it is taken, and the lease of the earlier owner is invalid from then on.

Nothing here waits for a lock that another replica holds: what is locked is skipped, and looked at again by the next claim.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watcher.adapters.stores.postgres import event_rows
from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.schema import one
from watcher.core.delivery.leftovers import check_not_removed
from watcher.core.ownership.fair_share import fair_share
from watcher.core.ownership.grace import Grace
from watcher.core.ownership.reports import dump, read
from watcher.errors import StoreUnavailable
from watcher.model import Claim, Lease, Replica, Report

# {now} is the expression for the present time, a constant of the program or of a test.
_REMOVE_EXPIRED = """DELETE FROM replicas WHERE name IN (
    SELECT name FROM replicas WHERE expires_at <= {now} AND name <> %s FOR UPDATE SKIP LOCKED)
    RETURNING name, (SELECT count(*) FROM shards s WHERE s.owner = name)"""
_RENEW = """WITH mine AS (SELECT name, expires_at FROM replicas WHERE name = %s FOR NO KEY UPDATE)
    UPDATE replicas r SET renewed_at = {now}, expires_at = {now} + %s * interval '1 second', report = coalesce(%s, r.report)
    FROM mine WHERE r.name = mine.name RETURNING extract(epoch FROM {now})::float8, mine.expires_at <= {now}"""
_REGISTER = """INSERT INTO replicas (name, started_at, renewed_at, expires_at, report)
    SELECT %s, t, t, t + %s * interval '1 second', %s FROM (SELECT {now} AS t) present ON CONFLICT DO NOTHING"""
_REPLICAS = """SELECT r.name, extract(epoch FROM r.started_at)::float8, extract(epoch FROM t.now - r.renewed_at)::float8,
        extract(epoch FROM r.expires_at - t.now)::float8,
        ARRAY(SELECT s.shard FROM shards s WHERE s.owner = r.name ORDER BY s.shard), r.report
    FROM replicas r, (SELECT {now} AS now) t WHERE r.expires_at > t.now ORDER BY r.name"""
# S608 below: the statements consist of constants of this file and parameters, never of data.
_IS_FREE = "NOT EXISTS (SELECT 1 FROM replicas r WHERE r.name = s.owner)"
_COUNT_FREE = f"SELECT count(*) FROM shards s WHERE {_IS_FREE}"  # noqa: S608
_LOCK_FREE = f"SELECT s.shard FROM shards s WHERE {_IS_FREE} ORDER BY s.shard LIMIT %s FOR NO KEY UPDATE SKIP LOCKED"  # noqa: S608
# A statement of its own: it sees replicas that were committed since, and took a shard before it was locked here.
_TAKE = f"UPDATE shards s SET owner = %s, epoch = epoch + 1 WHERE s.shard = ANY(%s::int[]) AND {_IS_FREE} RETURNING s.shard"  # noqa: S608
# The new owner loads its watches after this, so it need not read the erasures before it.
_DROP_FORGOTTEN = "DELETE FROM forgotten WHERE shard = ANY(%s::int[])"
_LEASES = "SELECT shard, epoch FROM shards WHERE owner = %s ORDER BY shard"
_RELEASE = """WITH given AS (SELECT s.shard FROM shards s
        JOIN unnest(%s::int[], %s::int8[]) AS v (shard, epoch) ON s.shard = v.shard AND s.epoch = v.epoch
        WHERE s.owner = %s ORDER BY s.shard FOR NO KEY UPDATE OF s)
    UPDATE shards s SET owner = NULL FROM given WHERE s.shard = given.shard"""
_RELEASE_ALL = """UPDATE shards SET owner = NULL WHERE shard IN (
    SELECT shard FROM shards WHERE owner = %s ORDER BY shard FOR NO KEY UPDATE)"""
_LEAVE = "DELETE FROM replicas WHERE name = %s"


class NameTaken(StoreUnavailable):
    """Another replica has the new name. It must not be used again: a renewal under it would renew the leases of that replica."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all claims of a store object: how long a lease is valid, in seconds, the SQL expression of the present time,
    when others may be removed, and the sinks that it was opened with.
    """

    lease_s: float
    now: str
    grace: Grace
    shards: int
    sinks: Sequence[str] = ()

    def at(self, statement: str) -> str:
        """The statement with the expression of the present time."""
        return statement.replace("{now}", self.now)


async def claim(db: Connection, terms: Terms, name: str, new_name: Callable[[], str], report: Report | None) -> Claim:
    """Renew the leases of the replica `name` and take free shards up to its fair share.

    Where it is not registered any more, or has no name yet, it registers under a new name. A replica that was removed has lost
    all its leases. Raises NameTaken, and StoreRefused if its sinks were removed from the store meanwhile.
    """
    text = None if report is None else dump(report)
    async with db.transaction():
        renewed = await (await db.execute(terms.at(_RENEW), (name, terms.lease_s, text))).fetchone()
        expired = await _remove_expired(db, terms, name, renewed)
        if renewed is None:
            name = new_name()
            registered = await db.execute(terms.at(_REGISTER), (name, terms.lease_s, text))
            if not registered.rowcount:
                raise NameTaken(f"another replica has the name {name}")
            check_not_removed(await event_rows.lock_sinks_to_keep(db, terms.sinks), terms.sinks)
        present = await replicas(db, terms)
        share = fair_share(terms.shards, [replica.name for replica in present], name)
        owned = next((len(replica.shards) for replica in present if replica.name == name), 0)
        if owned < share and await _take(db, name, share - owned):
            present = await replicas(db, terms)
        rows = await (await db.execute(_LEASES, (name,))).fetchall()
    leases = [Lease(shard, epoch, terms.lease_s) for shard, epoch in rows]
    return Claim(leases, max(0, len(leases) - share), name, present, expired)


async def _remove_expired(db: Connection, terms: Terms, name: str, renewed: tuple[float, bool] | None) -> dict[str, int]:
    """Remove other replicas whose leases have ended. Returns how many shards each one had. `renewed`: when, and whether too late."""
    if renewed is not None:
        now, late = renewed
        terms.grace.renewed(now, late=late)
        if not terms.grace.is_over(now):
            return {}
    return dict(await (await db.execute(terms.at(_REMOVE_EXPIRED), (name,))).fetchall())


async def _take(db: Connection, name: str, wanted: int) -> list[int]:
    if not (await one(db, _COUNT_FREE))[0]:
        return []
    locked = [row[0] for row in await (await db.execute(_LOCK_FREE, (wanted,))).fetchall()]
    taken = [row[0] for row in await (await db.execute(_TAKE, (name, locked))).fetchall()]
    await db.execute(_DROP_FORGOTTEN, (taken,))
    return taken


async def replicas(db: Connection, terms: Terms) -> list[Replica]:
    """The replicas whose leases have not ended, in order of their names."""
    rows = await (await db.execute(terms.at(_REPLICAS))).fetchall()
    return [Replica(name, started, ago, left, tuple(shards), read(report)) for name, started, ago, left, shards, report in rows]


async def release(db: Connection, name: str, leases: Sequence[Lease], *, leaving: bool, channel: str) -> None:
    """Free these shards, and all others too if the replica is leaving. Leases that are not valid are ignored."""
    async with db.pipeline(), db.transaction():
        await db.execute(_RELEASE, ([lease.shard for lease in leases], [lease.epoch for lease in leases], name))
        if leaving:
            await db.execute(_RELEASE_ALL, (name,))
            await db.execute(_LEAVE, (name,))
        await db.execute("SELECT pg_notify(%s, %s)", (channel, f"released {name}"))
