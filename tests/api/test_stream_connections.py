"""Streams over real connections: long streams, slow readers, and many readers."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.api.events_in_memory import Log
from tests.process import HANG_S, POLL_S
from watcher.api import connections, event_stream, task_routes
from watcher.api import server as server_module
from watcher.api.access import Access
from watcher.api.application import build_api
from watcher.api.assembly import HttpApi
from watcher.api.backend import Backend
from watcher.api.event_routes import event_router
from watcher.api.health_routes import health_router
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.api.task_routes import task_router
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics
from watcher.runtime.wakeup import IntakeGate

STREAM = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Service:
    """The events of a store over HTTP, in an event loop of its own."""

    def __init__(self, portal: BlockingPortal, max_readers: int) -> None:
        self._portal = portal
        self._max_readers = max_readers
        self.metrics = Metrics(builtin_catalog())
        self.log: Log

    def alive(self) -> tuple[bool, dict[str, object]]:
        return True, {}

    def ready(self) -> tuple[bool, dict[str, object]]:
        return True, {}

    @property
    def cut_off(self) -> float:
        return self.metrics.registry.get_sample_value("watcher_event_readers_disconnected_total") or 0.0

    def commit(self, *tasks: str) -> None:
        self._portal.call(self.log.commit, *tasks)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve. Yields the port."""
        self.log = Log()
        await self.log.store.open(["bus"])
        await self.log.store.claim()
        access = Access(())
        backend = Backend(
            store=self.log.store,
            admission=None,  # type: ignore[arg-type]  # nothing is admitted
            gate=IntakeGate(),
            loaded=anyio.Event(),  # never set: a submission waits for it
            tail=self.log.tail,
            catalog=builtin_catalog(),
            metrics=self.metrics,
            polls=None,  # type: ignore[arg-type]
            scopes={},
            max_readers=self._max_readers,
            wall=self.log.wall,
        )
        events, tasks_ = event_router(backend, access, self.log.cursors), task_router(backend, access)
        routers = [health_router(self, self.metrics), events, tasks_]  # type: ignore[arg-type]
        api = HttpApi(HttpServer(ApiSettings(listen="127.0.0.1:0"), build_api(routers)), access, self.log.tail)
        await api.open()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(api.serve)
            yield api.server.port
            tasks.cancel_scope.cancel()
        await api.close()


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close no connection because this machine is slow."""
    monkeypatch.setattr(connections, "REQUEST_S", HANG_S)


@contextmanager
def serving(portal: BlockingPortal, max_readers: int = 1000) -> Iterator[tuple[Service, int]]:
    service = Service(portal, max_readers)
    with portal.wrap_async_context_manager(service.serving()) as port:
        yield service, port


class Client:
    """A reader over a connection of its own."""

    def __init__(self, port: int, request: bytes = STREAM, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(HANG_S)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(request)
        self.received = bytearray()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read_until(self, text: bytes, times: int = 1) -> None:
        """Read until this text has come so many times. Raises AssertionError when the connection ends before."""
        found = place = 0
        while found < times:
            while found < times and (at := self.received.find(text, place)) >= 0:
                found, place = found + 1, at + len(text)
            if found < times:
                piece = self.socket.recv(65536)
                assert piece, self.received[-500:]
                self.received += piece

    def read_to_end(self) -> None:
        """Read until the server closes the connection or ends the reply."""
        while not self.received.endswith(b"0\r\n\r\n"):
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                return
            if not piece:
                return
            self.received += piece

    @property
    def events(self) -> int:
        return self.received.count(b"data: ")


def until(condition: object, what: str) -> None:
    assert callable(condition)
    for _ in range(round(HANG_S / POLL_S)):
        if condition():
            return
        select.select([], [], [], POLL_S)
    raise AssertionError(what)


def test_a_reader_stays_connected_for_longer_than_a_request_may_take(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit for requests does not close a stream, and the stream sends cursors while there is no event."""
    monkeypatch.setattr(connections, "REQUEST_S", 1.0)  # a busy machine needs a part of it to read the request
    monkeypatch.setattr(event_stream, "HEARTBEAT_S", 0.4)
    with serving(portal) as (service, port), Client(port) as reader:
        reader.read_until(b"id: ", times=4)
        service.commit("t1")
        reader.read_until(b"data: ")
    assert b"content-type: text/event-stream" in reader.received.lower()
    assert b"retry: 1000\n" in reader.received


