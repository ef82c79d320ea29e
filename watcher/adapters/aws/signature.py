"""AWS Signature Version 4 of a GET without a body, with what stays the same for a day computed once.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
The SDK derives the key and sorts all headers anew for each request, which costs more than sending it. A test holds the
signatures made here equal to the SDK's, for any URL, credentials and time.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, urlsplit

from botocore.utils import normalize_url_path

ALGORITHM = "AWS4-HMAC-SHA256"
NO_BODY = hashlib.sha256().hexdigest()
DEFAULT_PORTS = {"http": 80, "https": 443}


class Key(Protocol):
    """Frozen credentials, as the SDK hands them out."""

    access_key: str
    secret_key: str
    token: str | None


def signed_headers(url: str, key: Key, region: str, service: str, at: float) -> dict[str, str]:
    """The headers that prove who sends a GET to `url` at `at` (wall time, seconds). Other headers may go along unsigned."""
    parts = urlsplit(url)
    stamp = _stamp(int(at))
    day = stamp[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    token = f"x-amz-security-token:{' '.join(key.token.split())}\n" if key.token else ""
    names = "host;x-amz-date;x-amz-security-token" if token else "host;x-amz-date"
    request = (
        f"GET\n{quote(normalize_url_path(parts.path), safe='/~')}\n{_canonical(parts.query)}\n"
        f"host:{_host(parts.scheme, parts.netloc)}\nx-amz-date:{stamp}\n{token}\n{names}\n{NO_BODY}"
    )
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_signing_key(key.secret_key, day, region, service), text.encode(), "sha256").hex()
    headers = {
        "X-Amz-Date": stamp,
        "Authorization": f"{ALGORITHM} Credential={key.access_key}/{scope}, SignedHeaders={names}, Signature={signature}",
    }
    return headers | {"X-Amz-Security-Token": key.token} if key.token else headers


@lru_cache(maxsize=8)
def _signing_key(secret: str, *scope: str) -> bytes:
    """Good for one day, in one Region, with one service."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=2)
def _stamp(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


@lru_cache(maxsize=8)
def _host(scheme: str, netloc: str) -> str:
    """As the Host header will have it: without credentials, and without a port that goes without saying."""
    parts = urlsplit(f"{scheme}://{netloc}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, DEFAULT_PORTS.get(scheme)) else f"{host}:{parts.port}"


def _canonical(query: str) -> str:
    """Sorted by name, then by value; it is percent-encoded already."""
    if "&" not in query:
        return query if "=" in query or not query else f"{query}="
    return "&".join(f"{name}={value}" for name, value in sorted(pair.partition("=")[::2] for pair in query.split("&")))
