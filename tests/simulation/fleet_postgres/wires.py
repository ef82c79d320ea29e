"""The connections of one process: virtual time passes before each round trip, in which everything can happen.

The adapter runs on these connections as it is. A transaction of two round trips may hold its locks while its process is frozen or
its network hangs, and the limits of the server for that end in virtual time: `lock_timeout` and
`idle_in_transaction_session_timeout`, which the server itself measures in real time, in which next to nothing passes.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from os import dup
from random import Random
from typing import Any, ClassVar

import psycopg
from psycopg import AsyncConnection

from tests.simulation.fleet.link import LOOK_S, Link

SHORTEST_S = 0.001
"""The shortest wait for notifications. After the real time that psycopg subtracts, less may be left than the clock can show."""
LISTENS_S = 1000.0
"""A wait for notifications looks at its connection this often."""


class Wire:
    """The way of all connections of one process to the server."""

    def __init__(self, link: Link | None, rng: Random, slowest_s: float, is_frozen: Callable[[], bool], idle_s: float) -> None:
        self.connections: set[FleetConnection] = set()
        self.over = False
        """The story is over."""
        self.needs_clock = 0
        """Calls under way that compare times by the clock of the database."""
        self.set_clock: Callable[[], None] = lambda: None
        """Sets it to the time of the loop."""
        self.terminate: Callable[[int], None] = lambda pid: None
        """Ends a backend."""
        self._link = link
        self._rng = rng
        self._slowest_s = slowest_s
        self._is_frozen = is_frozen
        self._idle_s = idle_s
        """The limit of the server for a transaction in which nothing is done."""

    @property
    def dead(self) -> bool:
        """Whether the process was killed."""
        return self.over or (self._link is not None and self._link.dead)

    @property
    def _cut(self) -> bool:
        return self.dead or (self._link is not None and self._link.lost and not self._link.hanging)

    @property
    def _held(self) -> bool:
        return self._link is not None and not self._cut and (self._link.hanging or self._is_frozen())

    def cut(self) -> None:
        """End all connections at once, without a goodbye."""
        for connection in self.connections:
            connection.cut()

    async def travel(self, connection: FleetConnection | None) -> None:
        """Before a round trip on this connection, or before the first one of a new one."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._rng.random() * self._slowest_s)
        began, terminated = loop.time(), False
        while self._held and not (connection is not None and connection.ended):
            await asyncio.sleep(LOOK_S)
            if connection is not None and not terminated and loop.time() - began >= self._idle_s and connection.in_transaction:
                self.terminate(connection.pgconn.backend_pid)
                terminated = True
        if self._cut:
            if connection is None:
                raise psycopg.OperationalError("connection failed: the network is down")
            connection.cut()
        if self.needs_clock:
            self.set_clock()


class FleetConnection(AsyncConnection[Any]):
    """A connection on a wire. `wire_of` finds it by the `application_name`; `listening` has the sockets that wait for notifications."""

    wire_of: ClassVar[Callable[[str], Wire | None]] = staticmethod(lambda name: None)
    listening: ClassVar[set[int]] = set()
    wire: Wire | None = None
    _listens = False

    @classmethod
    async def connect(cls, conninfo: str = "", **params: Any) -> FleetConnection:  # type: ignore[override]
        wire = cls.wire_of(str(params.get("application_name", "")))
        if wire is None:
            return await super().connect(conninfo, **params)
        await wire.travel(None)
        connection = await super().connect(conninfo, **params)
        connection.wire = wire
        wire.connections = {each for each in wire.connections if not each.closed} | {connection}
        return connection

    @property
    def in_transaction(self) -> bool:
        """Whether it holds a transaction open."""
        return self.pgconn.transaction_status in (psycopg.pq.TransactionStatus.INTRANS, psycopg.pq.TransactionStatus.INERROR)

    @property
    def ended(self) -> bool:
        """Whether one of both sides has ended it."""
        if self.closed:
            return True
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLHUP)
        return bool(poll.poll(0))

    def cut(self) -> None:
        """End it, so that the server rolls back what is open."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=dup(self.pgconn.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)

    async def notifies(self, *, timeout: float | None = None, stop_after: int | None = None) -> Any:
        self._listens = True
        try:
            async for notice in super().notifies(timeout=timeout, stop_after=stop_after):
                self._listens = False
                yield notice
                self._listens = True
        finally:
            self._listens = False

    async def wait(self, gen: Any, interval: float = 1.0, timeout: float | None = None) -> Any:
        if self._listens:
            return await self._listen(gen, timeout)
        if self.wire is not None:
            await self.wire.travel(self)
        return await super().wait(gen, interval, timeout)

    async def _listen(self, gen: Any, timeout: float | None) -> Any:
        """As `wait`, but the timeout is virtual time. psycopg measures it in real time."""
        number = self.pgconn.socket
        self.listening.add(number)
        try:
            async with asyncio.timeout(None if timeout is None else max(timeout, SHORTEST_S)):
                return await super().wait(gen, LISTENS_S)
        except TimeoutError:
            raise psycopg.errors._WaitTimeout from None
        finally:
            self.listening.discard(number)
