"""The tables, the migrations that create them, and the databases and stores that are refused.

All migrations that a store lacks run in one transaction, under a lock, because several replicas may start at once. A
released migration never changes: a new version is appended. During a rolling update, replicas of two versions work on one
store. So a migration is `compatible` if the versions before it can work with what it leaves.

No table has a foreign key to watches: whoever writes for a watch holds a lock on its row. Each column that a commit
changes is in no index but those that the end of a watch changes, so that an update stays within its page (HOT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Identifier

from watcher.adapters.stores.postgres.connections import Connection
from watcher.errors import StoreRefused

OLDEST_SERVER = 140000
"""PostgreSQL 14."""
LOCK = 0x57617463
"""`Watc`: the first number of our advisory locks."""
MIGRATION_LOCK_S = 300
"""How long a replica waits while another one creates or migrates the tables, and how long a migration may take."""


@dataclass(frozen=True, slots=True)
class Migration:
    """The statements from one version to the next. `compatible`: programs of the earlier versions work with the result."""

    statements: Sequence[str]
    compatible: bool = False


VERSION_1 = Migration(
    (
        # How many shards there are, and the oldest version of the program that can work with this store.
        "CREATE TABLE store (version integer NOT NULL, readable_from integer NOT NULL, shards integer NOT NULL)",
        """CREATE TABLE watches (
            n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            shard integer NOT NULL,
            key text COLLATE "C" NOT NULL UNIQUE,
            id text COLLATE "C" NOT NULL,
            target text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            params text[] COLLATE "C" NOT NULL,
            admitted_at double precision NOT NULL,
            deadline_at double precision NOT NULL,
            context text COLLATE "C",
            status text COLLATE "C",
            status_since double precision,
            changed_at double precision,
            created_at double precision,
            started_at double precision,
            updated_at double precision,
            result_digest text COLLATE "C",
            sequence bigint NOT NULL,
            polls bigint NOT NULL,
            ended_at double precision,
            end_reason text COLLATE "C",
            admitted_xid xid8 NOT NULL DEFAULT pg_current_xact_id())
            WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)""",
        # To adopt a shard, and to find what was admitted by transactions that an earlier reading did not see.
        "CREATE INDEX watches_open ON watches (shard, admitted_xid, n) WHERE ended_at IS NULL",
        "CREATE INDEX watches_open_newest ON watches (n) INCLUDE (kind) WHERE ended_at IS NULL",
        "CREATE INDEX watches_ended ON watches (ended_at, n) WHERE ended_at IS NOT NULL",
        # Only to erase by the first parameter. A commit does not change it.
        "CREATE INDEX watches_first_param ON watches ((params[1]))",
        "CREATE SEQUENCE positions AS bigint",
        """CREATE TABLE events (
            shard integer NOT NULL,
            position bigint NOT NULL DEFAULT nextval('positions'),
            watch bigint NOT NULL,
            id text COLLATE "C" NOT NULL,
            type text COLLATE "C" NOT NULL,
            "to" text COLLATE "C",
            terminal boolean NOT NULL,
            at double precision NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (shard, position))
            WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)""",
        "CREATE UNIQUE INDEX events_id ON events (watch, id)",
        # A sink has settled each event of a shard up to its cursor, and beyond it those in `settled`.
        """CREATE TABLE cursors (
            sink text COLLATE "C" NOT NULL,
            shard integer NOT NULL,
            position bigint NOT NULL,
            PRIMARY KEY (sink, shard))
            WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)""",
        """CREATE TABLE settled (
            sink text COLLATE "C" NOT NULL,
            shard integer NOT NULL,
            position bigint NOT NULL,
            PRIMARY KEY (sink, shard, position))
            WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)""",
        """CREATE TABLE dead_letters (
            n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            what text COLLATE "C" NOT NULL,
            origin text COLLATE "C" NOT NULL,
            reason text COLLATE "C" NOT NULL,
            detail text COLLATE "C" NOT NULL,
            body bytea NOT NULL,
            size bigint,
            at double precision NOT NULL,
            key text COLLATE "C",
            kind text COLLATE "C",
            params text[] COLLATE "C",
            shard integer NOT NULL,
            position bigint NOT NULL,
            tries integer NOT NULL,
            retry boolean NOT NULL DEFAULT false)""",
        # The body is compressed before it comes here.
        "ALTER TABLE dead_letters ALTER COLUMN body SET STORAGE EXTERNAL",
        "CREATE INDEX dead_letters_at ON dead_letters (at, n)",
        "CREATE INDEX dead_letters_key ON dead_letters (key, at, n) WHERE key IS NOT NULL",
        "CREATE INDEX dead_letters_first_param ON dead_letters ((params[1])) WHERE params IS NOT NULL",
        "CREATE INDEX dead_letters_retry ON dead_letters (n) WHERE retry",
        "CREATE INDEX dead_letters_what ON dead_letters (what, at, origin)",
        # Erasures that the owner of the shard has not read yet.
        """CREATE TABLE forgotten (
            n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            shard integer NOT NULL,
            key text COLLATE "C" NOT NULL)""",
        """CREATE TABLE replicas (
            name text COLLATE "C" PRIMARY KEY,
            started_at timestamptz NOT NULL,
            renewed_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            report text COLLATE "C")
            WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)""",
        # The epoch of the current lease of each shard, or of the last one. A shard whose owner is not in `replicas` is free.
        """CREATE TABLE shards (
            shard integer PRIMARY KEY,
            owner text COLLATE "C",
            epoch bigint NOT NULL)
            WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200)""",
        'CREATE TABLE state (name text COLLATE "C" PRIMARY KEY, text text COLLATE "C" NOT NULL)',
        """CREATE TABLE replica_state (
            name text COLLATE "C" NOT NULL,
            replica text COLLATE "C" NOT NULL REFERENCES replicas ON DELETE CASCADE,
            text text COLLATE "C" NOT NULL,
            PRIMARY KEY (name, replica))""",
        "CREATE INDEX replica_state_of ON replica_state (replica)",
    )
)

MIGRATIONS: Sequence[Migration] = (VERSION_1,)

_VERSION = "SELECT version, readable_from, shards FROM store"
_HAS_TABLES = "SELECT to_regclass('store') IS NOT NULL, to_regclass('watches') IS NOT NULL"


class Schema:
    """The tables of one store, in the first schema of the search path."""

    def __init__(self, name: str, place: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._name = name
        self._place = f"{place}, schema {name}"
        self._migrations = migrations
        self.version = 0
        """Of the store, known after `prepare` and `expect`. Not below that of this program."""

    async def prepare(self, db: Connection, shards: int) -> int:
        """Create the tables, or run the migrations that are missing. Returns the number of shards. Refuses a store that is not ours."""
        await self._check_server(db)
        found = await self._read(db)
        if found is None or found[0] < len(self._migrations):
            await self._migrate(db, shards)
            found = await self._read(db)
        return self._accept(found)

    async def expect(self, db: Connection) -> int:
        """Refuse a store that this program cannot work with, and change nothing. Returns the number of shards."""
        await self._check_server(db)
        found = await self._read(db)
        if found is None:
            raise StoreRefused(f"{self._place}: there is no store here yet: start the watcher first, or set store.schema_name")
        if found[0] < len(self._migrations):
            raise StoreRefused(
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

    def _accept(self, found: tuple[Any, ...] | None) -> int:
        if found is None:
            raise StoreRefused(f"{self._place}: the tables are missing")
        version, readable_from, shards = found
        if readable_from > len(self._migrations):
            raise StoreRefused(
                f"{self._place}: has schema version {version}, this program supports up to {len(self._migrations)}:"
                " run the newer program, or set store.schema_name to another schema"
            )
        self.version = version
        return int(shards)

    async def _migrate(self, db: Connection, shards: int) -> None:
        async with db.transaction():
            await db.execute("SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)", (_wait(), _wait()))
            await db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, self._name))
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
    return str(MIGRATION_LOCK_S * 1000)
