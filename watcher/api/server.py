"""Serves the HTTP API in the event loop of the service, so that an answer shows that the loop runs.

Handles no signals, writes no access log, and ends within two seconds after it is cancelled.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import uvicorn
from fastapi import FastAPI

from watcher.api.connections import IDLE_S, BoundedProtocol
from watcher.api.listening import listen
from watcher.api.settings import ApiSettings
from watcher.errors import Unavailable

GRACE_S = 1
"""The longest time for unfinished replies after the server is cancelled, in whole seconds."""
BACKLOG = 128
"""Connections that the system holds, and that the event loop accepts at once, before the idle ones among them are closed."""
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to


class HttpServer:
    """`open` binds the port, `serve` answers until cancelled, `close` releases the port."""

    def __init__(self, settings: ApiSettings, api: FastAPI) -> None:
        if settings.listen is None:
            raise ValueError("api.listen is not set, so there is no address to listen on")
        host, _, port = settings.listen.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self.api = api
        self.before_stop: Callable[[], Awaitable[None]] | None = None
        """Ends the replies to readers at shutdown, because a stream does not end otherwise."""
        self._sockets: Sequence[socket.socket] = ()

    async def open(self) -> None:
        """Bind the port and listen. Raises Unavailable, with host and port, where that fails."""
        try:
            self._sockets = await listen(self._host, self._port)
        except (OSError, OverflowError) as error:
            code = errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)
            raise Unavailable(code, f"cannot listen on {self._host}:{self._port}") from error

    @property
    def address(self) -> str:
        """The address on which it listens, as in the settings."""
        return f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port that is bound; for port 0 in the settings, the one that was chosen."""
        return int(self._bound()[1])

    @property
    def beyond_loopback(self) -> bool:
        """Whether other machines can reach it."""
        return not all(ipaddress.ip_address(each.getsockname()[0]).is_loopback for each in self._open_sockets())

    @property
    def url(self) -> str:
        """The URL for a client on this machine."""
        host = self._bound()[0]
        host = _REACHABLE.get(host, host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def serve(self) -> None:
        """Answer until cancelled; then finish replies for at most `GRACE_S`."""
        sockets = list(self._open_sockets())
        server = _Server(_config(self.api))
        try:
            await server.serve(sockets=sockets)
        finally:
            if server.started:
                with anyio.move_on_after(2 * GRACE_S, shield=True):
                    if self.before_stop is not None:
                        await self.before_stop()
                    await server.shutdown(sockets=sockets)

    async def close(self) -> None:
        """Release the port. May be called at any time, and more than once."""
        for each in self._sockets:
            each.close()

    def _open_sockets(self) -> Sequence[socket.socket]:
        if not self._sockets:
            raise RuntimeError("the port is not open; call open first")
        return self._sockets

    def _bound(self) -> tuple[str, int]:
        name = self._open_sockets()[0].getsockname()
        return name[0], name[1]


class _Server(uvicorn.Server):
    """A server that leaves signals to the command line."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(api: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
