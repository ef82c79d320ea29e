"""Connections to the server: how one is opened, how long a call on it may take, and the few that serve the reads.

Each is opened by the call that needs it, with one attempt, and is not used again after a failure. psycopg_pool does
neither: it connects in the background and waits longer after each failure, up to minutes, so after an outage it would
come back long after the server; and its callers learn that no connection came, not why.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import psycopg
from anyio import to_thread
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from watcher.adapters.stores.postgres import texts
from watcher.adapters.stores.postgres.failures import connection_error, store_error
from watcher.adapters.stores.postgres.settings import PostgresStoreSettings
from watcher.errors import StoreRefused, StoreUnavailable

CONNECT_S = 5
"""Seconds for one attempt to connect to one host."""

T = TypeVar("T")
Connection = AsyncConnection[tuple[Any, ...]]
Work = Callable[[Connection], Awaitable[T]]

_SETTINGS = """SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false),
    set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, false),
    set_config('jit', 'off', false), set_config('enable_seqscan', 'off', false),
    set_config('enable_bitmapscan', 'off', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false), set_config('enable_material', 'off', false)"""
# A commit is durable whatever the default of the database is. The last six make the plans the same for a small and a large
# table, with and without statistics: each statement of this store looks up rows in the order of an index. Materialized rows
# would be compared with each other one by one.


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take on a connection, in seconds."""

    statement: float
    lock: float
    call: float
    """One call, which is one transaction or one read. After it, the connection counts as lost."""


class Server:
    """Opens connections. `place` names the server and the database for messages; the connection string never appears."""

    def __init__(self, settings: PostgresStoreSettings) -> None:
        self._settings = settings
        self._params: dict[str, Any] = conninfo_to_dict(settings.dsn.get_secret_value())
        self.place = _place(self._params)
        self.limits = Limits(settings.statement_timeout, settings.lock_timeout, settings.statement_timeout + 1)

    async def connect(self, limits: Limits) -> Connection:
        """One attempt to open a connection. Raises StoreUnavailable or StoreRefused."""
        password = await self._password()
        params = {**_defaults(limits), **self._params, **({} if password is None else {"password": password})}
        connection: Connection | None = None
        try:
            connection = await AsyncConnection.connect(**params, autocommit=True)
            texts.register(connection)
            await asyncio.wait_for(self._prepare(connection, limits), limits.call)
        except BaseException as error:
            if connection is not None:
                connection.pgconn.finish()
            if isinstance(error, psycopg.Error | OSError):
                raise self._named(error, connected=connection is not None) from None  # its text may repeat parts of the string
            raise
        return connection

    async def _prepare(self, connection: Connection, limits: Limits) -> None:
        idle = min(limits.statement, self._settings.lease / 2)  # a frozen replica must not keep the locks of its shards longer than these
        milliseconds = [str(round(each * 1000)) for each in (limits.statement, limits.lock, idle)]
        await connection.execute(_SETTINGS, (self._settings.schema_name, *milliseconds))

    def _named(self, error: BaseException, *, connected: bool) -> Exception:
        named = store_error(error, self.place) if connected else None
        if named is not None:
            return named
        if connected and not isinstance(error, OSError):
            return error  # type: ignore[return-value]  # an error of psycopg
        return connection_error(error, self.place, password_may_change=self._settings.password_file is not None)

    async def _password(self) -> str | None:
        path = self._settings.password_file
        if path is None:
            return None
        try:
            return (await to_thread.run_sync(path.read_text)).rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise StoreUnavailable(f"{path}: the password cannot be read: {what}") from None


