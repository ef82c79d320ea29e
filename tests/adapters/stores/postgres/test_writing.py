"""Groups of writes, and writes of several replicas at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import (
    a_dead_letter,
    a_watch,
    all_dead_letters,
    all_events,
    commit,
    in_shard,
    leases,
    moved,
    unsettled,
)
from tests.postgres import Database
from watcher.adapters.stores.postgres import PostgresStore
from watcher.errors import Fenced, StoreUnavailable
from watcher.model import Watch
from watcher.query import Selection

pytestmark = pytest.mark.process

INVALID = "\ud800"
"""A text that is no Unicode, so that no store can hold it."""


@pytest.fixture
async def store(database: Database) -> Any:
    store = database.store()
    await store.open(["bus", "log"])
    await store.claim()
    yield store
    await store.close()


async def outcomes(*calls: Any) -> list[Any]:
    """The results or the errors of calls that run at the same time."""
    found: list[Any] = [None] * len(calls)

    async def run(number: int, call: Any) -> None:
        try:
            found[number] = await call
        except Exception as error:  # noqa: BLE001 - a result like any other
            found[number] = error

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(run, number, call)
    return found


async def outcomes_or_raise(*calls: Any) -> None:
    for outcome in await outcomes(*calls):
        if isinstance(outcome, Exception):
            raise outcome


# --- groups --------------------------------------------------------------------------------------


async def test_a_mistake_in_a_group(store: PostgresStore) -> None:
    """The call with the mistake gets its error, and the others of its group are written."""
    watches = await store.admit([a_watch(f"t{n}") for n in range(3)])
    owned = await leases(store)
    broken = moved(watches[1], INVALID)
    first, second, third = await outcomes(*[store.commit([change], owned) for change in (moved(watches[0]), broken, moved(watches[2]))])
    assert isinstance(second, UnicodeEncodeError)
    assert not first
    assert not third
    assert {event.key for event in await all_events(store)} == {watches[0].key, watches[2].key}


async def test_a_mistake_in_a_group_of_admissions(store: PostgresStore) -> None:
    """Admissions and dead letters share groups, and no one fails for the mistake of another."""
    one, two, three, four = await outcomes(
        store.admit([a_watch("t1")]),
        store.admit([a_watch("t2", context=INVALID)]),
        store.add_dead_letters([a_dead_letter("d1")]),
        store.add_dead_letters([replace(a_dead_letter("d2"), detail=INVALID)]),
    )
    assert list(one) == [a_watch("t1")]
    assert isinstance(two, UnicodeEncodeError)
    assert three is None
    assert isinstance(four, UnicodeEncodeError)
    assert [letter.id for letter in await all_dead_letters(store)] == ["d1"]


async def test_a_fenced_call_in_a_group(store: PostgresStore) -> None:
    """It writes nothing and gets Fenced with its shard, and the others of its group are written."""
    here, there = next(in_shard(store, 0)), next(in_shard(store, 1))
    await store.admit([here, there])
    owned = await leases(store)
    outdated = owned | {1: replace(owned[1], epoch=owned[1].epoch - 1)}
    first, second, third = await outcomes(
        store.commit([moved(here)], owned), store.commit([moved(there)], outdated), store.settle("bus", [], [a_dead_letter()], owned)
    )
    assert not first
    assert isinstance(second, Fenced)
    assert second.shards == {1}
    assert third is None
    assert await store.task(there.key) == there


async def test_several_changes_of_a_watch_in_a_group(store: PostgresStore) -> None:
    """The newest one is stored, whatever the order of the calls, with the events of all."""
    (watch,) = await store.admit([a_watch()])
    owned = await leases(store)
    first = moved(watch, "A")
    second = moved(first.watch, "B")
    assert not any(await outcomes(store.commit([second], owned), store.commit([first], owned)))
    assert await store.task(watch.key) == second.watch
    assert {event.to for event in await all_events(store)} == {"A", "B"}


async def test_the_same_dead_letter_several_times_in_a_group(store: PostgresStore) -> None:
    """Each time counts as one more try."""
    await outcomes(*[store.add_dead_letters([a_dead_letter("d"), a_dead_letter("d")]) for _ in range(3)])
    assert [letter.tries for letter in await all_dead_letters(store)] == [6]


async def test_texts_with_any_character(store: PostgresStore) -> None:
    """NUL, which PostgreSQL cannot hold, and the characters by which it is replaced come back as they were, and are found."""
    odd = "a\0b\u2400c\u24000\\\"{},NULL '\n\U0010ffff"
    watch = a_watch(odd, connector=odd, context=odd, status=odd, end_reason=odd, result_digest=odd, watch=f"id {odd}")
    other = a_watch("NULL", connector="")
    assert list(await store.admit([watch, other])) == [watch, other]
    assert await store.task(watch.key) == watch
    assert await store.task(other.key) == other
    change = moved(watch, odd)
    assert not await commit(store, change)
    events = await unsettled(store)
    assert [replace(event, position=0, shard=0) for event in events] == list(change.events)
    letter = replace(a_dead_letter(odd, event=events[0]), origin=odd, reason=odd, detail=odd)
    await store.settle("bus", [], [letter], await leases(store))
    assert await all_dead_letters(store, key=watch.key, id_prefix=odd[:4]) == [letter]
    await store.save_state(odd, odd)
    assert await store.load_state(odd) == odd
    assert await store.retry([odd]) == 1
    assert await store.forget(Selection(param=1, value=odd)) == 1
    assert list((await store.requests()).forgotten) == [watch.key]


async def test_a_cancelled_call_is_written(store: PostgresStore) -> None:
    """A caller that is cancelled after its call was sent leaves the connection as it was, and the call whole."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.admit, [a_watch(f"t{n}") for n in range(50)])
            tasks.start_soon(store.task, a_watch().key)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert await store.admit([a_watch("last")])
    assert await store.count_open() == 51


