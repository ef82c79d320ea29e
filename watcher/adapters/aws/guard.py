"""An HTTP session for the AWS SDK that limits the size of replies and refuses redirects.

aiobotocore reads a reply of any size into memory, and follows redirects with the session token in the headers. This
session raises `Unreadable` instead; the SDK wraps it in an `HTTPClientError`, which `errors.remote_error` unwraps. It
overrides one method of aiobotocore, `AIOHTTPSession._get_session`, and changes nothing else about a request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from watcher.adapters.aws.errors import reply_status
from watcher.errors import Unreadable

LARGE_REQUEST = 512 * 1024
"""Bytes of a request body above which it is written in pieces: only requests to Kinesis are so large."""


def session_class(body_limit: int) -> Callable[..., GuardedSession]:
    """Return the value for `AioConfig(http_session_cls=...)`. `body_limit` is in bytes for one reply."""
    return partial(GuardedSession, body_limit=body_limit)


class GuardedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore ships no types
    """An HTTP session that raises `Unreadable` for a redirect and for a reply of more than `body_limit` bytes."""

    def __init__(self, *, body_limit: int, **options: Any) -> None:
        super().__init__(**options)
        self._body_limit = body_limit

    async def _get_session(self, proxy_url: str | None) -> _ClientSession:
        return _ClientSession(await super()._get_session(proxy_url), self._body_limit)


@dataclass(frozen=True, slots=True)
class _ClientSession:
    """Replaces the `aiohttp.ClientSession`; aiobotocore calls only its `request`."""

    session: Any
    body_limit: int

    async def request(self, method: str, **options: Any) -> _Reply:
        data = options.get("data")
        if isinstance(data, bytes | bytearray) and len(data) > LARGE_REQUEST:
            options["data"] = BytesIO(data)  # written in pieces; at once it would block the event loop, and aiohttp warns
        async with self.session.request(method, allow_redirects=False, **options) as response:
            reply_status.set(response.status)
            if 300 <= response.status < 400:
                response.close()
                raise Unreadable(str(response.status), "redirects are not followed", foreign=True)
            return _Reply(response.url, response.status, response.raw_headers, await self._body(response))

    async def _body(self, response: Any) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self.body_limit:
                # closing keeps aiohttp from reading the rest in order to reuse the connection
                response.close()
                error = Unreadable(str(response.status), f"more than {self.body_limit} bytes")
                error.oversized = response.status < 400  # else it describes no tasks
                raise error
        return bytes(body)


@dataclass(frozen=True, slots=True)
class _Reply:
    """The members of `aiohttp.ClientResponse` that aiobotocore uses, with the body already read."""

    url: Any
    status: int
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def read(self) -> bytes:
        return self.body
