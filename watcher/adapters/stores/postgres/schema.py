"""Creates and migrates the tables, and refuses databases and stores that this program cannot work with.

All migrations that a store lacks run in one transaction, under a lock, because several replicas may start at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.sql import SQL, Identifier

from watcher.adapters.stores.postgres.connections import Connection
from watcher.adapters.stores.postgres.failures import PERMISSION
from watcher.adapters.stores.postgres.tables import MIGRATIONS, Migration
from watcher.errors import StoreNotPrepared, StoreRefused

OLDEST_SERVER = 140000
"""PostgreSQL 14."""
LOCK = 0x57617463
"""`Watc`: the first number of our advisory locks."""
MIGRATION_S = 300
"""How long a replica waits while another one creates or migrates the tables, and how long a migration may take."""


_VERSION = "SELECT version, readable_from, shards FROM store"
_HAS_TABLES = "SELECT to_regclass('store') IS NOT NULL, to_regclass('watches') IS NOT NULL"

_MAY_CREATE = """SELECT CASE WHEN to_regnamespace(quote_ident(%s)) IS NULL THEN has_database_privilege(current_database(), 'CREATE')
    ELSE has_schema_privilege(to_regnamespace(quote_ident(%s)), 'CREATE') END"""


class Schema:
    """The tables of one store, in the first schema of the search path."""

    def __init__(self, name: str, place: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._name = name
        self._place = f"{place}, schema {name}"
        self._migrations = migrations

    async def is_current(self, db: Connection) -> bool:
        """Whether no migration is missing. Refuses a server or a store that this program cannot work with."""
        await self._check_server(db)
        found = await self._read(db)
        if found is not None:
            self._accept(found)
        return found is not None and found[0] >= len(self._migrations)

    async def expect(self, db: Connection) -> int:
        """Refuse a store that this program cannot work with, and change nothing. Returns the number of shards."""
        await self._check_server(db)
        found = await self._read(db)
        if found is None:
            if not (await one(db, _MAY_CREATE, (self._name, self._name)))[0]:
                raise StoreRefused(f"{self._place}: there is no store here yet, and {PERMISSION}")
            raise StoreNotPrepared(f"{self._place}: there is no store here yet: start the watcher first, or set store.schema_name")
        if found[0] < len(self._migrations):
            raise StoreNotPrepared(
                f"{self._place}: has schema version {found[0]}, this program needs {len(self._migrations)}:"
                " start a watcher of this version once to migrate the store"
            )
        return self._accept(found)

    async def _check_server(self, db: Connection) -> None:
        version = db.info.server_version
        if version < OLDEST_SERVER:
            raise StoreRefused(f"{self._place}: PostgreSQL {version // 10000} is too old: use {OLDEST_SERVER // 10000} or later")
        encoding = db.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StoreRefused(f"{self._place}: the encoding of the database is {encoding}: create one with ENCODING 'UTF8'")

    async def _read(self, db: Connection) -> tuple[Any, ...] | None:
        """The version, the oldest version that can work with the store, and the number of shards; None where there is no store."""
        has_store, has_watches = await one(db, _HAS_TABLES)
        if has_store:
            row = await (await db.execute(_VERSION)).fetchone()
            if row is not None:
                return row
        if has_watches:
            raise StoreRefused(
                f"{self._place}: has tables but no schema version, as after an incomplete restore: restore the whole schema,"
                " or set store.schema_name to another one"
            )
        return None

    def _accept(self, found: tuple[Any, ...]) -> int:
        version, readable_from, shards = found
        if readable_from > len(self._migrations):
            raise StoreRefused(
                f"{self._place}: has schema version {version}, this program supports up to {len(self._migrations)}:"
                " run the newer program, or set store.schema_name to another schema"
            )
        return int(shards)

    async def migrate(self, db: Connection, shards: int) -> None:
        """Create the tables with this number of shards, or run the migrations that are missing."""
        async with db.transaction():
            await db.execute("SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)", (_wait(), _wait()))
            await self.lock(db)
            await self._create_schema(db)
            found = await self._read(db)  # another replica may have done it in the meantime
            version = 0 if found is None else found[0]
            missing = self._migrations[version:]
            if version and not all(each.compatible for each in missing):
                await self._check_stopped(db, version)
            for migration in missing:
                for statement in migration.statements:
                    await db.execute(statement)  # a constant of this file
            if found is None:
                await db.execute("INSERT INTO store VALUES (%s, %s, %s)", (len(self._migrations), self._readable_from(1), shards))
                await db.execute("INSERT INTO shards SELECT shard, NULL, 0 FROM generate_series(0, %s) shard", (shards - 1,))
            elif missing:
                await db.execute(
                    "UPDATE store SET version = %s, readable_from = %s", (len(self._migrations), self._readable_from(found[1]))
                )

    async def lock(self, db: Connection) -> None:
        """Keep other replicas from opening this store, until the end of the transaction."""
        await one(db, "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, self._name))

    def _readable_from(self, earlier: int) -> int:
        """The oldest version that can work with a store after all migrations."""
        breaking = [number for number, migration in enumerate(self._migrations, 1) if not migration.compatible]
        return max([earlier, *breaking])

    async def _create_schema(self, db: Connection) -> None:
        if not (await one(db, "SELECT to_regnamespace(quote_ident(%s)) IS NOT NULL", (self._name,)))[0]:
            await db.execute(SQL("CREATE SCHEMA {}").format(Identifier(self._name)))

    async def _check_stopped(self, db: Connection, version: int) -> None:
        """A migration that the running version cannot work with needs all replicas stopped."""
        if (await one(db, "SELECT count(*) FROM replicas WHERE expires_at > clock_timestamp()"))[0]:
            raise StoreRefused(
                f"{self._place}: replicas of schema version {version} are running, which cannot work with version"
                f" {len(self._migrations)}: stop them all, then start this version"
            )


async def one(db: Connection, statement: Any, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    """The first row of a statement that always has one."""
    (row,) = await (await db.execute(statement, values)).fetchmany(1)
    return row


def _wait() -> str:
    return str(MIGRATION_S * 1000)
