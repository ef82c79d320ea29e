"""Post events to a webhook, one request each, signed as Standard Webhooks specifies (standardwebhooks.com).

With the signature the receiver verifies that the event is authentic and recent; with `webhook-id`, the id of the event,
it recognizes a repeat. Redirects are not followed: they would send the event to a host that is not configured.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

import anyio
from anyio import to_thread
from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from watcher.adapters.http_client import check_connection, error_code, new_client, skip_body
from watcher.adapters.http_headers import retry_after_s
from watcher.core.delivery.events import trace_of
from watcher.core.trace_context import attributes_of
from watcher.errors import RemoteError, Throttled, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Seconds, SecretPath, Section

if TYPE_CHECKING:
    import httpx  # takes a tenth of a second to import, so only `open` imports it

RETRYABLE_STATUSES = frozenset({408, 425, 429})
"""HTTP statuses that are retried, besides every 5xx. With any other status that is not 2xx the event is refused."""
SINK_STATUSES = frozenset({401, 402, 403, 404, 405, 407, 410, 421, 426, 451})
"""Statuses that are usually about the URL, the credentials, or the account, and not about the event; so are redirects."""

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives to secrets, not a secret
_RESERVED_HEADERS = ("content-type", "content-length", "host", "webhook-")


def _check_url(text: str) -> str:
    import httpx

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL that starts with https:// or http://, such as https://example.com/hook")
    if parts.username is not None:
        raise ValueError("the URL must not contain credentials, because it appears in logs; use headers instead")
    try:
        httpx.URL(text, port=parts.port)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("expected a URL without control characters and with a port up to 65535") from None
    return text


def _check_secret(secret: SecretStr) -> SecretStr:
    if not 24 <= len(_key(secret)) <= 64:
        raise ValueError("expected whsec_ followed by the base64 encoding of 24 to 64 random bytes")
    return secret


def _key(secret: SecretStr) -> bytes:
    """The bytes that a secret encodes; none if it is not base64."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix(_SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _check_headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if name.lower().startswith(_RESERVED_HEADERS):
            raise ValueError(f"the watcher sets the header {name}; remove it")
        text = value.get_secret_value()
        if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()) or not (text.isascii() and text.isprintable()):
            raise ValueError("expected header names of letters, digits and dashes, and values of printable ASCII characters")
    return headers


class WebhookSinkSettings(Section):
    """Events to a webhook."""

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["webhook"] = "webhook"
    """A signed POST request for each event."""
    name: Name = "webhook"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    url: Annotated[str, AfterValidator(_check_url), SecretPath()]
    """The URL to post to, https:// or http://. Its path and query are treated as secrets."""
    secrets: tuple[Annotated[SecretStr, AfterValidator(_check_secret)], ...] = ()
    """The signing secrets (whsec_...). Each adds a signature, so that receivers can change from one secret to the next.
    Without a secret, requests are not signed."""
    headers: Annotated[dict[str, SecretStr], AfterValidator(_check_headers)] = Field(default_factory=dict)
    """More request headers, such as Authorization. Their values are treated as secrets."""
    timeout: Seconds = Field(default=10, ge=0.1, le=300)
    """The limit for one request, from opening the connection to the end of the reply."""
    concurrency: int = Field(default=8, ge=1, le=100)
    """The number of requests at the same time. Requests for the same task never overlap."""


class WebhookSink:
    """Posts each event to a URL. `clock` returns seconds since the epoch."""

    max_batch = 1

    def __init__(self, settings: WebhookSinkSettings, *, clock: Callable[[], float]) -> None:
        self.name = settings.name
        self.concurrency = settings.concurrency
        self._settings = settings
        self._keys = [_key(secret) for secret in settings.secrets]
        self._headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._passes_trace = not any(name.lower() in ("traceparent", "tracestate") for name in self._headers)
        """Whether the sink adds the headers of W3C Trace Context. It does not if `headers` sets one of them."""
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Create the HTTP client. Opens no connection yet. Raises ConfigMistakes for certificates or a proxy that cannot be used."""
        self._client = await to_thread.run_sync(new_client, self._settings.url, self.concurrency)

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def check(self) -> str:
        """Open a connection, to the proxy if there is one, and close it. Posts nothing, so the reply to a POST stays unknown."""
        return await check_connection(self._settings.url, self._settings.timeout)

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Return Delivered for 2xx, Retry for 408, 425, 429 and 5xx, Rejected otherwise. Raises Unavailable without a status."""
        return [await self._post(event) for event in events]

    async def _post(self, event: Event) -> Outcome:
        import httpx

        if self._client is None:
            raise Unavailable("closed", "the sink is not open")
        signature = signature_headers(event, int(self._clock()), self._keys)
        traced = attributes_of(trace_of(event)) if self._passes_trace else {}
        headers = {**traced, **self._headers, "content-type": "application/cloudevents+json", **signature}
        outcome: Outcome | None = None
        try:
            with anyio.fail_after(self._settings.timeout):
                async with self._client.stream("POST", self._settings.url, content=event.body, headers=headers) as reply:
                    outcome = _outcome(reply.status_code, retry_after_s(reply.headers.get("retry-after"), self._clock()))
                    await skip_body(reply)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if outcome is None:  # else the status was received, and decides
                raise Unavailable(error_code(error), urlsplit(self._settings.url).hostname or "") from None
        return outcome or Retry(Unavailable("no_status"))


def signature_headers(event: Event, timestamp: int, keys: Sequence[bytes]) -> Mapping[str, str]:
    """Return the id, the timestamp and the signatures of an event as headers. Without keys there is no signature."""
    headers = {"webhook-id": event.id, "webhook-timestamp": str(timestamp)}
    if keys:
        content = f"{event.id}.{timestamp}.".encode() + event.body
        digests = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
        headers["webhook-signature"] = " ".join(f"v1,{digest}" for digest in digests)
    return headers


def _outcome(status: int, retry_after: float | None) -> Outcome:
    """Return the outcome for an HTTP status. `retry_after` is in seconds."""
    if 200 <= status < 300:
        return Delivered()
    if status not in RETRYABLE_STATUSES and status < 500:
        return Rejected(f"http_{status}", "sink" if status in SINK_STATUSES or status < 400 else "unknown")
    error: type[RemoteError] = Throttled if status == 429 else Unavailable
    return Retry(error(str(status), retry_after=retry_after))
