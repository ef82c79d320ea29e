"""How watches that other replicas admit reach the owner of their shard: by signals, and by what a reading did not see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_watch, in_shard, leases
from tests.postgres import Database
from watcher.adapters.stores.postgres import PostgresStore
from watcher.model import Lease, Watch
from watcher.ports import Signals

pytestmark = pytest.mark.process

ADMIT = """INSERT INTO watches (n, shard, key, id, target, kind, params, admitted_at, deadline_at, sequence, polls)
    SELECT nextval('watch_numbers'), %s, %s, id, target, kind, %s, admitted_at, deadline_at, sequence, polls FROM watches LIMIT 1"""


@pytest.fixture
async def store(database: Database) -> AsyncIterator[PostgresStore]:
    """The owner of all shards, which has loaded the one watch that there is."""
    store = database.store()
    await store.open(["bus"])
    await store.admit([a_watch("first")])
    for lease in (await leases(store)).values():
        async for _ in store.load(lease):
            pass
    yield store
    await store.close()


async def arrivals(store: PostgresStore) -> list[Watch]:
    owned: list[Lease] = list((await leases(store)).values())
    return [watch async for watches in store.arrivals(owned) for watch in watches]


def admit(db: Any, watch: Watch) -> None:
    """Admit a watch in a transaction that the test controls."""
    db.execute(ADMIT, (0, watch.key, list(watch.ref.params)))


async def test_an_admission_that_takes_long(database: Database, store: PostgresStore) -> None:
    """A watch whose transaction began before a reading and ended after it is in the next one, and only there."""
    watch, other = a_watch("slow"), a_watch("quick")
    with database.connection() as db:
        with db.transaction():
            admit(db, watch)
            await store.admit([other])
            assert [each.key for each in await arrivals(store)] == [other.key]
            assert await arrivals(store) == []
        assert [each.key for each in await arrivals(store)] == [watch.key]
        assert await arrivals(store) == []


async def test_an_admission_during_a_load(database: Database, store: PostgresStore) -> None:
    """A watch that is committed behind the place that `load` has reached is an arrival."""
    watch = a_watch("slow")
    await store.admit([a_watch(f"t{n}") for n in range(5)])
    lease = (await leases(store))[0]
    with database.connection() as db:
        with db.transaction():
            admit(db, watch)
            await store.admit([each for _, each in zip(range(2), in_shard(store, 0), strict=False)])
            loaded = [each.key async for watches in store.load(lease) for each in watches]
        assert watch.key not in loaded
        assert watch.key in {each.key for each in await arrivals(store)}


async def test_a_long_transaction_elsewhere(database: Database, store: PostgresStore) -> None:
    """While any transaction of the server runs for long, arrivals are still read one time each."""
    with database.connection() as db, db.transaction():
        db.execute("SELECT pg_current_xact_id()")
        for n in range(5):
            await store.admit([a_watch(f"t{n}")])
            assert [each.key for each in await arrivals(store)] == [a_watch(f"t{n}").key]


async def test_many_arrivals(store: PostgresStore) -> None:
    """More than one piece of them comes in several pieces, each watch one time."""
    watches = [a_watch(f"t{n}") for n in range(2500)]
    await store.admit(watches)
    owned = list((await leases(store)).values())
    pieces = [[watch.key for watch in piece] async for piece in store.arrivals(owned)]
    assert len(pieces) > 2
    assert sorted(key for piece in pieces for key in piece) == sorted(watch.key for watch in watches)
    assert await arrivals(store) == []


async def test_arrivals_that_were_not_read_to_the_end_come_again(store: PostgresStore) -> None:
    """The next reading starts where the last complete one ended."""
    await store.admit([a_watch(f"t{n}") for n in range(2500)])
    async for _ in store.arrivals(list((await leases(store)).values())):
        break
    assert len(await arrivals(store)) == 2500


async def test_shards_that_were_not_loaded_are_ignored(store: PostgresStore) -> None:
    """Also one that was loaded under an earlier lease."""
    owned = await leases(store)
    await store.release([owned[0]])
    await store.admit([next(in_shard(store, 0))])
    assert await arrivals(store) == []


# --- signals -------------------------------------------------------------------------------------


async def heard(store: PostgresStore, *calls: Any) -> Signals:
    """The signals that a replica gets from these calls, which another replica ends with a release."""
    found = Signals()
    await store.wait()  # the first one returns at once
    for call in calls:
        await call
    with anyio.fail_after(60):
        while not found.released:
            found |= await store.wait()
    return found


async def test_the_owner_hears_of_the_admissions_of_others(database: Database, store: PostgresStore) -> None:
    """And not of its own, or of those to shards that it does not own."""
    other = database.store()
    await other.open(["bus"])
    await other.claim()
    owned = await leases(store)
    await store.release([owned[0]])
    assert (await other.claim()).leases
    mine, theirs = next(in_shard(store, 1)), next(in_shard(store, 0))

    async def release() -> None:
        await other.release([])
        await other.release(list((await leases(other)).values())[:1])

    assert await heard(store, store.admit([mine]), other.admit([theirs]), release()) == Signals(released=True)
    assert list((await other.claim()).leases)
    again = next(watch for watch in in_shard(store, 1) if watch.key != mine.key)
    await other.admit([again])
    with anyio.fail_after(60):
        assert await store.wait() == Signals(admitted=True)
    await other.close()


async def test_a_replica_that_closes_frees_its_shards_for_the_others(database: Database, store: PostgresStore) -> None:
    """They hear of it, and need not wait for the end of its leases."""
    other = database.store()
    await other.open(["bus"])
    await other.claim()
    assert await heard(other, store.close()) == Signals(released=True)
    assert len((await other.claim()).leases) == 4
    await other.close()
