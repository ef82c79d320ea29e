"""Reads replies of the HTTP API, and turns errors into ApiError. No error contains the token or an unchanged body."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from watcher.adapters.http_headers import retry_after_s
from watcher.errors import ApiError

if TYPE_CHECKING:
    import httpx

MAX_DETAIL = 500
"""Characters of the detail of a problem document that an error repeats."""
REASONS = {401: "unauthorized", 403: "forbidden", 404: "not_found", 410: "gone", 503: "busy"}
"""By status. Any other 4xx is `rejected`, any other 5xx is `failed`."""


def json_of(reply: httpx.Response) -> Any:
    """Return the JSON of a successful reply. Raises ApiError for any other one."""
    if not reply.is_success:
        raise error_of(reply)
    try:
        return json.loads(reply.content)
    except ValueError:
        raise ApiError("foreign", f"{_place(reply)}: the reply is not JSON") from None


def error_of(reply: httpx.Response) -> ApiError:
    """Return the error for a reply without success. Its body must have been read."""
    status, place = reply.status_code, _place(reply)
    if reply.has_redirect_location or 300 <= status < 400:
        target = urlsplit(reply.headers.get("location", ""))
        where = f" to {target.scheme}://{target.hostname}" if target.hostname and target.hostname.isprintable() else ""
        return ApiError("redirect", f"{place}: redirects{where}")
    problem = _problem(reply)
    if status in (404, 405) and problem is None:  # a watcher describes every error
        return ApiError("foreign", f"{place}: status {status}")
    reason = REASONS.get(status, "failed" if status >= 500 else "rejected")
    text = problem or _phrase(status)
    return ApiError(reason, f"{place}: status {status}: {text}", retry_after=retry_after_s(reply.headers.get("retry-after"), None))


def problem_of(reply: httpx.Response) -> dict[str, Any] | None:
    """Return the problem document of a reply, if it is one."""
    if not reply.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        value = json.loads(reply.content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def connection_error(error: Exception, url: str) -> ApiError:
    """Return the error for a request without a reply."""
    place = place_of(url)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            what = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else (cause.reason or "TLS failed")
            return ApiError("tls", f"{place}: {what.rstrip('.')}")
        if isinstance(cause, socket.gaierror):
            return ApiError("unreachable", f"{place}: no address is known for this host")
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
            return ApiError("unreachable", f"{place}: {errno.errorcode[cause.errno]}")
    return ApiError("unreachable", f"{place}: {'timeout' if 'imeout' in type(error).__name__ else type(error).__name__}")


def place_of(url: str) -> str:
    """Return scheme, host, and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _place(reply: httpx.Response) -> str:
    return place_of(str(reply.url))


def _problem(reply: httpx.Response) -> str | None:
    """The detail of a problem document, in printable characters."""
    value = problem_of(reply) or {}
    text = value.get("detail") or value.get("title")
    if not isinstance(text, str):
        return None
    return "".join(c if c.isprintable() else " " for c in text[:MAX_DETAIL]).rstrip(". ")


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, in order, with the errors inside a group."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__ or error.__context__
