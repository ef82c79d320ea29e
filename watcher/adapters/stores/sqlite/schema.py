"""The tables of the file, the migrations that create them, and the files that are refused.

A migration is a tuple of statements from one version to the next. All that a file lacks run in one transaction. A
released migration never changes: a new version is appended.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from watcher.adapters.stores.sqlite.failures import DAMAGED
from watcher.errors import StoreRefused

MEMORY = ":memory:"
APPLICATION_ID = 0x57617463
"""`Watc`: distinguishes our files from those of other programs."""
BUSY_S = 5.0
"""Seconds that SQLite waits for a lock of another process."""
CHECKED_WHOLE = 64 * 1024 * 1024
"""Bytes. A file up to this size is checked as a whole when it is opened, in well under a second; damage in a larger one
is found when it is read."""

VERSION_1 = (
    """CREATE TABLE watches (
        n INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        params TEXT NOT NULL,
        admitted_at REAL NOT NULL,
        deadline_at REAL NOT NULL,
        context TEXT,
        status TEXT,
        status_since REAL,
        changed_at REAL,
        created_at REAL,
        started_at REAL,
        updated_at REAL,
        result_digest TEXT,
        sequence INTEGER NOT NULL,
        polls INTEGER NOT NULL,
        ended_at REAL,
        end_reason TEXT)""",
    "CREATE INDEX watches_open ON watches (ended_at) WHERE ended_at IS NULL",
    "CREATE INDEX watches_ended ON watches (ended_at) WHERE ended_at IS NOT NULL",
    # Only to erase by the first parameter. A commit does not change it, so it costs one entry at admission.
    "CREATE INDEX watches_first_param ON watches (json_extract(params, '$[0]'))",
    # AUTOINCREMENT: a position is never given twice, also after the newest event was erased.
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        watch INTEGER NOT NULL REFERENCES watches (n),
        id TEXT NOT NULL,
        type TEXT NOT NULL,
        "to" TEXT,
        terminal INTEGER NOT NULL,
        at REAL NOT NULL,
        body BLOB NOT NULL)""",
    # The watch comes first, so that the events of one commit touch few pages; an id is derived from the watch anyway.
    "CREATE UNIQUE INDEX events_id ON events (watch, id)",
    # A sink has settled each event up to its cursor, and beyond it those in `settled`.
    "CREATE TABLE sinks (name TEXT PRIMARY KEY, cursor INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE settled (sink TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (sink, position)) WITHOUT ROWID",
    """CREATE TABLE dead_letters (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        what TEXT NOT NULL,
        origin TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        body BLOB NOT NULL,
        at REAL NOT NULL,
        key TEXT,
        kind TEXT,
        params TEXT,
        position INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        retry INTEGER NOT NULL)""",
    "CREATE INDEX dead_letters_at ON dead_letters (at)",
    "CREATE INDEX dead_letters_key ON dead_letters (key, at) WHERE key IS NOT NULL",
    "CREATE INDEX dead_letters_retry ON dead_letters (retry) WHERE retry",
    # Erasures by other processes, which the owner has not read yet.
    "CREATE TABLE forgotten (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL)",
    "CREATE TABLE state (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
    # The epoch of the current lease of each shard. A file has one shard.
    "CREATE TABLE shards (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL)",
    "INSERT INTO shards VALUES (0, 0)",
)

VERSION_2 = (
    # Of the whole body in bytes, for one that is kept compressed; NULL: the body is kept as it is.
    "ALTER TABLE dead_letters ADD COLUMN size INTEGER",
    # To count them, and to erase those of one kind, without reading their bodies.
    "CREATE INDEX dead_letters_what ON dead_letters (what, at, origin)",
)

VERSION_3 = (
    "ALTER TABLE watches ADD COLUMN trace TEXT",
    # Whether an operator cancelled the task. Its end removes the entry of the index.
    "ALTER TABLE watches ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX watches_cancelled ON watches (cancelled) WHERE cancelled = 1 AND ended_at IS NULL",
    # A file that an earlier version copied from a store with an identity may have that one.
    """INSERT INTO state VALUES ('identity', lower(hex(randomblob(16))))
        ON CONFLICT (name) DO UPDATE SET text = excluded.text""",
)

