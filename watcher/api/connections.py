"""Limits the connections of the HTTP API, so that idle and slow clients cannot block a health check.

uvicorn limits only the time after a reply, and answers each request with 503 when too many connections are open. Here, each
request has a time limit. When there are too many connections, the one whose last request is the oldest is closed. A stream of
events has no time limit, but its reader is disconnected if it takes too long to read what was sent.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from watcher.api.holding import SCOPE_KEY

MAX_CONNECTIONS = 256
"""The maximum number of connections, not counting readers. A further connection closes the one whose last request is the oldest; for a
connection without a request, its start counts."""
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
        """Whether it sends a stream, which has no time limit."""
        self.follows = False
        """Whether its client is a reader. Readers have a separate limit, so this connection is not closed for a new one."""
        self.unread = False
        """Whether it was closed because its client did not read."""
        self._turn = 0
        """Increases with each connection and each request of the process. The connection with the smallest value has the oldest request."""
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
        """Limit the time in which the client of a stream must read what was sent."""
        super().pause_writing()
        if self.streams:
            self._restart()

    def resume_writing(self) -> None:
        """Remove the limit: the client has read enough."""
        super().resume_writing()
        if self.streams:
            self._cancel()

    def hold(self, seconds: float | None, *, follows: bool) -> None:
        """As `HeldConnection.hold`. The time to send the reply is added to `seconds`."""
        self.follows = follows
        if seconds is not None:
            self._restart(seconds + REQUEST_S)
            return
        self.streams = True
        self._cancel()

    def drop(self) -> None:
        """Close at once, also while a reply is being sent: a peer that does not read it would never let it end."""
        self.unread = True
        self.connections.discard(self)  # `connection_lost` is called later, and another connection may be made before that
        self.transport.abort()

    def _restart(self, seconds: float | None = None) -> None:
        self._turn = next(_turns)
        self._cancel()
        self._deadline = self.loop.call_later(REQUEST_S if seconds is None else seconds, self.drop)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