def test_a_reader_that_does_not_read_is_disconnected(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that reads nothing is disconnected and counted, and continues from its cursor."""
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    with serving(portal) as (service, port), Client(port, buffer=4096) as stuck:
        service.log.padding = 5000
        stuck.read_until(b"id: ")
        commits = 0
        while not service.cut_off:
            assert commits < 2000, "the client that does not read stays connected"
            service.commit(*(f"t{commits % 4}-{task}" for task in range(20)))
            commits += 1
            select.select([], [], [], POLL_S / 10)
        stuck.read_to_end()
        monkeypatch.setattr(connections, "REQUEST_S", HANG_S)
        assert stuck.events < 20 * commits
        whole, _, _ = stuck.received.rpartition(b"\n\n")
        (last_id,) = re.findall(rb"id: (\S+)\n", whole)[-1:]
        rest = 20 * commits - whole.count(b"data: ")
        with Client(port, STREAM.replace(b"\r\n\r\n", b"\r\nLast-Event-ID: %b\r\n\r\n" % last_id)) as again:
            again.read_until(b"data: ", times=rest)
            service.commit("later")
            again.read_until(b"data: ", times=rest + 1)


def test_a_submission_that_waits_for_the_store_gets_its_answer(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submission that takes too long gets a reply with 503: its connection is not closed earlier."""
    monkeypatch.setattr(connections, "REQUEST_S", 1.5)
    monkeypatch.setattr(task_routes, "WRITE_S", 1.6)
    body = b'["abc123/t1"]'
    post = b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    with serving(portal) as (_, port), Client(port, post % (len(body), body)) as client:
        client.read_until(b"did not answer in time")
    assert b" 503 " in client.received


def test_streams_are_no_idle_connections(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams do not count as connections that can be closed for a new one, and a health check is answered beside them."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    with serving(portal) as (service, port), ExitStack() as open_:
        readers = []
        for _ in range(6):
            readers.append(open_.enter_context(Client(port)))
            readers[-1].read_until(b"id: ")
        for _ in range(4):
            open_.enter_context(Client(port, GET)).read_until(b'"ok":true')
        service.commit("t1")
        for reader in readers:
            reader.read_until(b"data: ")


def test_a_reader_above_the_limit_gets_503(portal: BlockingPortal) -> None:
    """At api.max_readers, a further reader gets 503 with Retry-After; after a reader disconnects, it is accepted."""
    with serving(portal, max_readers=1) as (service, port), Client(port) as first:
        first.read_until(b"id: ")
        with Client(port) as second:
            second.read_until(b"max_readers")
        assert b" 503 " in second.received
        assert b"retry-after: 5" in second.received.lower()
        first.socket.close()
        until(lambda: service.log.tail.readers == 0, "the reader that left still counts")
        with Client(port) as third:
            third.read_until(b"id: ")


def test_readers_that_connect_at_the_same_time_are_limited(portal: BlockingPortal) -> None:
    """Of many readers that connect at the same time, as after a restart, only api.max_readers stay."""
    with serving(portal, max_readers=2) as (_, port), ExitStack() as open_:
        readers = [open_.enter_context(Client(port, request=b"")) for _ in range(20)]
        portal.call(lambda: [reader.socket.sendall(STREAM) for reader in readers])  # all in one turn of the server's loop
        for reader in readers:
            reader.read_until(b"\r\n\r\n")
        assert sorted(reader.received[9:12] for reader in readers) == [b"200"] * 2 + [b"503"] * 18


def test_long_polls_are_no_idle_connections(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that waits for an event is not closed for a new one."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    poll = b"GET /v1/events?after=now&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(portal) as (service, port), ExitStack() as open_:
        polls = []
        for number in range(1, 5):
            polls.append(open_.enter_context(Client(port, poll)))
            until(lambda number=number: service.log.tail.readers == number, "a connection that waits was closed")
        for _ in range(4):
            open_.enter_context(Client(port, GET)).read_until(b'"ok":true')
        service.commit("t1")
        for each in polls:
            each.read_until(b'"next"')


def test_a_long_poll_whose_client_left_makes_room(portal: BlockingPortal) -> None:
    """When the client of a long poll closes the connection, another reader gets its place at once."""
    poll = b"GET /v1/events?after=now&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(portal, max_readers=1) as (service, port):
        with Client(port, poll):
            until(lambda: service.log.tail.readers == 1, "the long poll does not wait")
        until(lambda: service.log.tail.readers == 0, "the client that left still has its place")
        with Client(port) as reader:
            reader.read_until(b"id: ")


def test_readers_get_the_end_of_the_stream_at_a_stop(portal: BlockingPortal, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server stops, each stream ends with a complete reply, so that its reader connects again."""
    monkeypatch.setattr(server_module, "GRACE_S", round(HANG_S))
    with serving(portal) as (service, port):
        reader = Client(port)
        reader.read_until(b"id: ")
        service.commit("t1")
        reader.read_until(b"data: ")
    with reader:
        reader.read_to_end()
    assert reader.received.endswith(b"0\r\n\r\n")


@pytest.mark.slow
def test_a_thousand_readers_get_each_event(portal: BlockingPortal) -> None:
    """1,000 readers of one process each get every event, without repeats, while health checks get replies."""
    with serving(portal) as (service, port), ExitStack() as open_:
        readers: list[Client] = []
        for _ in range(10):  # more that come at once, and have not sent their request yet, are too many connections
            readers += [open_.enter_context(Client(port)) for _ in range(100)]
            for reader in readers[-100:]:
                reader.read_until(b"id: ")
        for n in range(20):
            service.commit(f"t{n % 4}")
            with Client(port, GET) as probe:
                probe.read_until(b'"ok":true')
        for reader in readers:
            reader.read_until(b"data: ", times=20)
        assert {reader.events for reader in readers} == {20}
