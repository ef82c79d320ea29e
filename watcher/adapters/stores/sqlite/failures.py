"""What an error of SQLite means for us: it passes, it is the file's end, or it is the caller's own mistake.

Nothing is read from error texts: SQLite's result codes decide.
"""

from __future__ import annotations

import sqlite3

from watcher.errors import StoreError, StoreRefused, StoreUnavailable

PASSES = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR_WRITE: "the disk does not take it (full, or over a quota?)",
    sqlite3.SQLITE_IOERR_SHMSIZE: "the disk does not take it (full, or over a quota?)",
    sqlite3.SQLITE_BUSY: "locked by another process",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_PROTOCOL: "locked by another process",
    sqlite3.SQLITE_NOMEM: "out of memory",
    sqlite3.SQLITE_IOERR_NOMEM: "out of memory",
}
"""A failed write leaves the transaction undone and the file whole: the next attempt may do."""

ENDS = {
    sqlite3.SQLITE_NOTADB: "not a SQLite database: point store.path elsewhere, or move this file away",
    sqlite3.SQLITE_CORRUPT: "damaged: move it away, with its -wal file, and restore a backup or begin anew",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: is its directory there, and writable?",
    sqlite3.SQLITE_READONLY: "cannot be written: mend its permissions, or mount its volume writable",
    sqlite3.SQLITE_PERM: "cannot be written: mend its permissions",
    sqlite3.SQLITE_IOERR: "the disk failed: what was written last may not be on it; look at the disk, then start again",
}
"""After a failed fsync nobody knows what is on the disk, and asking again would say that all is well."""


def named(error: Exception, path: str) -> StoreError | None:
    """The error as the runtime knows it. None: no fault of the store but of what it was asked to do."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(error, sqlite3.Error) or code is None:
        return None
    name = error.sqlite_errorname
    primary = code & 0xFF
    if passing := PASSES.get(code) or PASSES.get(primary):
        return StoreUnavailable(f"{path}: {passing} ({name})")
    if end := ENDS.get(primary):
        return StoreRefused(f"{path}: {end} ({name})")
    return None
