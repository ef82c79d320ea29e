"""Any request to the HTTP API has a documented answer, or an error as a problem document; never 500."""

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

from tests.api.health_only import health_server
from tests.process import HANG_S
from watcher.api.application import build_api
from watcher.api.health_routes import health_router
from watcher.api.problems import MEDIA_TYPE
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition


class FixedHealth:
    """A `HealthView` whose answers are all good, or all bad."""

    def __init__(self, good: bool) -> None:
        self.good = good

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return self.good, {"tick_age_s": 0.1}

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        return self.good, {"store": Condition(self.good, "ok" if self.good else "disk full", 0.0)}


CATALOG = builtin_catalog()
APIS = {good: build_api([health_router(FixedHealth(good), Metrics(CATALOG))]) for good in (True, False)}
DOCUMENT = APIS[True].openapi()["paths"]
OPENAPI = "/openapi.json"
KNOWN = (*DOCUMENT, OPENAPI)
NOT_HTTP = b"Invalid HTTP request received."
"""The answer of the HTTP library to bytes that are no HTTP request."""

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


def answer_of(
    good: bool, method: str, path: str, query: bytes, fields: Fields, body: Sequence[bytes]
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, headers and body of the application's answer. No HTTP library changes or rejects the request."""
    sent: list[Any] = []
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = path.encode("utf-8", "surrogatepass")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80)}
    scope |= {"method": method, "path": path, "raw_path": raw, "root_path": "", "query_string": query, "headers": fields, "client": None}
    asyncio.run(APIS[good](scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def check_answer(good: bool, method: str, path: str, status: int, fields: dict[bytes, bytes], body: bytes) -> None:
    """Check that an answer is as documented, or a problem document where the path or the method does not exist."""
    media_type = fields[b"content-type"].decode().partition(";")[0]
    if path in DOCUMENT and method in ("GET", "HEAD"):
        documented = DOCUMENT[path]["get"]["responses"][str(status)]["content"]
        assert media_type in documented
        assert (status == 200) == (good or path == "/metrics")
    elif path == OPENAPI and method in ("GET", "HEAD"):
        assert status == 200
    else:
        assert status == (405 if path in KNOWN else 404)
        assert media_type == MEDIA_TYPE
        assert method == "HEAD" or json.loads(body)["status"] == status
        assert path not in KNOWN or fields[b"allow"] == b"GET, HEAD"


@settings(max_examples=400, deadline=None)
@given(st.booleans(), methods, paths, st.binary(max_size=60), headers, bodies)
def test_any_request_has_an_answer(good: bool, method: str, path: str, query: bytes, fields: Fields, body: Sequence[bytes]) -> None:
    """Any method, path, query, headers and body has the documented answer, or 404 or 405 with a problem document."""
    check_answer(good, method, path, *answer_of(good, method, path, query, fields, body))


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize(("path", "method"), [(path, method) for path, methods in DOCUMENT.items() for method in methods])
def test_each_documented_operation_answers_as_documented(path: str, method: str, good: bool) -> None:
    """Each operation of the OpenAPI document answers with a status and a media type that the document has."""
    status, fields, _ = answer_of(good, method.upper(), path, b"", [], [])
    documented = DOCUMENT[path][method]["responses"]
    assert fields[b"content-type"].decode().partition(";")[0] in documented[str(status)]["content"]
    assert status == 200 or not good


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server on loopback, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving()) as bound:
        yield bound


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Run a server; yields its port."""
    server = health_server(FixedHealth(True), Metrics(CATALOG))
    await server.open()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        yield server.port
        tasks.cancel_scope.cancel()
    await server.close()


def answered(port: int, request: bytes, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
    """Return the answer to these bytes over a connection of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_S) as connection:
        connection.sendall(request)
        reply = HTTPResponse(connection, method=method)
        reply.begin()
        return reply.status, {name.lower().encode(): value.encode() for name, value in reply.getheaders()}, reply.read()


def request_bytes(method: str, target: bytes, fields: Fields, body: bytes) -> bytes:
    """Return a request as bytes. The header fields include its framing."""
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
def test_any_request_over_a_connection_has_an_answer(
    port: int, method: str, target: bytes, query: bytes, fields: Fields, framing: tuple[Fields, bytes]
) -> None:
    """Unusual paths, encodings, headers and bodies have the same answers from a real server."""
    status, headers_, answer = answered(port, request_bytes(method, target + query, [*fields, *framing[0]], framing[1]), method)
    check_answer(True, method, unquote(target.partition(b"?")[0].decode()), status, headers_, answer)


broken = st.one_of(
    st.binary(min_size=1, max_size=200).map(lambda junk: b"\x16" + junk + b"\r\n\r\n"),
    st.binary(min_size=1, max_size=30).map(lambda junk: request_bytes("GET", b"/\xff" + junk.replace(b"\n", b""), [], b"")),
    st.sampled_from([b"x\x00y", b"a\rb"]).map(lambda bad: request_bytes("GET", b"/healthz", [(b"x-bad", bad)], b"")),
    st.sampled_from([b"x y", b"", b"\xff", b"(x)"]).map(lambda bad: request_bytes("GET", b"/healthz", [(bad, b"1")], b"")),
    st.sampled_from([b"x", b"-1", b"1, 2", b"9" * 30, b"0x10"]).map(
        lambda bad: request_bytes("GET", b"/x", [(b"content-length", bad)], b"")
    ),
    st.sampled_from([b"GET /healthz\r\n\r\n", b"GET /healthz HTTP/x\r\n\r\n", b"GET /healthz HTTP/1.1\r\n\r\n", b"GET\r\n\r\n"]),
    st.sampled_from([b"chunked, chunked", b"gzip", b"\xff"]).map(
        lambda bad: request_bytes("POST", b"/x", [(b"transfer-encoding", bad)], b"")
    ),
)


@settings(max_examples=100, deadline=None)
@given(broken)
def test_bytes_that_are_no_request_are_rejected(port: int, junk: bytes) -> None:
    """Bytes that are no HTTP request are answered with 400 by the HTTP library, and the next request has its answer."""
    status, _, answer = answered(port, junk)
    assert (status, answer) == (400, NOT_HTTP)
    assert answered(port, request_bytes("GET", b"/healthz", [], b""))[0] == 200
