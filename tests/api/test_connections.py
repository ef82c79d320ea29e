"""Idle, slow and stuck clients cannot keep a health check out: real sockets against a real server."""

from __future__ import annotations

import resource
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from http.client import HTTPResponse
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.api.health_only import health_server
from tests.process import HANG_S, POLL_S
from watcher.api import connections
from watcher.api import server as server_module
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition

CATALOG = builtin_catalog()
HALF = b"GET /healthz HTTP/1.1\r\nHost: watcher\r\nX-Slow: "
GET = b"GET /healthz HTTP/1.1\r\nHost: watcher\r\n\r\n"


class Working:
    """A `HealthView` of a watcher that works."""

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return True, {}

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        return True, {}


@asynccontextmanager
async def serving(metrics: Metrics) -> AsyncIterator[int]:
    server = health_server(Working(), metrics)
    await server.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        yield server.port
        tasks.cancel_scope.cancel()
    await server.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def portal(request: pytest.FixtureRequest) -> Iterator[BlockingPortal]:
    """Runs the server in a thread of its own, on each of the event loops that `watcher run` uses."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with start_blocking_portal("asyncio", {"use_uvloop": request.param == "uvloop"}) as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close no connection because this machine is slow."""
    monkeypatch.setattr(connections, "REQUEST_S", HANG_S)
    monkeypatch.setattr(server_module, "IDLE_S", HANG_S)


@contextmanager
def server(portal: BlockingPortal, metrics: Metrics | None = None) -> Iterator[int]:
    """A server; yields its port."""
    with portal.wrap_async_context_manager(serving(metrics or Metrics(CATALOG))) as port:
        yield port


def connect(port: int, first: bytes = b"", buffer: int = 0) -> socket.socket:
    """A connection that has sent these bytes. `buffer` is the size of its receive buffer in bytes; 0 is the system's choice."""
    connection = socket.socket()
    connection.settimeout(HANG_S)
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.connect(("127.0.0.1", port))
    connection.sendall(first)
    return connection


def status(connection: socket.socket) -> int:
    """The status of the next reply, which is read to its end."""
    reply = HTTPResponse(connection)
    reply.begin()
    reply.read()
    return reply.status


def until_closed(connection: socket.socket, piece: bytes = b"", *, reads: bool = True) -> None:
    """Wait until the server closes the connection, while sending this piece again and again. `reads`: read what it sends."""
    for _ in range(round(HANG_S / POLL_S)):
        try:
            connection.sendall(piece)
            readable, _, _ = select.select([connection] if reads else [], [], [], POLL_S)
            if readable and connection.recv(65536) == b"":
                return
        except ConnectionError:
            return
    raise AssertionError("the server does not close the connection")


@pytest.mark.parametrize("sent", [b"", b"G", HALF], ids=["nothing", "a byte", "half of the headers"])
def test_a_health_check_is_answered_whatever_the_number_of_idle_connections(portal: BlockingPortal, sent: bytes) -> None:
    """With 300 connections that wait, /healthz is answered with 200, several times and over one connection, too."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 1024
    with server(portal) as port, ExitStack() as open_:
        for _ in range(300):
            open_.enter_context(connect(port, sent))
        with connect(port, GET) as first, connect(port, GET) as second:
            assert [status(first), status(second)] == [200, 200]
            first.sendall(GET)
            assert status(first) == 200


def test_the_connection_that_is_idle_for_the_longest_makes_room(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit, a new connection closes the one whose last request is the longest ago, not the one that was opened first."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    with server(portal) as port, connect(port, GET) as used, connect(port, GET) as idle:
        assert [status(used), status(idle)] == [200, 200]
        used.sendall(GET)
        assert status(used) == 200
        with connect(port, GET) as third, connect(port, GET) as fourth:
            assert [status(third), status(fourth)] == [200, 200]
            until_closed(idle)
            used.sendall(GET)
            assert status(used) == 200


@pytest.mark.parametrize("sent", [b"", HALF, GET + HALF, GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n")])
@pytest.mark.parametrize("piece", [b"", b"x"], ids=["silent", "slow"])
def test_a_request_has_limited_time(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch, sent: bytes, piece: bytes) -> None:
    """A connection on which no request gets complete is closed, also if a byte comes now and then, and after a first reply."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with server(portal) as port:
        with connect(port, sent) as slow:
            until_closed(slow, piece if sent else b"")
        answers(port, monkeypatch)


def test_a_reply_that_is_not_read_has_limited_time(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that requests more than the buffers of a connection hold, and reads none of it, is disconnected."""
    metrics = Metrics(CATALOG)
    metrics.start_at_zero([f"source-{n}" for n in range(300)], ())
    assert len(metrics.render()) > 500_000
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with server(portal, metrics) as port:
        with connect(port, 40 * GET.replace(b"healthz", b"metrics"), buffer=4096) as stuck:
            until_closed(stuck, b"x", reads=False)
        answers(port, monkeypatch)


def answers(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that the server answers a new connection, which gets all the time that it needs."""
    monkeypatch.setattr(connections, "REQUEST_S", HANG_S)
    with connect(port, GET) as other:
        assert status(other) == 200
