"""The server side of one HTTP/1.1 connection over asyncio streams. h11 parses requests, frames replies and keeps the connection alive.

This module adds limits on the size of a request, and lets a fault end a reply before it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import h11

MAX_HEAD = 64 * 1024
"""The size, in bytes, above which an incomplete request line with headers is rejected. A read may complete a slightly longer one."""
MAX_BODY = 1024 * 1024
READ_SIZE = 16 * 1024


class BadRequest(Exception):
    """The request is not HTTP that this server accepts. `status` is the status of the reply, after which the connection closes."""

    def __init__(self, status: int) -> None:
        super().__init__(HTTPStatus(status).phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `path` and `query` are still percent-encoded; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, tuple[str, ...]]
    body: bytes

    def header(self, name: str) -> str:
        """Return all values of a header, joined with commas; empty where there is none."""
        return ",".join(self.headers.get(name, ()))


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One reply. Content-Length is added when it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpConnection:
    """Reads requests and sends replies, one after the other. ConnectionError means that the client closed the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._sends_body = True

    async def read(self) -> HttpRequest | None:
        """Return the next request; None at the end of the connection, or after an incomplete reply. Raises BadRequest."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        try:
            return await self._read()
        except h11.RemoteProtocolError as error:
            raise BadRequest(error.error_status_hint) from error

    async def _read(self) -> HttpRequest | None:
        head, body = None, b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self.reader.read(READ_SIZE))
            elif isinstance(event, h11.Request):
                head = event
                _check_length(head)
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                self._sends_body = head.method != b"HEAD"
                return _request(head, body)
            else:
                return None

    async def send(self, reply: HttpReply) -> None:
        """Send a complete reply."""
        body = h11.Data(reply.body if self._sends_body else b"")
        parts = (self.head(reply, len(reply.body)), self._http.send(body), self._http.send(h11.EndOfMessage()))
        await self.write(b"".join(part for part in parts if part))

    def head(self, reply: HttpReply, length: int) -> bytes:
        """Return the status line and the headers of a reply with a body of `length` bytes."""
        headers = list(reply.headers.items())
        if reply.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(length)))
        head = h11.Response(status_code=reply.status, headers=headers, reason=HTTPStatus(reply.status).phrase)
        return self._http.send(head) or b""

    async def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def closed_by_client(self, within: float | None = None) -> bool:
        """Wait until the client closes the connection, at most `within` seconds. Returns whether it did."""
        try:
            async with asyncio.timeout(within):
                return not await self.reader.read(1)
        except TimeoutError:
            return False


def _check_length(request: h11.Request) -> None:
    headers = dict(request.headers)
    if b"transfer-encoding" in headers:
        raise BadRequest(411)
    if int(headers.get(b"content-length", b"0")) > MAX_BODY:
        raise BadRequest(413)


def _request(head: h11.Request, body: bytes) -> HttpRequest:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in head.headers:
        key = name.decode("ascii")
        headers[key] = (*headers.get(key, ()), value.decode("latin-1"))
    path, _, query = head.target.decode("ascii").partition("?")
    return HttpRequest(head.method.decode("ascii"), path, query, headers, body)


def segments(path: str) -> list[str]:
    """Split a path and decode each part, so that an encoded slash stays inside its part. Raises BadRequest."""
    try:
        return [unquote_to_bytes(part).decode() for part in path.split("/")[1:]]
    except UnicodeDecodeError:
        raise BadRequest(400) from None
