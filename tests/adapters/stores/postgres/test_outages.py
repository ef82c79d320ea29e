"""Outages while a store is in use: each call ends with a named error, and the next one after the outage works."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_watch, leases, loaded, moved, unsettled
from tests.postgres import Database
from tests.relay import Relay
from watcher.adapters.stores.postgres import PostgresStore
from watcher.errors import StoreUnavailable
from watcher.ports import Signals

pytestmark = pytest.mark.process


@pytest.fixture
async def relay(database: Database) -> AsyncIterator[Relay]:
    async with Relay(database.server.socket) as relay:
        yield relay


@pytest.fixture
async def store(database: Database, relay: Relay) -> AsyncIterator[PostgresStore]:
    """A store that reaches the server through the relay."""
    host, _, port = relay.url.removeprefix("http://").partition(":")
    dsn = f"postgresql://postgres@{host}:{port}/postgres"
    store = PostgresStore(database.settings(dsn=dsn, statement_timeout=0.5, lock_timeout=0.2, renew=1))
    await store.open(["bus", "log"])
    await store.claim()
    yield store
    relay.restore()
    relay.release()
    await store.close()


CALLS: dict[str, Callable[[PostgresStore], Any]] = {
    "claim": lambda store: store.claim(),
    "admit": lambda store: store.admit([a_watch("t2")]),
    "commit": lambda store: store.commit([moved(a_watch())], {0: None, 1: None, 2: None, 3: None}),
    "task": lambda store: store.task(a_watch().key),
    "check": lambda store: store.check(),
    "requests": lambda store: store.requests(),
}
"""A call on each of the connections."""


async def ready(store: PostgresStore) -> None:
    """Use each connection one time."""
    owned = await leases(store)
    (watch,) = await store.admit([a_watch()])
    await store.commit([moved(watch)], owned)
    await store.task(watch.key)


@pytest.mark.parametrize("name", ["claim", "admit", "task", "check", "requests"])
async def test_a_cut_connection(store: PostgresStore, relay: Relay, name: str) -> None:
    """The call fails as temporary, also the attempts to connect again, and the first one after the outage works."""
    await ready(store)
    relay.cut()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1/postgres"):
            await CALLS[name](store)
    relay.restore()
    await CALLS[name](store)


@pytest.mark.parametrize("name", ["claim", "admit", "task", "check", "requests"])
async def test_a_server_that_does_not_answer(store: PostgresStore, relay: Relay, name: str) -> None:
    """The call is given up after its limit, and the next one opens a new connection."""
    await ready(store)
    relay.hold()
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await CALLS[name](store)
    relay.release()
    await CALLS[name](store)


async def claim_without_answer(store: PostgresStore) -> None:
    """Make a claim that takes effect, and whose answer is lost."""
    run = store._claims.run

    async def lose_the_answer(*arguments: Any) -> None:
        await run(*arguments)
        raise StoreUnavailable("the connection was lost")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store._claims, "run", lose_the_answer)
        with pytest.raises(StoreUnavailable):
            await store.claim()


async def test_a_claim_whose_answer_is_lost(database: Database) -> None:
    """The next claim continues under the name that was registered, so no second replica has a share of the shards until it expires."""
    store = database.store()
    await store.open([])
    await claim_without_answer(store)
    registered = database.execute("SELECT name FROM replicas")
    claim = await store.claim()
    assert [(replica.name,) for replica in claim.replicas] == [(claim.me,)] == registered
    assert len(claim.leases) == 4
    await store.close()


async def test_a_stop_after_a_claim_whose_answer_is_lost(database: Database) -> None:
    """The replica leaves, so the others need not wait until its leases end."""
    store = database.store()
    await store.open([])
    await claim_without_answer(store)
    assert database.execute("SELECT count(*) FROM replicas") == [(1,)]
    await store.close()
    assert database.execute("SELECT count(*) FROM replicas") == [(0,)]


async def test_a_commit_during_an_outage(store: PostgresStore, relay: Relay) -> None:
    """Its caller cannot know whether it was made; the same commit again writes it one time."""
    owned = await leases(store)
    (watch,) = await store.admit([a_watch()])
    change = moved(watch)
    relay.hold()
    with pytest.raises(StoreUnavailable):
        await store.commit([change], owned)
    relay.release()
    assert not await store.commit([change], owned)
    assert await store.task(watch.key) == change.watch
    assert len(await unsettled(store)) == 1


async def test_a_restart_of_the_server(database: Database) -> None:
    """Calls fail while it is down; afterwards everything that was committed is there, under the same leases."""
    store = database.store()
    await store.open(["bus", "log"])
    owned = await leases(store)
    (watch,) = await store.admit([a_watch()])
    await store.commit([moved(watch)], owned)
    with database.server.stopped():
        for call in (store.claim(), store.admit([a_watch("t2")]), store.task(watch.key)):
            with pytest.raises(StoreUnavailable):
                await call
    assert await leases(store) == owned
    assert await store.task(watch.key) == moved(watch).watch
    assert not await store.commit([moved(moved(watch).watch, "SUCCEEDED")], owned)
    await store.close()


async def test_all_watches_arrive_again_after_a_restart(database: Database) -> None:
    """Another server may use the numbers of lost transactions again, so nothing that was seen before counts."""
    store = database.store()
    await store.open(["bus"])
    owned = await leases(store)
    (watch,) = await store.admit([a_watch()])
    assert await loaded(store) == [watch]
    with database.server.stopped():
        pass
    found = [each async for watches in store.arrivals(list(owned.values())) for each in watches]
    assert found == [watch]
    assert [each async for watches in store.arrivals(list(owned.values())) for each in watches] == []
    await store.close()


async def test_signals_after_an_outage(store: PostgresStore, relay: Relay) -> None:
    """`wait` fails when its connection is lost, and then returns all signals, because some may have been lost."""
    await store.wait()

    async def cut() -> None:
        await anyio.lowlevel.checkpoint()
        relay.cut()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cut)
        with pytest.raises(StoreUnavailable):
            await store.wait()
    with pytest.raises(StoreUnavailable):
        await store.wait()
    relay.restore()
    assert await store.wait() == Signals(admitted=True, released=True)


async def test_a_wait_without_answers_is_noticed(store: PostgresStore, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the network lost in silence is found by a statement now and then."""
    monkeypatch.setattr("watcher.adapters.stores.postgres.signals.CHECK_S", 0.05)
    await store.wait()
    relay.hold()
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await store.wait()