# --- several replicas ----------------------------------------------------------------------------


@pytest.fixture
async def stores(database: Database) -> Any:
    patient = database.settings(lock_timeout=100, statement_timeout=200)
    stores = [PostgresStore(patient) for _ in range(2)]
    for store in stores:
        await store.open(["bus", "log"])
    yield stores
    for store in stores:
        await store.close()


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'speaker-search-watcher'"


async def crossed(database: Database, blocked: str, *calls: Any) -> None:
    """Make both calls while a third transaction has a row between their first and their last one, then let it end."""
    with database.connection() as other:
        other.execute("BEGIN")
        other.execute(blocked)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcomes_or_raise, *calls)
            while database.execute(WAITING) != [(2,)]:  # noqa: ASYNC110 - the server cannot announce it
                await anyio.sleep(0.01)
            other.execute("ROLLBACK")


async def test_replicas_that_admit_the_same_tasks(database: Database, stores: list[PostgresStore]) -> None:
    """In opposite orders and at the same time: neither waits for the other in a circle, and each task is one watch."""
    await stores[0].admit([a_watch("t0")])
    blocked = f"""INSERT INTO watches (n, shard, key, id, target, kind, params, admitted_at, deadline_at, sequence, polls)
        SELECT 0, shard, '{a_watch("t2").key}', id, target, kind, params, admitted_at, deadline_at, sequence, polls FROM watches"""
    found: list[Watch] = []

    async def admit(store: PostgresStore, id_: str, names: list[str]) -> None:
        found.extend(await store.admit([a_watch(name, watch=f"{id_}-{name}") for name in names]))

    calls = admit(stores[0], "a", ["t1", "t2", "t3"]), admit(stores[1], "b", ["t3", "t2", "t1"])
    await crossed(database, blocked, *calls)
    assert len(found) == 6
    assert len({watch.id for watch in found}) == len({watch.key for watch in found}) == 3


async def test_a_token_that_comes_while_its_watch_ends(database: Database, store: PostgresStore) -> None:
    """It waits for the commit of the end, and is late: the last event may have been sent without it."""
    (watch,) = await store.admit([a_watch()])
    with database.connection() as other:
        other.execute("BEGIN")
        other.execute("UPDATE watches SET ended_at = 1000, end_reason = 'terminal'")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.admit, [watch], {watch.key: ["token"]})
            while database.execute(WAITING) != [(1,)]:  # noqa: ASYNC110 - the server cannot announce it
                await anyio.sleep(0.01)
            other.execute("COMMIT")
    assert await store.late_tokens(range(store.shards), 10) == [watch.key]


