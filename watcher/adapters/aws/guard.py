"""What stands between the SDK and the wire: bounded replies, and no redirects.

aiobotocore reads a reply of any size into memory, and follows redirects with the session token in the headers. This
session does neither: it raises `Unreadable`, which reaches `errors.translate` inside an `HTTPClientError`. It relies on
one seam of aiobotocore, `AIOHTTPSession._get_session`, and may not do more than refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession

from watcher.adapters.aws.errors import reply_status
from watcher.errors import Unreadable

MIB = 1 << 20

BODY_LIMITS = {"chime-sdk-voice": MIB, "sqs": 32 * MIB}
"""Bytes of one reply, by service. A task with its results takes a few KiB; ten SQS messages may have 1 MiB each, and quotes
double in JSON: a limit that a full queue exceeds would keep it full."""

BODY_LIMIT = 4 * MIB
"""For every other service."""


def guarded(service: str) -> Callable[..., GuardedSession]:
    """What `AioConfig(http_session_cls=...)` takes, with the limit of this service."""
    return partial(GuardedSession, body_limit=BODY_LIMITS.get(service, BODY_LIMIT))


class GuardedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore ships no types
    """An HTTP session that refuses redirects and replies of more than `body_limit` bytes."""

    def __init__(self, *, body_limit: int, **options: Any) -> None:
        super().__init__(**options)
        self._body_limit = body_limit

    async def _get_session(self, proxy_url: str | None) -> _Guard:
        return _Guard(await super()._get_session(proxy_url), self._body_limit)


@dataclass(frozen=True, slots=True)
class _Guard:
    """Stands in for the `aiohttp.ClientSession`; aiobotocore calls nothing but `request`."""

    session: Any
    body_limit: int

    async def request(self, method: str, **options: Any) -> _Reply:
        async with self.session.request(method, allow_redirects=False, **options) as response:
            reply_status.set(response.status)
            if 300 <= response.status < 400:
                response.close()
                raise Unreadable(str(response.status), "a redirect is not followed")
            return _Reply(response.url, response.status, response.raw_headers, await self._body(response))

    async def _body(self, response: Any) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self.body_limit:
                # closed, so that the rest is not read to reuse the connection
                response.close()
                raise Unreadable(str(response.status), f"more than {self.body_limit} bytes")
        return bytes(body)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What aiobotocore uses of an `aiohttp.ClientResponse`, with the body already here."""

    url: Any
    status: int
    raw_headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def read(self) -> bytes:
        return self.body