class Session:
    """One connection, for one call at a time. It is opened when it is needed, and again after a failure."""

    def __init__(self, server: Server, limits: Limits | None = None) -> None:
        self._server = server
        self._limits = limits or server.limits
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, work: Work[T], *, call_s: float | None = None) -> T:
        """Run `work` on the connection. When the caller is cancelled, the work still ends, as a whole.

        A cancelled statement would need a second connection to the server to end it, and could leave this one in any state.
        """
        if self._closed:
            raise StoreRefused(f"{self._server.place}: the store is closed")
        task = asyncio.create_task(self._run(work, call_s or self._limits.call))
        self._running.add(task)
        task.add_done_callback(self._finished)
        await asyncio.wait([task])
        return task.result()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # it was raised in the caller, or the caller is gone

    async def drain(self) -> None:
        """Wait for the calls that are running, also those whose callers were cancelled."""
        if self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """End the connection after the calls that are running."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self.drain()
            if self._connection is not None:
                await self._connection.close()
                self._connection = None

    async def _run(self, work: Work[T], call_s: float) -> T:
        async with self._turn:
            if self._connection is not None and _was_ended(self._connection):
                self._connection = None
            if self._connection is None:
                self._connection = await self._server.connect(self._limits)
            connection = self._connection
            overdue = _Overdue(connection, call_s)
            try:
                return await work(connection)
            except BaseException as error:
                self._connection = None
                connection.pgconn.finish()
                named = store_error(TimeoutError() if overdue.happened and isinstance(error, psycopg.Error) else error, self._server.place)
                if named is None:
                    raise
                raise named from None  # the error of psycopg may show values of a statement
            finally:
                overdue.cancel()


class Sessions:
    """Up to `size` sessions for calls that may run at the same time, the most recently used first."""

    def __init__(self, server: Server, size: int) -> None:
        self._server = server
        self._idle = [Session(server) for _ in range(size)]
        self._all = list(self._idle)
        self._free = asyncio.Semaphore(size)

    async def run(self, work: Work[T], *, call_s: float | None = None) -> T:
        """Run `work` on one of them, as `Session.run` does."""
        try:
            with anyio.fail_after(self._server.limits.call):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable(f"{self._server.place}: all connections for reads are busy: raise store.max_connections") from None
        session = self._idle.pop()
        try:
            return await session.run(work, call_s=call_s)
        finally:
            self._idle.append(session)
            self._free.release()

    async def close(self) -> None:
        """End all connections."""
        for session in self._all:
            await session.close()


class _Overdue:
    """Cuts a connection whose call takes too long: a server that is frozen or unreachable would never answer.

    The socket is shut down, and psycopg then reports a lost connection. Closing it here would leave psycopg waiting.
    """

    def __init__(self, connection: Connection, call_s: float) -> None:
        self.happened = False
        self._connection = connection
        self._timer = asyncio.get_running_loop().call_later(call_s, self._cut)

    def cancel(self) -> None:
        self._timer.cancel()

    def _cut(self) -> None:
        self.happened = True
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self._connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def _was_ended(connection: Connection) -> bool:
    """Whether the server ended an idle connection: it restarted, or had a limit for idle ones. Asks the system, not the server.

    A server says nothing on an idle connection before it ends it. If it did, the connection would be replaced in vain.
    """
    idle = select.poll()
    idle.register(connection.fileno(), select.POLLIN)
    if not idle.poll(0):
        return False
    connection.pgconn.finish()
    return True


def _defaults(limits: Limits) -> dict[str, Any]:
    """Parameters for which libpq has no useful default. The connection string and the environment may set others."""
    defaults = {
        "connect_timeout": CONNECT_S,
        "application_name": "speaker-search-watcher",
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": round(limits.call * 1000),
        "gssencmode": "disable",
    }
    variables = {"connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME", "gssencmode": "PGGSSENCMODE"}
    return {**{name: value for name, value in defaults.items() if variables.get(name, "") not in os.environ}, "client_encoding": "UTF8"}


def _place(params: dict[str, Any]) -> str:
    """The server and the database of a connection string, without anything secret."""
    host = params.get("host") or params.get("hostaddr") or os.environ.get("PGHOST") or "local socket"
    database = params.get("dbname") or os.environ.get("PGDATABASE") or "default database"
    return f"PostgreSQL {host}/{database}"