VERSION_4 = (
    # Secrets of executions of AWS Step Functions that wait for a task. An answered one has no token any more.
    """CREATE TABLE task_tokens (
        n INTEGER PRIMARY KEY,
        watch INTEGER NOT NULL REFERENCES watches (n),
        digest BLOB NOT NULL,
        token TEXT,
        late INTEGER NOT NULL,
        begun INTEGER NOT NULL DEFAULT 0)""",
    "CREATE UNIQUE INDEX task_tokens_digest ON task_tokens (watch, digest)",
    "CREATE INDEX task_tokens_waiting ON task_tokens (late, n) WHERE token IS NOT NULL",
)

Migration = Sequence[str]
MIGRATIONS: Sequence[Migration] = (VERSION_1, VERSION_2, VERSION_3, VERSION_4)


def connect(path: str) -> sqlite3.Connection:
    """A connection to an existing file (or to a new database in memory), in autocommit mode, for use by one thread at a time."""
    place = path if path == MEMORY else f"{Path(path).absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(place, uri=path != MEMORY, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA secure_delete = ON")  # erased data may be biometric, so it is overwritten with zeros
    except sqlite3.Error:
        db.close()  # the first read of the file: this is where a damaged one fails
        raise
    return db


def create(path: str) -> None:
    """Create an empty file that only its user may read, unless there is a file. The -wal and -shm files get the same mode."""
    if path == MEMORY:
        return
    # An existing file is not opened: closing it would release the locks of every other connection of this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def prepare(db: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a file that is not ours or is damaged, run the migrations that it lacks, and turn on its write-ahead log."""
    version = _version(db, path, len(migrations))
    if path != MEMORY and os.path.getsize(path) <= CHECKED_WHOLE and _damaged(db):
        raise StoreRefused(f"{path}: {DAMAGED}")
    write_ahead(db, path)
    if version < len(migrations):
        _migrate(db, version, migrations)


def expect(db: sqlite3.Connection, path: str) -> None:
    """Refuse a file of another version than ours, because only its owner may migrate it."""
    version = _version(db, path, len(MIGRATIONS))
    if version == 0:
        raise StoreRefused(f"{path}: there is no store in this file yet: start the watcher first")
    if version < len(MIGRATIONS):
        raise StoreRefused(
            f"{path}: has schema version {version}, this program needs {len(MIGRATIONS)}: start the watcher once to migrate the file"
        )
    write_ahead(db, path)


def write_ahead(db: sqlite3.Connection, path: str) -> None:
    """Set the write-ahead log, a sync at each commit, and no automatic checkpoints: SQLite would hide their errors."""
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal" and path != MEMORY:
        raise StoreRefused(f"{path}: its file system does not support a write-ahead log: use a local disk")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA journal_size_limit = 67108864")
    db.execute("PRAGMA cache_size = -32768")


def read_only(db: sqlite3.Connection) -> None:
    """Forbid writes on this connection, and read once, so that the index of the log is ready."""
    db.execute("PRAGMA query_only = ON")
    db.execute("SELECT 1 FROM state LIMIT 1").fetchone()


def _version(db: sqlite3.Connection, path: str, known: int) -> int:
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version == 0 and tables and _has_our_tables(db):
        raise StoreRefused(
            f"{path}: has the tables of a store but no schema version (user_version is 0), as after a restore from a .dump:"
            " restore a copy of the whole file instead, or start with a new file"
        )
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StoreRefused(f"{path}: a database of another program: set store.path to another file")
    if version == 0 and tables:
        raise StoreRefused(f"{path}: has tables but no schema version (user_version is 0): set store.path to another file")
    if version > known:
        raise StoreRefused(
            f"{path}: has schema version {version}, this program supports up to {known}:"
            " run the newer program, or set store.path to another file"
        )
    return version


def _has_our_tables(db: sqlite3.Connection) -> bool:
    ours: int = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('watches', 'events', 'dead_letters')").fetchone()[0]
    return ours == 3


def _damaged(db: sqlite3.Connection) -> bool:
    return bool(db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")


def _migrate(db: sqlite3.Connection, version: int, migrations: Sequence[Migration]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[version:]:
            for statement in migration:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
