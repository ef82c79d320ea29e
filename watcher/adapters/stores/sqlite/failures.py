"""The meaning of each SQLite error: temporary, final, or a mistake of the caller. Result codes decide, never texts."""

from __future__ import annotations

import sqlite3

from watcher.errors import StoreError, StoreRefused, StoreUnavailable

NO_ROOM = "the disk does not accept writes: free space on it, or raise the quota or file size limit"
LOCKED = "locked by another process: end that process if this lasts"
NO_MEMORY = "out of memory: free some, or raise the memory limit"

TEMPORARY = {
    sqlite3.SQLITE_FULL: "the disk is full: free space on it",
    sqlite3.SQLITE_IOERR_WRITE: NO_ROOM,
    sqlite3.SQLITE_IOERR_SHMSIZE: NO_ROOM,
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_NOMEM: NO_MEMORY,
    sqlite3.SQLITE_INTERRUPT: "the read was broken off, because the store is closed",
    sqlite3.SQLITE_IOERR_NOMEM: NO_MEMORY,
}
"""The failed write was rolled back and the file is intact, so a retry may succeed."""

DAMAGED = "damaged: move it away together with its -wal file, then restore a backup or start with a new file"
FINAL = {
    sqlite3.SQLITE_NOTADB: "not a SQLite database: set store.path to another file, or move this one away",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check that its directory exists and is writable",
    sqlite3.SQLITE_READONLY: "cannot be written: change its permissions, or mount its volume writable",
    sqlite3.SQLITE_PERM: "cannot be written: change its permissions",
    sqlite3.SQLITE_IOERR: "the disk failed, and the last writes may be lost: check the disk, then start the watcher again",
}
"""After a failed fsync the content of the disk is unknown, and a retry would report success for data that is lost."""


def store_error(error: Exception, path: str) -> StoreError | None:
    """The named error for an error of SQLite, or None for a mistake of the caller."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    name = error.sqlite_errorname
    primary = code & 0xFF
    if temporary := TEMPORARY.get(code) or TEMPORARY.get(primary):
        return StoreUnavailable(f"{path}: {temporary} ({name})")
    if final := FINAL.get(primary):
        return StoreRefused(f"{path}: {final} ({name})")
    return None
