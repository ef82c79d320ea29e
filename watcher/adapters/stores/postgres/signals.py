"""What other replicas announce with NOTIFY: watches that they admitted to our shards, and shards that they released."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import anyio
import psycopg

from watcher.adapters.stores.postgres.connections import Connection, Server
from watcher.adapters.stores.postgres.failures import store_error
from watcher.adapters.stores.postgres.schema import one
from watcher.ports import Signal

ALL: frozenset[Signal] = frozenset(get_args(Signal))
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
        return connection

    async def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.pgconn.finish()

    async def wait(self) -> frozenset[Signal]:
        """Wait for signals of other replicas. Raises StoreUnavailable. The first call, and the next one after that,
        returns all signals."""
        connection = self._connection
        if connection is None:
            self._failed = True
            connection = await self.open()
        if self._failed:
            self._failed = False
            return ALL
        try:
            while not (found := await self._next(connection)):
                pass
        except (psycopg.Error, OSError) as error:
            await self.close()
            named = store_error(error, self._server.place)
            if named is None:
                raise
            raise named from None
        return found

    async def _next(self, connection: Connection) -> frozenset[Signal]:
        found: set[Signal] = set()
        heard = False
        async for notice in connection.notifies(timeout=CHECK_S, stop_after=1):
            heard = True
            found |= self._signals(notice.payload)
        if not heard:
            with anyio.fail_after(self._server.limits.call):
                await one(connection, "SELECT 1")
        return frozenset(found)

    def _signals(self, payload: str) -> frozenset[Signal]:
        signal, _, name = payload.partition(" ")
        if signal == "admitted" and name == self._me():
            return frozenset(("admitted",))
        if signal == "released" and name != self._me():
            return frozenset(("released",))
        return frozenset()
