"""The tables, and the migrations that create them.

A released migration never changes: a new version is appended. During a rolling update, replicas of two versions work on one
store. So a migration is `compatible` if the versions before it can work with what it leaves.

Only task tokens have a foreign key to watches, so that also a replica of an earlier version erases them with their watch. Other
tables need none: a transaction that writes for a watch holds a lock on its row. Each column that a commit
changes is in no index but those that the end of a watch changes, so that an update stays within its page (HOT).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Migration:
    """The statements from one version to the next. `compatible`: programs of the earlier versions work with the result."""

    statements: Sequence[str]
    compatible: bool = False


VERSION_1 = Migration(
    (
        # How many shards there are, and the oldest version of the program that can work with this store.
        "CREATE TABLE store (version integer NOT NULL, readable_from integer NOT NULL, shards integer NOT NULL)",
        # Numbers are given in the order of arrival, rows are written in the order of their keys.
        "CREATE SEQUENCE watch_numbers AS bigint",
        """CREATE TABLE watches (
            n bigint PRIMARY KEY,
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
            WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)""",
        # To adopt a shard, and to find what was admitted by transactions that an earlier reading did not see; with the kind, to count.
        "CREATE INDEX watches_open ON watches (shard, admitted_xid, n) INCLUDE (kind) WHERE ended_at IS NULL",
        "CREATE INDEX watches_open_newest ON watches (n) WHERE ended_at IS NULL",
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
        "CREATE SEQUENCE dead_letter_numbers AS bigint",
        """CREATE TABLE dead_letters (
            n bigint PRIMARY KEY,
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
        "CREATE INDEX dead_letters_first_param ON dead_letters ((params[1]))",
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

VERSION_2 = Migration(
    (
        'ALTER TABLE watches ADD COLUMN trace text COLLATE "C"',
        # Whether an operator cancelled the task. Its end removes the entry of the index.
        "ALTER TABLE watches ADD COLUMN cancelled boolean NOT NULL DEFAULT false",
        "CREATE INDEX watches_cancelled ON watches (shard, n) WHERE cancelled AND ended_at IS NULL",
        "INSERT INTO state VALUES ('identity', replace(gen_random_uuid()::text, '-', ''))"
        " ON CONFLICT (name) DO UPDATE SET text = excluded.text",
    ),
    compatible=True,
)

VERSION_3 = Migration(
    (
        # Secrets of executions of AWS Step Functions that wait for a task. An answered one has no token any more.
        """CREATE TABLE task_tokens (
            n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            shard integer NOT NULL,
            watch bigint NOT NULL REFERENCES watches ON DELETE CASCADE,
            digest bytea NOT NULL,
            token text COLLATE "C",
            late boolean NOT NULL,
            begun boolean NOT NULL DEFAULT false,
            UNIQUE (watch, digest))""",
        "CREATE INDEX task_tokens_waiting ON task_tokens (shard, late, n) WHERE token IS NOT NULL",
    ),
    compatible=True,
)

MIGRATIONS: Sequence[Migration] = (VERSION_1, VERSION_2, VERSION_3)
