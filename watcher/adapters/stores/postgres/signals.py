"""What other replicas tell with NOTIFY: watches that they admitted to our shards, notifications of AWS about our tasks, and shards
that they released."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import psycopg

from watcher.adapters.stores.postgres.connections import Connection, Server
from watcher.adapters.stores.postgres.failures import store_error
from watcher.adapters.stores.postgres.schema import one
from watcher.ports import Signals

NONE, MISSED = Signals(), Signals(admitted=True, released=True)
CHECK_S = 15.0
"""After this many seconds without a signal, one statement shows whether the connection still works."""


class Listener:
    """Waits for signals on a connection of its own. `me` returns the present name of this replica."""

    def __init__(self, server: Server, channel: str, me: Callable[[], str]) -> None:
        self._server = server
        self._channel = channel
        self._me = me
        self._connection: Connection | None = None
        self._failed = True
        """Signals may have been lost, as before the first call."""
        self._heard_at = 0.0
        """When the server last sent something, by the clock of the event loop."""

    async def open(self) -> Connection:
        """Connect, so that no signal from now on is lost."""
        connection = await self._server.connect(self._server.limits)
        try:
            with anyio.fail_after(self._server.limits.call):
                await connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(self._channel)))
        except BaseException as error:
            connection.pgconn.finish()
            named = store_error(error, self._server.place)
            if named is None:
                raise
            raise named from None
        self._connection = connection
        self._heard_at = anyio.current_time()
        return connection

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def wait(self) -> Signals:
        """Wait for signals of other replicas. Raises StoreUnavailable. The first call, and the next one after that, returns at once."""
        connection = self._connection
        if connection is None:
            self._failed = True
            connection = await self.open()
        if self._failed:
            self._failed = False
            return MISSED
        try:
            while (found := await self._next(connection)) == NONE:
                pass
        except (psycopg.Error, OSError) as error:
            await self.close()
            named = store_error(error, self._server.place)
            if named is None:
                raise
            raise named from None
        return found

    async def _next(self, connection: Connection) -> Signals:
        found = NONE
        silent_s = anyio.current_time() - self._heard_at  # over several calls: each may be cancelled long before a check is due
        if silent_s >= CHECK_S:
            await self._check(connection)
            self._heard_at, silent_s = anyio.current_time(), 0.0
        async for notice in connection.notifies(timeout=CHECK_S - silent_s, stop_after=1):
            self._heard_at = anyio.current_time()
            found |= self._signals(notice.payload)
        return found

    async def _check(self, connection: Connection) -> None:
        try:
            with anyio.fail_after(self._server.limits.call):
                await one(connection, "SELECT 1")
        except BaseException:  # also a caller that waits no longer: then the next call connects again
            await self.close()
            raise

    def _signals(self, payload: str) -> Signals:
        """What a notification says to this replica. It names the owner for whom it is, or the replica that released shards."""
        signal, name, key = [*payload.split(" ", 2), "", ""][:3]
        mine = name == self._me()
        return Signals(
            admitted=mine and signal == "admitted",
            released=not mine and signal == "released",
            notified=frozenset({key} if mine and signal == "notified" else ()),
        )
