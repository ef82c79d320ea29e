"""Whatever is asked of the HTTP API: a documented answer, or a no with a problem document; never 500."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from http.client import HTTPResponse
from typing import Any
from urllib.parse import unquote

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.process import HANG_S
from watcher.api.problems import MEDIA_TYPE
from watcher.api.server import HttpServer, build_api
from watcher.api.settings import ApiSettings
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition


class Health:
    """A watcher that is well, or is not."""

    def __init__(self, well: bool) -> None:
        self.well = well

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return self.well, {"tick_age_s": 0.1}

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        return self.well, {"store": Condition(self.well, "ok" if self.well else "disk full", 0.0)}


APIS = {well: build_api(Health(well), Metrics()) for well in (True, False)}
DOCUMENT = APIS[True].openapi()["paths"]
ITSELF = "/openapi.json"
KNOWN = (*DOCUMENT, ITSELF)
NOT_HTTP = b"Invalid HTTP request received."
"""What the HTTP library says, before there is a request, to bytes that are none."""

Fields = Sequence[tuple[bytes, bytes]]

paths = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from(KNOWN).flatmap(lambda p: st.text(max_size=8).map(lambda t: p + t)),
    st.sampled_from(KNOWN).flatmap(lambda p: st.sampled_from([p.upper(), f"/{p}", f"{p}/", f"/x/..{p}", f"{p};x", p[1:]])),
    st.text(max_size=40),
)
methods = st.one_of(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"]),
    st.from_regex(r"[A-Z!#$%&'*+.^_`|~-]{1,12}", fullmatch=True),
)
names = st.one_of(
    st.sampled_from([b"accept", b"accept-encoding", b"range", b"origin", b"content-type", b"cookie", b"authorization", b"if-none-match"]),
    st.sampled_from([b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"access-control-request-method", b"x-http-method-override"]),
    st.from_regex(rb"x-[a-z0-9-]{0,20}", fullmatch=True),
)
huge = st.integers(1_000, 20_000).map(lambda size: b"x" * size)
lengths = st.tuples(st.sampled_from([b"content-length", b"transfer-encoding", b"host", b"connection"]), st.binary(max_size=12))
headers = st.lists(st.one_of(st.tuples(names, st.one_of(st.binary(max_size=60), huge)), lengths), max_size=8)
bodies = st.lists(st.one_of(st.binary(max_size=200), huge), max_size=3)


def asked(well: bool, method: str, path: str, query: bytes, fields: Fields, body: Sequence[bytes]) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer, straight from the application: nothing in between tidies the request up."""
    sent: list[Any] = []
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = path.encode("utf-8", "surrogatepass")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80)}
    scope |= {"method": method, "path": path, "raw_path": raw, "root_path": "", "query_string": query, "headers": fields, "client": None}
    asyncio.run(APIS[well](scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def judge(well: bool, method: str, path: str, status: int, told: dict[bytes, bytes], answer: bytes) -> None:
    """A document that is there, told to a method that may ask for it, as it is documented; else a problem document."""
    media_type = told[b"content-type"].decode().partition(";")[0]
    if path in DOCUMENT and method == "GET":
        documented = DOCUMENT[path]["get"]["responses"][str(status)]["content"]
        assert media_type in documented
        assert (status == 200) == (well or path == "/metrics")
    elif path == ITSELF and method in ("GET", "HEAD"):
        assert status == 200
    else:
        assert status == (405 if path in KNOWN else 404)
        assert media_type == MEDIA_TYPE
        assert method == "HEAD" or json.loads(answer)["status"] == status
        assert path not in DOCUMENT or told[b"allow"] == b"GET"


@settings(max_examples=400, deadline=None)
@given(st.booleans(), methods, paths, st.binary(max_size=60), headers, bodies)
def test_any_request_has_its_answer(well: bool, method: str, path: str, query: bytes, fields: Fields, body: Sequence[bytes]) -> None:
    """Any method, path, query, headers and body: what is documented, or 404 or 405 with a problem document."""
    judge(well, method, path, *asked(well, method, path, query, fields, body))


@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize(("path", "method"), [(path, method) for path, methods in DOCUMENT.items() for method in methods])
def test_each_documented_operation_answers_as_documented(path: str, method: str, well: bool) -> None:
    """What the OpenAPI document promises is there, by the method it names, with a status and a media type that it names."""
    status, told, _ = asked(well, method.upper(), path, b"", [], [])
    documented = DOCUMENT[path][method]["responses"]
    assert told[b"content-type"].decode().partition(";")[0] in documented[str(status)]["content"]
    assert status == 200 or not well


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server on loopback, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving()) as bound:
        yield bound


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The port of a server while it runs."""
    server = HttpServer(ApiSettings(listen="127.0.0.1:0"), Health(True), Metrics())
    await server.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        yield server.port
        tasks.cancel_scope.cancel()
    await server.close()


def answered(port: int, request: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """The answer to these bytes, over a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as connection:
        connection.sendall(request)
        reply = HTTPResponse(connection, method=method)
        reply.begin()
        return reply.status, {name.lower().encode(): value.encode() for name, value in reply.getheaders()}, reply.read()


def requested(method: str, target: bytes, fields: Fields, body: bytes) -> bytes:
    """A request as it goes over the wire; its framing is among the fields."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"host: watcher", *(name + b": " + value for name, value in fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


visible = st.integers(0x21, 0x7E).map(lambda code: bytes([code]))
targets = st.one_of(
    st.sampled_from([path.encode() for path in KNOWN]),
    st.sampled_from(
        [b"/%68ealthz", b"/healthz%00", b"/%zz", b"/%ff%fe", b"/%", b"/%2e%2e/healthz", b"//healthz", b"/healthz%2f", b"/\\healthz"]
    ),
    st.sampled_from([b"*", b"http://watcher/healthz", b"/../healthz", b"/./healthz", b"/" + b"a" * 20_000, b"/" + b"%41" * 5_000]),
    st.lists(visible, min_size=1, max_size=30).map(b"".join),
)
queries = st.one_of(st.just(b""), st.lists(visible, max_size=30).map(lambda chars: b"?" + b"".join(chars)))
values = st.one_of(st.binary(max_size=60).map(lambda raw: raw.translate(None, b"\0\t\n\v\f\r")), huge)
framings = st.one_of(
    st.just(((), b"")),
    st.binary(max_size=300).map(lambda body: (((b"content-length", b"%d" % len(body)),), body)),
    st.binary(min_size=1, max_size=300).map(
        lambda body: (((b"transfer-encoding", b"chunked"),), b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    ),
)


@settings(max_examples=200, deadline=None)
@given(methods, targets, queries, st.lists(st.tuples(names, values), max_size=8), framings)
def test_any_request_over_the_wire_has_its_answer(
    port: int, method: str, target: bytes, query: bytes, fields: Fields, framing: tuple[Fields, bytes]
) -> None:
    """Odd paths and encodings, long and strange headers, bodies where none belong: the same answers through the real server."""
    status, told, answer = answered(port, requested(method, target + query, [*fields, *framing[0]], framing[1]), method)
    judge(True, method, unquote(target.partition(b"?")[0].decode()), status, told, answer)


broken = st.one_of(
    st.binary(min_size=1, max_size=200).map(lambda junk: b"\x16" + junk + b"\r\n\r\n"),
    st.binary(min_size=1, max_size=30).map(lambda junk: requested("GET", b"/\xff" + junk.replace(b"\n", b""), [], b"")),
    st.sampled_from([b"x\x00y", b"a\rb"]).map(lambda bad: requested("GET", b"/healthz", [(b"x-bad", bad)], b"")),
    st.sampled_from([b"x y", b"", b"\xff", b"(x)"]).map(lambda bad: requested("GET", b"/healthz", [(bad, b"1")], b"")),
    st.sampled_from([b"x", b"-1", b"1, 2", b"9" * 30, b"0x10"]).map(lambda bad: requested("GET", b"/x", [(b"content-length", bad)], b"")),
    st.sampled_from([b"GET /healthz\r\n\r\n", b"GET /healthz HTTP/x\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n", b"GET\r\n\r\n"]),
    st.sampled_from([b"chunked, chunked", b"gzip", b"\xff"]).map(lambda bad: requested("POST", b"/x", [(b"transfer-encoding", bad)], b"")),
)


@settings(max_examples=100, deadline=None)
@given(broken)
def test_bytes_that_are_no_request_are_refused_and_the_next_request_is_answered(port: int, junk: bytes) -> None:
    """What is not HTTP is refused with 400 by the HTTP library, in its own words, and the server answers the next one."""
    status, _, answer = answered(port, junk)
    assert (status, answer) == (400, NOT_HTTP)
    assert answered(port, requested("GET", b"/healthz", [], b""))[0] == 200