async def test_waits_that_are_cut_short_notice_it_too(store: PostgresStore, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop that follows the others waits for less time than passes between two such statements. It then connects again."""
    monkeypatch.setattr("watcher.adapters.stores.postgres.signals.CHECK_S", 0.2)
    await store.wait()
    relay.hold()
    for _ in range(10):
        with anyio.move_on_after(0.05):
            await store.wait()
    relay.release()
    with anyio.fail_after(20):
        assert await store.wait() == Signals(admitted=True, released=True)


async def test_a_standby(database: Database) -> None:
    """A server that accepts no writes is temporary, and the next call connects again, perhaps to the primary."""
    role = database.schema
    database.server.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
    store = PostgresStore(database.settings(dsn=database.server.dsn.replace("postgres:@", f"{role}@")))
    await store.open(["bus"])
    await store.admit([a_watch("t1")])
    database.server.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    database.server.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", role)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="target_session_attrs=read-write"):
            await store.admit([a_watch("t2")])
    database.server.execute(f"ALTER ROLE {role} RESET default_transaction_read_only")
    assert list(await store.admit([a_watch("t2")])) == [a_watch("t2")]
    await store.close()
    database.server.execute(f"DROP OWNED BY {role} CASCADE")
    database.server.execute(f"DROP ROLE {role}")