async def test_replicas_that_add_the_same_dead_letters(database: Database, stores: list[PostgresStore]) -> None:
    """In opposite orders and at the same time: neither waits for the other in a circle, and each try is counted."""
    blocked = """INSERT INTO dead_letters (n, id, what, origin, reason, detail, body, at, shard, position, tries)
        VALUES (0, 'd2', 'input', '', '', '', '', 0, 0, 0, 1)"""
    calls = [
        store.add_dead_letters([a_dead_letter(name) for name in names])
        for store, names in zip(stores, (["d1", "d2", "d3"], ["d3", "d2", "d1"]), strict=True)
    ]
    await crossed(database, blocked, *calls)
    assert {letter.id: letter.tries for letter in await all_dead_letters(stores[0])} == {"d1": 2, "d2": 2, "d3": 2}


async def test_positions_are_visible_in_their_order(database: Database, store: PostgresStore) -> None:
    """A reader that follows the positions of each shard misses no event, while two shards are written and read at once."""
    busy = [next(in_shard(store, shard)) for shard in (0, 1)]
    watches = list(await store.admit(busy))
    owned = await leases(store)
    seen: dict[int, int] = {}
    read: list[str] = []
    done = anyio.Event()

    async def write(watch: Watch) -> None:
        for n in range(60):
            change = moved(watch, f"S{n}")
            assert not await store.commit([change], owned)
            watch = change.watch

    async def follow() -> None:
        ended = False
        while not ended:
            ended = done.is_set()
            for event in await all_events(store, after=dict(seen)):
                seen[event.shard] = event.position
                read.append(event.id)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        async with anyio.create_task_group() as writers:
            for watch in watches:
                writers.start_soon(write, watch)
        done.set()
    for watch in busy:
        assert [id_ for id_ in read if id_.startswith(watch.id)] == [f"{watch.id}-{n}" for n in range(1, 61)]


async def test_an_erasure_while_the_task_is_committed(store: PostgresStore) -> None:
    """Whichever comes first, no event and no dead letter of the task is left."""
    owned = await leases(store)
    for turn in range(20):
        (watch,) = await store.admit([a_watch(f"t{turn}")])
        assert not await store.commit([moved(watch)], owned)
        (event,) = await store.task_events(watch.key)
        after = moved(moved(watch).watch, "B")
        results = await outcomes(
            store.commit([after], owned),
            store.forget(Selection(key=watch.key)),
            store.settle("bus", [], [a_dead_letter(f"d{turn}", event=event)], owned),
        )
        assert list(results[0]) in ([], [watch.key])
        assert results[1:] == [1, None]
    assert await all_events(store) == []
    assert await all_dead_letters(store) == []


async def test_an_erasure_of_two_tasks_while_a_group_writes_for_both(database: Database, stores: list[PostgresStore]) -> None:
    """A dead letter of one and a change of the other: the group takes its locks in the order of the erasure, so neither fails."""
    first, second = await stores[0].admit([a_watch("t1"), a_watch("t2")])
    owned = await leases(stores[0])
    assert not await stores[0].commit([moved(first)], owned)
    (event,) = await stores[0].task_events(first.key)
    settled = stores[0].settle("bus", [], [a_dead_letter("d1", event=event)], owned)
    committed = stores[0].commit([moved(second)], owned)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'speaker-search-watcher'"
    with database.connection() as other:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM watches WHERE key = %s FOR NO KEY UPDATE", (second.key,))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outcomes_or_raise, settled, committed)
            while database.execute(waiting) != [(1,)]:  # noqa: ASYNC110 - the server cannot announce it
                await anyio.sleep(0.01)
            tasks.start_soon(stores[1].forget, Selection(value=first.ref.params[0]))
            while database.execute(waiting) != [(2,)]:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            other.execute("ROLLBACK")
    assert await all_dead_letters(stores[0]) == []


# --- leases --------------------------------------------------------------------------------------


