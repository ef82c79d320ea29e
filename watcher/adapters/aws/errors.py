"""Convert the exceptions of the AWS SDK to the named errors of `watcher.errors`.

The error code of the service and the HTTP status decide, never the message; only `polled_call` compares it with the pattern
of a kind. A 4xx without an error code of AWS was not sent by the service: a proxy, a mesh, or a gateway answered, so it is
`Unreadable` and says nothing about a task. What fails before a request is sent is caused by the setup of the process. Error
texts contain codes, statuses and names of exception types only: messages, bodies and addresses can contain identifiers of
people, and are left out.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from watcher.adapters.aws.codes import (
    BAD_CREDENTIALS,
    BAD_SIGNATURE,
    BROKEN_REPLIES,
    COMMON,
    CREDENTIAL_CALLS,
    CREDENTIAL_ERRORS,
    DENIED,
    EXPIRED,
    KNOWN,
    NOT_FOUND,
    SETUP_ERRORS,
    THROTTLED,
    TOKEN_CALLS,
    UNAVAILABLE,
    URL_ERRORS,
)
from watcher.adapters.aws.polled_call import PolledCall
from watcher.adapters.http_headers import http_date, retry_after_s
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

reply_status: ContextVar[int | None] = ContextVar("reply_status", default=None)
"""HTTP status of the last reply in this asyncio task. Needed when the SDK cannot parse the body of an error reply."""

_WORD = re.compile(r"[A-Za-z][A-Za-z.]{2,63}")
"""An unknown error code is copied into an error text only if it is a word: with digits it could be an identifier."""


def remote_error(
    error: BaseException, *, now: float | None = None, status: int | None = None, polled: PolledCall | None = None
) -> RemoteError:
    """Return the named error for any exception that a call through the SDK raises.

    `now` is this machine's wall time in seconds since the epoch, needed for clock skew and for dates in `Retry-After`.
    `status` is the HTTP status of the reply, None if no reply came. `polled` describes a call whose error may end a watch:
    then only the error codes that AWS documents for this service count as its own.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, RemoteError):
        return error
    if isinstance(error, ClientError):
        return _from_client_error(error, now, polled)
    if isinstance(error, BotoCoreError):
        return _from_sdk_error(error, now, status)
    return _from_other_error(error, status)


def setup_error(error: BaseException) -> RemoteError:
    """Return the named error for an exception raised while creating a client or fetching credentials.

    No task was polled yet, so the cause is either the network (`Unavailable`), the setup (`CredentialsRejected`), or a service that
    the SDK does not have (`Unreadable`).
    """
    return _about_credentials(remote_error(error), "cannot create a client")


def classify(code: str, status: int, *, retry_after: float | None = None, clock_skew_s: float | None = None) -> RemoteError:
    """Return the named error for an error code and an HTTP status.

    The code has precedence, but status 429 is always a throttle. A code that is neither known nor a word is ignored.
    """
    known = code in KNOWN or _WORD.fullmatch(code) is not None
    name = code if known else str(status)
    detail = "" if name == str(status) else f"HTTP {status}"
    if status == 429 or code in THROTTLED or "throttl" in code.lower():
        return Throttled(name, detail, retry_after=retry_after)
    if code in EXPIRED:
        return CredentialsRejected(name, detail, expired=True)
    if code in BAD_SIGNATURE:
        return CredentialsRejected(name, detail, clock_skew_s=clock_skew_s)
    if code in BAD_CREDENTIALS or (status == 401 and known):
        return CredentialsRejected(name, detail)
    if code in UNAVAILABLE or status >= 500 or status == 408:
        return Unavailable(name, detail, retry_after=retry_after)
    if code in DENIED:
        return Denied(name, detail)
    if code in NOT_FOUND:
        return NotFound(name, detail)
    return _by_status(name, detail, status) if known else _foreign(name, status)


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


def _foreign(name: str, status: int) -> Unreadable:
    """The error for an answer without an error code of AWS. 407 is named even if the proxy refuses before it forwards anything."""
    if 400 <= status < 500:
        return Unreadable(name, "the answer has no AWS error code, so it is not from the service", foreign=True)
    return Unreadable(name)


def _about_credentials(named: RemoteError, detail: str) -> RemoteError:
    """Return the error of a call that the SDK made to fetch credentials. It must never end a watch or slow the polls."""
    if isinstance(named, CredentialsRejected | Unavailable) or (isinstance(named, Unreadable) and named.unsent):
        return named
    if isinstance(named, Throttled):
        return Unavailable(named.code, "throttled while fetching credentials", retry_after=named.retry_after)
    return CredentialsRejected(named.code, detail, unsent=True)


