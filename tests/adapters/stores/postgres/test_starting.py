"""How a store starts: empty databases, two replicas at once, other versions, and databases that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from tests.contracts.store_exam.facts import a_watch, all_tasks, leases, moved
from tests.postgres import Database, PostgresServer
from watcher.adapters.stores.postgres import PostgresStore
from watcher.adapters.stores.postgres.tables import MIGRATIONS, Migration
from watcher.errors import StoreError, StoreRefused
from watcher.query import Selection

pytestmark = pytest.mark.process

CURRENT = len(MIGRATIONS)
COMPATIBLE = Migration(("ALTER TABLE watches ADD COLUMN later text",), compatible=True)
BREAKING = Migration(("ALTER TABLE watches RENAME COLUMN key TO name",))


def a_store(database: Database, *later: Migration) -> PostgresStore:
    return database.store(migrations=(*MIGRATIONS, *later))


async def opened(database: Database, *later: Migration) -> PostgresStore:
    store = a_store(database, *later)
    try:
        await store.open(["bus"])
    except BaseException:
        await store.close()
        raise
    return store


async def closed(*stores: PostgresStore) -> None:
    for store in stores:
        await store.close()


async def test_replicas_that_start_at_once(database: Database) -> None:
    """On an empty database, one of them creates the tables, and all of them open."""
    stores = [a_store(database) for _ in range(5)]
    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(store.open, ["bus", "log"])
    assert database.execute("SELECT version, readable_from, shards FROM store") == [(CURRENT, 1, 4)]
    assert database.execute("SELECT count(*) FROM shards") == [(4,)]
    assert database.execute("SELECT sink, count(*) FROM cursors GROUP BY sink ORDER BY sink") == [("bus", 4), ("log", 4)]
    await closed(*stores)


async def test_the_number_of_shards_is_that_of_the_store(database: Database) -> None:
    """A replica with another setting takes the number with which the store was created."""
    store = await opened(database)
    other = PostgresStore(database.settings(shards=9))
    await other.open(["bus"])
    assert (store.shards, other.shards) == (4, 4)
    assert await other.admit([a_watch(f"t{n}") for n in range(20)])
    assert database.execute("SELECT max(shard) FROM watches") == [(3,)]
    await closed(store, other)


async def test_a_command_beside_the_replicas(database: Database) -> None:
    """It reads, and takes no part in the ownership; where there is no store, it creates none."""
    command = a_store(database)
    with pytest.raises(StoreRefused, match="there is no store here yet: start the watcher first"):
        await command.attach()
    store = await opened(database)
    await store.claim()
    await store.admit([a_watch()])
    await command.attach()
    assert await all_tasks(command) == [a_watch()]
    assert command.shards == 4
    assert [len(replica.shards) for replica in await command.replicas()] == [4]
    await closed(command, store)


async def test_the_check_names_the_versions(database: Database) -> None:
    """The server, and the schema of the store."""
    store = await opened(database)
    (version,) = database.execute("SHOW server_version")[0]
    assert await store.check() == f"PostgreSQL {version.split()[0]}, schema {CURRENT}"
    await store.close()


# --- versions ------------------------------------------------------------------------------------


async def test_a_rolling_update(database: Database) -> None:
    """The next version migrates the store while this one works on it; both go on, and this one can start again."""
    old = await opened(database)
    owned = await leases(old)
    (watch,) = await old.admit([a_watch()])
    new = await opened(database, COMPATIBLE)
    assert not await old.commit([moved(watch)], owned)
    assert await new.task(watch.key) == moved(watch).watch
    assert [watch async for watches in new.arrivals([]) for watch in watches] == []
    again = await opened(database)
    assert await again.task(watch.key) == moved(watch).watch
    assert database.execute("SELECT version, readable_from FROM store") == [(CURRENT + 1, 1)]
    await closed(old, new, again)


async def test_a_store_of_the_first_version(database: Database) -> None:
    """Its watches stay when it is migrated, it gets an identity, and replicas of that version still admit and end watches."""
    first = database.store(migrations=MIGRATIONS[:1])
    await first.open([])  # a sink that this version adds needs the table of task tokens
    admit = """INSERT INTO watches (n, shard, key, id, target, kind, params, admitted_at, deadline_at, sequence, polls)
        SELECT nextval('watch_numbers'), 0, 'speaker-search/vc1/' || %s, 'id', 'default', 'speaker-search', ARRAY['vc1', %s],
            1000, 9000, 0, 0 RETURNING n"""
    database.execute(admit, "t1", "t1")
    store = await opened(database)
    assert database.execute("SELECT version, readable_from FROM store") == [(CURRENT, 1)]
    assert await store.task(a_watch().key) == a_watch(watch="id")
    assert len(await store.identity()) == 32
    database.execute(admit, "t2", "t2")
    assert await store.cancel([a_watch().key, a_watch("t2").key]) == 2
    database.execute("UPDATE watches SET ended_at = 1, end_reason = 'terminal' WHERE key = %s RETURNING n", a_watch().key)
    await store.claim()
    assert dict((await store.requests()).cancelled) == {a_watch("t2").key: "id"}
    await closed(first, store)


async def test_a_replica_without_task_tokens_erases_them_with_their_watch(database: Database) -> None:
    """During a rolling update, a task that a replica of an earlier version erases leaves no secret behind."""
    earlier = database.store(migrations=MIGRATIONS[:2])
    await earlier.open([])  # a sink that this version adds needs the table of task tokens
    store = await opened(database)
    watch = a_watch()
    await store.admit([watch], {watch.key: ["token"]})
    assert await earlier.forget(Selection(key=watch.key)) == 1
    assert database.execute("SELECT count(*) FROM task_tokens") == [(0,)]
    await closed(earlier, store)


async def test_a_breaking_migration_waits_until_all_replicas_stopped(database: Database) -> None:
    """It is refused while a replica runs that cannot work with its result; afterwards the old version is refused."""
    old = await opened(database)
    await old.claim()
    with pytest.raises(StoreRefused, match=rf"replicas of schema version {CURRENT} are running.* stop them all, then start this version"):
        await opened(database, BREAKING)
    await old.close()
    await closed(await opened(database, BREAKING))
    for refused in (old.open(["bus"]), a_store(database).attach()):
        with pytest.raises(
            StoreRefused, match=f"has schema version {CURRENT + 1}, this program supports up to {CURRENT}: run the newer program"
        ):
            await refused
    await old.close()


async def test_a_store_of_an_earlier_version(database: Database) -> None:
    """A command does not migrate it, and says that a watcher must."""
    await closed(await opened(database))
    command = a_store(database, COMPATIBLE)
    with pytest.raises(StoreRefused, match="start a watcher of this version once to migrate the store"):
        await command.attach()
    await command.close()
    assert database.execute("SELECT version FROM store") == [(CURRENT,)]


async def test_a_migration_that_fails_changes_nothing(database: Database) -> None:
    """The store stays in its version, and the program of that version can still open it."""
    await closed(await opened(database))
    broken = (COMPATIBLE, Migration(("SELECT 1 / 0",), compatible=True))
    with pytest.raises(Exception, match="division by zero"):
        await opened(database, *broken)
    assert database.execute("SELECT version FROM store") == [(CURRENT,)]
    assert database.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = %s AND column_name = 'later'", database.schema
    ) == [(0,)]
    await closed(await opened(database))


# --- databases that cannot be used -----------------------------------------------------------------


async def refusal(store: PostgresStore) -> str:
    with pytest.raises(StoreError) as error:
        await store.open(["bus"])
    await store.close()
    assert isinstance(error.value, StoreRefused)
    return str(error.value)


async def test_another_encoding(postgres_server: PostgresServer, database: Database) -> None:
    """A database that cannot hold every text is refused, with what to do."""
    name = database.schema
    postgres_server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        store = PostgresStore(database.settings(dsn=postgres_server.dsn.replace("/postgres?", f"/{name}?")))
        assert "the encoding of the database is LATIN1: create one with ENCODING 'UTF8'" in await refusal(store)
    finally:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        (["DROP TABLE store"], "has tables but no schema version, as after an incomplete restore"),
        (["DELETE FROM store"], "has tables but no schema version, as after an incomplete restore"),
        (["DROP TABLE cursors"], "tables of the store are missing"),
    ],
)
async def test_an_incomplete_store(database: Database, statements: Sequence[str], text: str) -> None:
    """A store without its version or without a table is refused and left as it is."""
    await closed(await opened(database))
    for statement in statements:
        database.execute(statement)
    assert text in await refusal(a_store(database))


async def test_a_restore_into_another_cluster(database: Database) -> None:
    """Watches whose transactions are still to come there are loaded, and do not arrive again and again."""
    store = await opened(database)
    await store.admit([a_watch()])
    database.execute("UPDATE watches SET admitted_xid = '1000000000000'")
    await store.close()
    store = await opened(database)
    owned = await leases(store)
    seen = [watch for lease in owned.values() async for watches in store.load(lease) for watch in watches]
    assert seen == [a_watch()]
    for expected in ([], []):
        assert [watch async for watches in store.arrivals(list(owned.values())) for watch in watches] == expected
    await store.close()
