"""The meaning of each PostgreSQL error: temporary, final, or a mistake of the caller.

SQLSTATE decides. Only a failed connection has none, because libpq does not give it: there the English text of the server
decides, and an unknown text is temporary.
"""

from __future__ import annotations

import psycopg

from watcher.errors import StoreError, StoreRefused, StoreUnavailable

UNREACHABLE = "cannot be reached{why}: check the server, its host and port, and the network"
LOST = "the connection was lost"
BUSY = "another transaction holds a lock: end that one if this lasts"
SLOW = "a statement took longer than store.statement_timeout: check the load of the server"
PASSWORD = "the server refused the user or the password: check both"  # noqa: S105 - not a password
PERMISSION = "the user lacks a permission: grant it the permission to create and change the tables of the schema"
NO_DATABASE = "there is no such database: create it, with ENCODING 'UTF8'"
POOLER = "prepared statements are not kept: connect to the server itself, or set the pooler to session mode"
NO_TABLES = "tables of the store are missing: restore them from a backup, or start with a new schema"
DAMAGED = "the server found damaged data: check its log, and restore a backup"

TEMPORARY = {
    "25006": "the server accepts no writes, as a standby: connect to the primary, or add target_session_attrs=read-write to store.dsn",
    "55P03": BUSY,
    "57014": SLOW,
    "25P03": LOST,
    "25P04": SLOW,
    "57P05": LOST,
    "08": LOST,
    "40": BUSY,
    "53": "the server lacks a resource, such as connections, memory, or disk space: free some, or raise its limits",
    "57P": "the server is starting, stopping, or changing its role",
    "XX000": "internal error of the server: see its log",
    "0A000": "the tables were changed while this was running",
    "58": "the server failed to read or write a file: check its disk and its log",
}
"""By SQLSTATE or its start. The transaction was rolled back, so a retry may succeed."""

FINAL = {
    "28": PASSWORD,
    "3D000": NO_DATABASE,
    "3F000": NO_TABLES,
    "42501": PERMISSION,
    "42P01": NO_TABLES,
    "42703": NO_TABLES,
    "26000": POOLER,
    "42P05": POOLER,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}

REFUSED_CONNECTIONS = {
    "password authentication failed": PASSWORD,
    "no password supplied": "the server asks for a password: set store.password_file, or PGPASSWORD",
    "no pg_hba.conf entry": "the server accepts no such connection: check the user, sslmode, and pg_hba.conf",
    "pg_hba.conf rejects connection": "the server accepts no such connection: check the user, sslmode, and pg_hba.conf",
    "authentication failed": PASSWORD,
    "is not permitted to log in": PASSWORD,
    "permission denied for database": PERMISSION,
    "does not support SSL": "the server has no TLS: set it up there, or set sslmode=disable in store.dsn",
    "certificate verify failed": "the certificate of the server is not trusted: check sslrootcert in store.dsn",
    "does not match host name": "the certificate of the server is for another host: check the host in store.dsn",
    "root certificate file": "the file with the trusted certificates cannot be read: check sslrootcert in store.dsn",
}
"""By a part of the text with which a connection failed. All of them need a change of the configuration."""


def store_error(error: BaseException, place: str) -> StoreError | None:
    """The named error for an error of psycopg, or None for a mistake of the caller. `place` names the server and the database."""
    if isinstance(error, TimeoutError):
        return StoreUnavailable(f"{place}: no answer in time: check the network and the load of the server")
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return StoreUnavailable(f"{place}: {LOST}") if lost else None
    starts = (state, state[:3], state[:2])
    if temporary := next((TEMPORARY[start] for start in starts if start in TEMPORARY), None):
        return StoreUnavailable(f"{place}: {temporary} ({state})")
    if final := next((FINAL[start] for start in starts if start in FINAL), None):
        return StoreRefused(f"{place}: {final} ({state})")
    return None


def connection_error(error: BaseException, place: str, *, password_may_change: bool) -> StoreError:
    """The named error for a failed attempt to connect.

    `password_may_change`: the password comes from a file, so a refused one may be replaced at any time.
    """
    text = str(error)
    if final := next((what for part, what in REFUSED_CONNECTIONS.items() if part in text), None):
        refused = StoreUnavailable if final is PASSWORD and password_may_change else StoreRefused
        return refused(f"{place}: {final}")
    if 'database "' in text and "does not exist" in text:
        return StoreRefused(f"{place}: {NO_DATABASE}")
    if 'role "' in text and "does not exist" in text:
        return StoreRefused(f"{place}: {PASSWORD}")
    if isinstance(error, psycopg.Error) and "FATAL:" in text:
        return StoreUnavailable(f"{place}: the server accepts no connection now: {text.rpartition('FATAL:')[2].strip()[:200]}")
    why = text.rpartition("failed: ")[2].partition("\n")[0].strip()[:100]
    return StoreUnavailable(f"{place}: {UNREACHABLE.format(why=f' ({why})' if why else '')}")
