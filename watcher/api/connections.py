"""Limits the connections of the HTTP API, so that idle and slow clients cannot block a health check.

uvicorn limits only the time after a reply, and answers each request with 503 when too many connections are open. Here, a
connection has limited time for each request, and the connection whose last request is the longest ago is closed for a new one.
A stream of events may last; its reader is disconnected when it takes too long to read what was sent.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from watcher.api.holding import SCOPE_KEY

MAX_CONNECTIONS = 256
"""The most connections at once besides those that wait for events. One more closes the one whose last request, or else whose start,
is the longest ago."""
IDLE_S = 5
"""For how long a connection may be idle after a reply, in whole seconds."""
REQUEST_S = 10.0
"""For how long a connection may take to send a request, or to read a reply or a part of a stream, in seconds."""

_turns = count()


class BoundedProtocol(H11Protocol):
    """One connection. Any other server of ASGI applications over HTTP/1.1 may replace it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.streams = False
        """It sends a stream, which may last."""
        self.follows = False
        """It waits for events. The number of such connections has a limit of its own, so it is not closed for a new one."""
        self.cut_off = False
        """It was closed because its client did not read."""
        self._turn = 0
        """Grows with each connection and each request of the process: the smallest one has been without a request for the longest."""
        self._deadline: asyncio.TimerHandle | None = None
        app = self.app

        async def with_connection(scope: Any, receive: Any, send: Any) -> None:
            scope[SCOPE_KEY] = self
            await app(scope, receive, send)

        self.app = with_connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        """Start to wait for the first request. Close the connection that has been without one for the longest, if there are too many."""
        super().connection_made(transport)
        self._restart()
        others = [each for each in self.connections if isinstance(each, BoundedProtocol) and not each.follows]
        if len(others) > MAX_CONNECTIONS:
            min(others, key=lambda each: each._turn).drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request. Only a request with all of its headers restarts the time."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._restart()

    def on_response_complete(self) -> None:
        """Start to wait for the next request."""
        self.streams = self.follows = False
        super().on_response_complete()
        self._restart()

    def pause_writing(self) -> None:
        """The client reads more slowly than the reply is written. A stream waits for it for a limited time."""
        super().pause_writing()
        if self.streams:
            self._restart()

    def resume_writing(self) -> None:
        """The client has read enough to go on."""
        super().resume_writing()
        if self.streams:
            self._cancel()

    def hold(self, seconds: float | None, *, follows: bool) -> None:
        """As `HeldConnection.hold`. For a reply that takes long, the time to send it comes on top."""
        self.follows = follows
        if seconds is not None:
            self._restart(seconds + REQUEST_S)
            return
        self.streams = True
        self._cancel()

    def drop(self) -> None:
        """Close at once, also while a reply is being sent: a peer that does not read it would never let it end."""
        self.cut_off = True
        self.connections.discard(self)  # the loop reports the loss later, and another connection may come before that
        self.transport.abort()

    def _restart(self, seconds: float | None = None) -> None:
        self._turn = next(_turns)
        self._cancel()
        self._deadline = self.loop.call_later(REQUEST_S if seconds is None else seconds, self.drop)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
