"""HTTP/1.1 as far as this service needs it: requests with a known length in, replies out, connections kept alive.

By hand, because a simulator must be able to break every rule of HTTP on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

MAX_HEAD = 64 * 1024
MAX_BODY = 1024 * 1024


class BadRequest(Exception):
    """The peer does not speak the HTTP that is spoken here. `status` is what to answer before hanging up."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request as it came: `path` and `query` are still percent-encoded, header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    def header(self, name: str) -> str:
        """All values of a header joined with commas; empty where there is none."""
        return ",".join(self.headers.get(name, ()))

    @property
    def keep_alive(self) -> bool:
        """Whether the peer wants to go on with this connection."""
        return self.header("connection").lower() != "close"


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """The next request; None when the peer is done. Raises BadRequest; ConnectionError when the peer breaks off."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431) from None
    method, target, headers = _parse_head(head)
    length = headers.get("content-length", ("0",))[0]
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise BadRequest(411)
    if int(length) > MAX_BODY:
        raise BadRequest(413)
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        return None
    path, _, query = target.partition("?")
    return HttpRequest(method, path, query, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, dict[str, tuple[str, ...]]]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/") or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(400)
    headers: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise BadRequest(400)
        headers[name.lower()] = (*headers.get(name.lower(), ()), value.strip())
    return words[0], words[1], headers


def segments(path: str) -> list[str]:
    """The parts of a path, each decoded by itself, so that an encoded slash stays inside its part. Raises BadRequest."""
    try:
        return [unquote_to_bytes(part).decode() for part in path.split("/")[1:]]
    except UnicodeDecodeError:
        raise BadRequest(400) from None


def head(status: int, length: int, now: float, headers: Mapping[str, str]) -> bytes:
    """Status line and headers. `now`, wall seconds, becomes the Date."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Date: {formatdate(now, usegmt=True)}"]
    if status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1")
