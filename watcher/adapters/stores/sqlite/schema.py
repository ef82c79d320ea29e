"""What is in the file, how it came to be so, and which files are refused.

A migration is a tuple of statements that leads from one version to the next; all that a file lacks run in one
transaction. What has been released never changes: a new version is appended.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from watcher.errors import StoreRefused

MEMORY = ":memory:"
APPLICATION_ID = 0x57617463
"""`Watc`: tells our files from those of other programs."""
BUSY_S = 5.0
"""How long SQLite itself waits for a lock of another process, in seconds."""
CHECKED_WHOLE = 64 * 1024 * 1024
"""Up to this size a file is read through when it is opened (well under a second); in a larger one damage shows when it is reached."""

VERSION_1 = (
    """CREATE TABLE watches (
        n INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        id TEXT NOT NULL,
        target TEXT NOT NULL,
        kind TEXT NOT NULL,
        connector TEXT,
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
    "CREATE INDEX watches_connector ON watches (connector)",
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
    # Led by the watch, so that a group of new events touches few pages; ids are derived from the watch anyway.
    "CREATE UNIQUE INDEX events_once ON events (watch, id)",
    # Everything at or below its cursor a sink has settled, and above it what stands in `settled`.
    "CREATE TABLE sinks (name TEXT PRIMARY KEY, cursor INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE settled (sink TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (sink, position)) WITHOUT ROWID",
    """CREATE TABLE letters (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        what TEXT NOT NULL,
        origin TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        body BLOB NOT NULL,
        at REAL NOT NULL,
        key TEXT,
        position INTEGER NOT NULL,
        tries INTEGER NOT NULL,
        retry INTEGER NOT NULL)""",
    "CREATE INDEX letters_retry ON letters (retry) WHERE retry",
    # Notices for the owner: what somebody else forgot while it runs.
    "CREATE TABLE forgotten (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL)",
    "CREATE TABLE notes (name TEXT PRIMARY KEY, note TEXT NOT NULL) WITHOUT ROWID",
)

Migration = Sequence[str]
MIGRATIONS: Sequence[Migration] = (VERSION_1,)


def connect(path: str) -> sqlite3.Connection:
    """A connection to an existing file (or to a new database in memory), in autocommit mode, for use by one thread at a time."""
    place = path if path == MEMORY else f"{Path(path).absolute().as_uri()}?mode=rw"
    db = sqlite3.connect(place, uri=path != MEMORY, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA secure_delete = ON")  # what is erased, biometric data among it, is overwritten with zeros
    except sqlite3.Error:
        db.close()  # a damaged file is noticed here first
        raise
    return db


def create(path: str) -> None:
    """An empty file that only its owner may read, if none is there. The -wal and -shm files take over its mode."""
    if path == MEMORY:
        return
    # Never opens a file that is there: closing it would drop the locks of any other connection of this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def prepare(db: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse what is not ours, make the rest as `migrations` want it, and write ahead from now on."""
    version = _version(db, path, len(migrations))
    if path != MEMORY and os.path.getsize(path) <= CHECKED_WHOLE and _damaged(db):
        raise StoreRefused(f"{path}: damaged: move it away, with its -wal file, and restore a backup or begin anew")
    write_ahead(db, path)
    if version < len(migrations):
        _migrate(db, version, migrations)


def expect(db: sqlite3.Connection, path: str) -> None:
    """Refuse a file that is not exactly of our version: only its owner may change that."""
    version = _version(db, path, len(MIGRATIONS))
    if version == 0:
        raise StoreRefused(f"{path}: there is no store in this file yet: start the watcher first")
    if version < len(MIGRATIONS):
        raise StoreRefused(
            f"{path}: has version {version}, this program writes {len(MIGRATIONS)}: start the watcher once to bring it up to date"
        )
    write_ahead(db, path)


def write_ahead(db: sqlite3.Connection, path: str) -> None:
    """The log and its syncing. Checkpoints are the writer's: SQLite would keep their errors to itself."""
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal" and path != MEMORY:
        raise StoreRefused(f"{path}: its file system cannot hold a write-ahead log: use a local disk")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA journal_size_limit = 67108864")
    db.execute("PRAGMA cache_size = -32768")


def read_only(db: sqlite3.Connection) -> None:
    """This connection never writes, and has the log's index ready."""
    db.execute("PRAGMA query_only = ON")
    db.execute("SELECT 1 FROM notes LIMIT 1").fetchone()


def _version(db: sqlite3.Connection, path: str, known: int) -> int:
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application, version, tables) != (0, 0, 0):
        raise StoreRefused(f"{path}: a database of another program: point store.path elsewhere")
    if version > known:
        raise StoreRefused(
            f"{path}: has version {version}, this program knows up to {known}: run the newer program, or give this one its own file"
        )
    return version


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
