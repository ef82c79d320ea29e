"""Events to a web hook, one request each, signed as Standard Webhooks has it (standardwebhooks.com).

The receiver proves with the signature that the event is ours and fresh, and with `webhook-id`, the id of the event, that
it is no repeat. Redirects are not followed: they would carry the event to somebody who was not configured.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from watcher.errors import RemoteError, Throttled, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Seconds, Section

MAX_RETRY_AFTER_S = 300.0
"""Seconds. Whoever asks for more is asked again all the same."""
MAX_REPLY = 64 * 1024
"""Bytes read of a reply, so that its connection can be used again; nobody looks at them."""
TRY_AGAIN = frozenset({408, 425, 429})
"""Beside every 5xx. All else that is not 2xx is refused for good."""

_PREFIX = "whsec_"
_OURS = ("content-type", "content-length", "host", "webhook-")


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL that begins with https:// or http://, such as https://example.com/hook")
    if parts.username is not None:
        raise ValueError("credentials belong into headers, not into the URL, which is shown in texts")
    try:
        httpx.URL(text, port=parts.port)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("a URL without control characters and with a port up to 65535") from None
    return text


def _secret(secret: SecretStr) -> SecretStr:
    if not 24 <= len(_key(secret)) <= 64:
        raise ValueError("a secret is whsec_ and the base64 of 24 to 64 random bytes")
    return secret


def _key(secret: SecretStr) -> bytes:
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if name.lower().startswith(_OURS):
            raise ValueError(f"{name} is set by the watcher")
        text = value.get_secret_value()
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()) or not (text.isascii() and text.isprintable()):
            raise ValueError("a header is a name of letters, digits and dashes, and a value of printable ASCII characters")
    return headers


class WebhookSinkSettings(Section):
    """Events to a web hook."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["webhook"] = "webhook"
    """A POST for each event, with a signature."""
    name: Name = "webhook"
    """Its cursor, its metrics and its dead letters go by this name; a new name begins with the next event."""
    url: Annotated[str, AfterValidator(_url)]
    """Where to post, https:// or http://."""
    secrets: tuple[Annotated[SecretStr, AfterValidator(_secret)], ...] = ()
    """Keys of the signature (whsec_...), each signs, so that receivers can change from one to the next. None: not signed."""
    headers: Annotated[dict[str, SecretStr], AfterValidator(_headers)] = Field(default_factory=dict)
    """Further headers, such as Authorization. Treated as secrets."""
    timeout: Seconds = Field(default=10, ge=0.1, le=300)
    """One request, from the connection to the end of the reply."""
    concurrency: int = Field(default=8, ge=1, le=100)
    """Requests at the same time, each about another task."""


class WebhookSink:
    """Posts each event to a URL. `clock` tells seconds since the epoch."""

    max_batch = 1

    def __init__(self, settings: WebhookSinkSettings, *, clock: Callable[[], float]) -> None:
        self.name = settings.name
        self.concurrency = settings.concurrency
        self._settings = settings
        self._keys = [_key(secret) for secret in settings.secrets]
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Makes no connection yet."""
        connections = httpx.Limits(max_connections=self.concurrency)
        self._client = httpx.AsyncClient(timeout=None, limits=connections, follow_redirects=False)  # noqa: S113  send bounds the whole

    async def close(self) -> None:
        """Hangs up."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def check(self) -> str:
        """Connects, with TLS for https, and hangs up: no event is made up, so what a POST would be answered stays open."""
        parts = urlsplit(self._settings.url)
        tls, host = parts.scheme == "https", parts.hostname or ""
        port = parts.port or (443 if tls else 80)
        try:
            with anyio.fail_after(self._settings.timeout):
                await _knock(host, port, tls=tls)
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise Unavailable(_word(error), f"{host}:{port}") from None
        return f"{host}:{port} takes connections{' with TLS' if tls else ''}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """A 2xx is delivered; 408, 425, 429 and 5xx come again; the rest is refused. Raises Unavailable without an answer."""
        return [await self._post(event) for event in events]

    async def _post(self, event: Event) -> Outcome:
        if self._client is None:
            raise Unavailable("closed", "the sink is not open")
        headers = {**self._headers, "content-type": "application/cloudevents+json", **signed(event, int(self._clock()), self._keys)}
        try:
            with anyio.fail_after(self._settings.timeout):
                async with self._client.stream("POST", self._settings.url, content=event.body, headers=headers) as response:
                    await _drain(response)
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(_word(error), urlsplit(self._settings.url).hostname or "") from None
        return outcome(response.status_code, response.headers.get("retry-after"), self._clock())


async def _knock(host: str, port: int, *, tls: bool) -> None:
    if tls:
        trusted = httpx.create_ssl_context()
        await (await anyio.connect_tcp(host, port, tls=True, ssl_context=trusted, tls_standard_compatible=False)).aclose()
    else:
        await (await anyio.connect_tcp(host, port)).aclose()


def signed(event: Event, timestamp: int, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The headers that prove an event. Without keys there is no signature, but still an id and a time."""
    headers = {"webhook-id": event.id, "webhook-timestamp": str(timestamp)}
    if keys:
        content = f"{event.id}.{timestamp}.".encode() + event.body
        digests = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
        headers["webhook-signature"] = " ".join(f"v1,{digest}" for digest in digests)
    return headers


def outcome(status: int, retry_after: str | None, now: float) -> Outcome:
    """What an HTTP status says about the event."""
    if 200 <= status < 300:
        return Delivered()
    if status not in TRY_AGAIN and status < 500:
        return Rejected(f"http_{status}")
    error: type[RemoteError] = Throttled if status == 429 else Unavailable
    return Retry(error(str(status), retry_after=wait_of(retry_after, now)))


def wait_of(retry_after: str | None, now: float) -> float | None:
    """`Retry-After` in seconds, up to five minutes: a number of seconds or a date; None for anything else."""
    text = (retry_after or "").strip()
    try:
        seconds = float(text) if text.isdecimal() else parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)


async def _drain(response: httpx.Response) -> None:
    read = 0
    async for chunk in response.aiter_raw():
        read += len(chunk)
        if read > MAX_REPLY:
            break


def _word(error: Exception) -> str:
    """The kind of trouble: the texts of these errors may repeat what was sent."""
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__