def _from_client_error(error: Any, now: float | None, polled: PolledCall | None) -> RemoteError:
    meta = error.response.get("ResponseMetadata") or {}
    status = meta.get("HTTPStatusCode") or 0
    headers: Mapping[str, str] = meta.get("HTTPHeaders") or {}
    about = error.response.get("Error") or {}
    code = str(about.get("Code") or "")
    retry_after = retry_after_s(headers.get("retry-after"), now)
    named = classify(code, status, retry_after=retry_after, clock_skew_s=_clock_skew(headers, now))
    if error.operation_name in TOKEN_CALLS and code == "InvalidToken":
        return Invalid(code, f"HTTP {status}")
    if error.operation_name in CREDENTIAL_CALLS:
        return _about_credentials(named, f"HTTP {status} while fetching credentials")
    if polled is None:
        return named
    return polled.judge(named, code, error.response, documented=_is_documented(error, code))


def _is_documented(error: Any, code: str) -> bool:
    """Whether the error code is one of this service, or common to all AWS services.

    The SDK raises a class of its own for each error in the model of the service, and a plain `ClientError` for any other.
    """
    from botocore.exceptions import ClientError

    return type(error) is not ClientError or code in COMMON


def _clock_skew(headers: Mapping[str, str], now: float | None) -> float | None:
    at = http_date(headers.get("date", ""))
    return None if at is None or now is None else at - now


def _from_sdk_error(error: Any, now: float | None, status: int | None) -> RemoteError:
    from botocore import exceptions as sdk

    name = type(error).__name__
    if isinstance(error, sdk.ConnectTimeoutError):
        return Unavailable("timeout", name)
    if isinstance(error, sdk.ReadTimeoutError):
        return Unavailable.after_deadline(name)
    if isinstance(error, sdk.ProxyConnectionError):
        return _from_proxy(error)
    if isinstance(error, sdk.ConnectionError | sdk.ConnectionClosedError | sdk.ResponseStreamingError):
        return Unavailable(name)
    if isinstance(error, sdk.HTTPClientError):
        inner = error.kwargs.get("error")
        return remote_error(inner, now=now, status=status) if isinstance(inner, Exception) else Unavailable(name)
    if isinstance(error, sdk.ParamValidationError):
        return Invalid(name)
    if isinstance(error, sdk.UnknownServiceError):
        return Unreadable(name, "the SDK has no such service", unsent=True)
    bases = {base.__name__ for base in type(error).__mro__}
    if bases & (CREDENTIAL_ERRORS | SETUP_ERRORS):
        return CredentialsRejected(name, unsent=True)
    return _without_code(error, status)


def _from_proxy(error: Any) -> RemoteError:
    """A proxy that cannot be reached, or that refuses to open a tunnel to the service: nothing was sent to the service."""
    status = getattr(error.kwargs.get("error"), "status", None)
    if not isinstance(status, int) or not 400 <= status < 500:
        return Unavailable(type(error).__name__, "" if status is None else f"HTTP {status}")
    return Unreadable(str(status), "the proxy refuses the connection", foreign=True)


def _from_other_error(error: BaseException, status: int | None) -> RemoteError:
    name = type(error).__name__
    if isinstance(error, TimeoutError):
        return Unavailable.after_deadline() if error.errno is None else Unavailable("timeout")  # the system gave up the connection
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return CredentialsRejected(name, "cannot read a file that the AWS configuration names", unsent=True)
    if isinstance(error, ssl.SSLError) and getattr(error, "library", None) not in (None, "SSL"):
        # the library of a failed handshake is SSL; that of an unusable file is X509 or PEM
        return CredentialsRejected("CertificateFile", "no certificates in a file that the AWS configuration names", unsent=True)
    if isinstance(error, OSError):
        return Unavailable(name)
    return _without_code(error, status)


def _without_code(error: BaseException, status: int | None) -> RemoteError:
    """Return the error for an exception that does not show its cause: what was received decides, if anything was.

    The name of its class would say something about this code only, so a person reads a code that says what failed.
    """
    name = type(error).__name__
    if BROKEN_REPLIES & {base.__name__ for base in type(error).__mro__}:
        return Unreadable("not_http", "the answer is not HTTP", foreign=True)
    if status is None:
        if isinstance(error, ValueError) or name in URL_ERRORS:
            return CredentialsRejected("invalid_url", "the request could not be made", unsent=True)
        return CredentialsRejected("not_sent", f"the request could not be made ({name})", unsent=True)
    return classify("", status) if status >= 400 else Unreadable("unparsable", "the reply cannot be parsed")
