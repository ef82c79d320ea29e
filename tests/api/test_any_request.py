"""Whatever is asked of the HTTP API: an answer under 500, and a problem document where it is a no (B11)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.api.problems import MEDIA_TYPE
from watcher.api.server import build_api
from watcher.observe.metrics import Metrics
from watcher.runtime.health import Condition

KNOWN = ("/healthz", "/readyz", "/metrics", "/openapi.json")


class Well:
    """A watcher that is well."""

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return True, {"tick_age_s": 0.1}

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        return True, {"store": Condition(True, "ok", 0.0)}


API = build_api(Well(), Metrics())

paths = st.one_of(
    st.sampled_from(KNOWN), st.sampled_from(KNOWN).flatmap(lambda p: st.text(max_size=8).map(lambda t: p + t)), st.text(max_size=40)
)
methods = st.one_of(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
    st.from_regex(r"[A-Z!#$%&'*+.^_`|~-]{1,12}", fullmatch=True),
)
names = st.one_of(
    st.sampled_from(
        [b"accept", b"range", b"host", b"origin", b"content-type", b"content-length", b"cookie", b"if-none-match", b"x-forwarded-for"]
    ),
    st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True),
)
headers = st.lists(st.tuples(names, st.binary(max_size=60)), max_size=8)


def asked(method: str, path: str, query: bytes, fields: list[tuple[bytes, bytes]], body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer, straight from the application: nothing in between tidies the request up."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    raw = path.encode("utf-8", "surrogatepass")
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80)}
    scope |= {"method": method, "path": path, "raw_path": raw, "root_path": "", "query_string": query, "headers": fields, "client": None}
    asyncio.run(API(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


@settings(max_examples=300, deadline=None)
@given(methods, paths, st.binary(max_size=60), headers, st.binary(max_size=200))
def test_any_request_has_its_answer(method: str, path: str, query: bytes, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Any method, path, query, headers and body: never 500; what is refused is refused with a problem document."""
    status, told, answer = asked(method, path, query, fields, body)
    assert status < 500
    assert (status == 200) == (path in KNOWN and (method == "GET" or (method == "HEAD" and path == "/openapi.json")))
    if status >= 400:
        assert told[b"content-type"].decode() == MEDIA_TYPE
        assert json.loads(answer)["status"] == status
