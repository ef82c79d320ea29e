"""What the SDK raises, as the named errors of this package: the table of errors in docs/architecture.md, as code.

Decides by the service's error code and by the HTTP status, never by a message. Texts carry codes, statuses and names
of exception types; messages, bodies and addresses stay behind, because they hold identifiers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from typing import Any

from watcher.adapters.aws.codes import (
    BAD_CREDENTIALS,
    BAD_SIGNATURE,
    CREDENTIAL_CALLS,
    CREDENTIAL_ERRORS,
    DENIED,
    EXPIRED,
    NOT_FOUND,
    SET_UP_ERRORS,
    THROTTLED,
    UNAVAILABLE,
)
from watcher.errors import (
    Busy,
    CredentialsRejected,
    Denied,
    Invalid,
    NotFound,
    RemoteError,
    Throttled,
    Unavailable,
    Unreadable,
)

MAX_RETRY_AFTER = 300.0
"""Seconds. A header that says more is not obeyed: the service cannot know, and a mistake must not stop us for a day."""

reply_status: ContextVar[int | None] = ContextVar("reply_status", default=None)
"""The HTTP status of the last reply within this task: what is known of an error whose body the SDK cannot parse."""

_KNOWN = THROTTLED | UNAVAILABLE | NOT_FOUND | DENIED | EXPIRED | BAD_SIGNATURE | BAD_CREDENTIALS
_PRINTABLE = re.compile(r"[A-Za-z][A-Za-z.]{2,63}")
"""Error codes are words. What has digits in it may be an identifier, so it is not repeated."""


def translate(error: BaseException, *, now: float | None = None, status: int | None = None) -> RemoteError:
    """The named error for anything that a call through the SDK may raise.

    `now` is our wall time, to tell by how much the service's clock differs from it. `status` is the HTTP status of the
    reply where the caller knows it: an error whose body the SDK trips over is still what its status says.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, RemoteError):
        return error
    if isinstance(error, ClientError):
        return _from_reply(error, now)
    if isinstance(error, BotoCoreError):
        return _from_sdk(error, now)
    return _from_elsewhere(error, status)


def unusable(error: BaseException) -> RemoteError:
    """The named error for what keeps a client from being made, or credentials from being fetched.

    Nothing was asked of the service yet, so unless the network is in the way it is the set-up: `CredentialsRejected`.
    """
    named = translate(error)
    if isinstance(named, CredentialsRejected | Unavailable):
        return named
    if isinstance(named, Throttled):
        return Unavailable(named.code, "throttled while fetching credentials", retry_after=named.retry_after)
    return CredentialsRejected(named.code, "no client could be made")


def _from_reply(error: Any, now: float | None) -> RemoteError:
    meta = error.response.get("ResponseMetadata") or {}
    status = meta.get("HTTPStatusCode") or 0
    headers: Mapping[str, str] = meta.get("HTTPHeaders") or {}
    code = str((error.response.get("Error") or {}).get("Code") or "")
    named = classify(code, status, retry_after=_retry_after(headers, now), clock_skew_s=_clock_skew(headers, now))
    if isinstance(named, Busy | Denied | Invalid | NotFound) and _is_page(code, headers):
        named = Unreadable(named.code, "a page, not the service's words")
    if error.operation_name not in CREDENTIAL_CALLS or isinstance(named, CredentialsRejected | Unavailable):
        return named
    if isinstance(named, Throttled):
        return Unavailable(named.code, "throttled while fetching credentials", retry_after=named.retry_after)
    return CredentialsRejected(named.code, f"fetching credentials gave {status}")


def _is_page(code: str, headers: Mapping[str, str]) -> bool:
    """A refusal without an error code, in HTML or plain text: a proxy or another endpoint says it, who knows nothing of our tasks."""
    return not _PRINTABLE.fullmatch(code) and headers.get("content-type", "").startswith("text/")


def classify(code: str, status: int, *, retry_after: float | None = None, clock_skew_s: float | None = None) -> RemoteError:
    """The named error for a service's error code and HTTP status. The code goes first, except that any 429 is a throttle."""
    name = code if code in _KNOWN or _PRINTABLE.fullmatch(code) else str(status)
    detail = "" if name == str(status) else f"HTTP {status}"
    if status == 429 or code in THROTTLED or "throttl" in code.lower():
        return Throttled(name, detail, retry_after=retry_after)
    if code in EXPIRED:
        return CredentialsRejected(name, detail, expired=True)
    if code in BAD_SIGNATURE:
        return CredentialsRejected(name, detail, clock_skew_s=clock_skew_s)
    if code in BAD_CREDENTIALS or status == 401:
        return CredentialsRejected(name, detail)
    if code in UNAVAILABLE or status >= 500 or status == 408:
        return Unavailable(name, detail, retry_after=retry_after)
    if code in DENIED:
        return Denied(name, detail)
    if code in NOT_FOUND:
        return NotFound(name, detail)
    return _by_status(name, detail, status)


def _by_status(name: str, detail: str, status: int) -> RemoteError:
    if status == 409 or name == "ConflictException":
        return Busy(name, detail)
    if status == 403:
        return Denied(name, detail)
    if status == 404:
        return NotFound(name, detail)
    if 400 <= status < 500:
        return Invalid(name, detail)
    return Unreadable(name, detail)


def _from_sdk(error: Any, now: float | None) -> RemoteError:
    from botocore import exceptions as sdk

    name = type(error).__name__
    if isinstance(error, sdk.ConnectTimeoutError | sdk.ReadTimeoutError):
        return Unavailable("timeout", name)
    if isinstance(error, sdk.ConnectionError | sdk.ConnectionClosedError | sdk.ResponseStreamingError):
        return Unavailable(name)
    if isinstance(error, sdk.HTTPClientError):
        inner = error.kwargs.get("error")
        return translate(inner, now=now) if isinstance(inner, Exception) else Unavailable(name)
    if isinstance(error, sdk.ParamValidationError):
        return Invalid(name)
    known = {base.__name__ for base in type(error).__mro__}
    if known & (CREDENTIAL_ERRORS | SET_UP_ERRORS):
        return CredentialsRejected(name)
    return Unreadable(name)


def _from_elsewhere(error: BaseException, status: int | None) -> RemoteError:
    name = type(error).__name__
    if isinstance(error, TimeoutError):
        return Unavailable("timeout")
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return CredentialsRejected(name, "a file that the set-up names cannot be read")
    if isinstance(error, OSError):
        return Unavailable(name)
    if status is not None and status >= 400:
        return classify("", status)
    return Unreadable(name)


def _retry_after(headers: Mapping[str, str], now: float | None) -> float | None:
    """Seconds, out of a number of seconds or an HTTP date. None for anything else."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", value):
        return min(float(value), MAX_RETRY_AFTER)
    at = _http_date(value)
    return None if at is None or now is None else min(max(at - now, 0.0), MAX_RETRY_AFTER)


def _clock_skew(headers: Mapping[str, str], now: float | None) -> float | None:
    at = _http_date(headers.get("date", ""))
    return None if at is None or now is None else at - now


def _http_date(value: str) -> float | None:
    try:
        at = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return at if math.isfinite(at) else None