async def test_a_claim_waits_for_no_other_transaction(database: Database, store: PostgresStore) -> None:
    """The shards that a transaction of a dead replica still locks are left for the next claim."""
    (me,) = [replica.name for replica in await store.replicas()]
    other = database.store()
    await other.open(["bus", "log"])
    with database.connection() as frozen, frozen.transaction():
        frozen.execute("SELECT 1 FROM shards WHERE shard = 2 FOR NO KEY UPDATE")
        frozen.execute("SELECT 1 FROM replicas WHERE name = %s FOR NO KEY UPDATE", (me,))
        assert (await other.claim()).leases == []
        frozen.execute("DELETE FROM replicas WHERE name = %s", (me,))
        assert (await other.claim()).leases == []
    with database.connection() as frozen, frozen.transaction():
        frozen.execute("SELECT 1 FROM shards WHERE shard = 2 FOR NO KEY UPDATE")
        assert [lease.shard for lease in (await other.claim()).leases] == [0, 1, 3]
    assert [lease.shard for lease in (await other.claim()).leases] == [0, 1, 2, 3]
    await other.close()


async def test_a_commit_waits_while_its_lease_is_taken(database: Database) -> None:
    """And not longer than `lock_timeout`: then it is temporary. After the shard was taken, it is fenced."""
    store = PostgresStore(database.settings(lock_timeout=0.05))
    await store.open(["bus", "log"])
    watch = (await store.admit([next(in_shard(store, 2))]))[0]
    owned = await leases(store)
    with database.connection() as other, other.transaction():
        other.execute("UPDATE shards SET owner = 'other', epoch = epoch + 1 WHERE shard = 2")
        with pytest.raises(StoreUnavailable, match="another transaction holds a lock"):
            await store.commit([moved(watch)], owned)
    with pytest.raises(Fenced) as fenced:
        await store.commit([moved(watch)], owned)
    assert fenced.value.shards == {2}
    assert await store.task(watch.key) == watch
    await store.close()


async def test_two_names_of_a_replica(database: Database) -> None:
    """A name that another replica has is not taken: the next claim tries another one."""
    names = iter(["same", "same", "other"])
    stores = [database.store(name=lambda: next(names)) for _ in range(2)]
    for store in stores:
        await store.open(["bus"])
    await stores[0].claim()
    with pytest.raises(StoreUnavailable, match="another replica has the name same"):
        await stores[1].claim()
    claim = await stores[1].claim()
    assert (claim.me, claim.leases) == ("other", [])
    for store in stores:
        await store.close()


async def test_a_replica_whose_name_was_taken_gives_nothing_back(database: Database) -> None:
    """It never had that name, so it does not remove the replica that has it."""
    stores = [database.store(name=lambda: "same") for _ in range(2)]
    for store in stores:
        await store.open(["bus"])
    await stores[0].claim()
    with pytest.raises(StoreUnavailable, match="another replica has the name same"):
        await stores[1].claim()
    await stores[1].close()
    assert [len(replica.shards) for replica in await stores[0].replicas()] == [4]
    await stores[0].close()


async def test_a_claim_whose_caller_was_cancelled(database: Database) -> None:
    """The claim is made all the same, so the store gives its shards back when it is closed."""
    store = database.store()
    await store.open(["bus"])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.claim)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    await store.close()
    assert database.execute("SELECT name FROM replicas") == []
    assert database.execute("SELECT sum(epoch) FROM shards") == [(4,)], "the claim was made"


async def test_a_replica_that_is_frozen_in_a_transaction(database: Database) -> None:
    """The server ends the transaction before the leases end, so that its shards can be taken over then, whatever `statement_timeout` is."""
    store = PostgresStore(database.settings(statement_timeout=200, lease=1, renew=0.4))
    await store.open(["bus"])
    taken: list[Any] = []
    with database.connection() as other:
        other.execute("SET lock_timeout = '20s'")

        async def freeze(db: Any) -> None:
            await db.execute("BEGIN")
            await db.execute("SELECT 1 FROM shards WHERE shard = 2 FOR NO KEY UPDATE")
            taken.extend(other.execute("SELECT shard FROM shards WHERE shard = 2 FOR NO KEY UPDATE"))  # nothing else runs here meanwhile
            await db.execute("COMMIT")

        with pytest.raises(StoreUnavailable):
            await store._read(freeze)
    assert taken == [(2,)]
    await store.close()
