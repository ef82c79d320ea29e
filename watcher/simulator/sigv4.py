"""Checks AWS Signature Version 4 in the Authorization header, as AWS publishes the algorithm.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
Independent of the SDK on purpose: a client and a check that share code also share its mistakes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from watcher.simulator.wire import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
SIGNING_NAME = "chime"
"""Of Amazon Chime SDK Voice."""
MAX_SKEW_S = 300.0

_AUTHORIZATION = re.compile(r"Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})")
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


class SignatureRejected(Exception):
    """The signature does not prove that the client has the secret key. `code` is the error code of AWS; the status is 403."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential scope of a signature."""

    access_key: str
    date: str
    region: str
    service: str

    @property
    def text(self) -> str:
        """The scope without the access key, as in the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def signed_service(request: HttpRequest) -> str:
    """Return the service in the credential scope, also where the signature is wrong; empty without a signature."""
    try:
        return _authorization(request.header("authorization"))[0].service
    except SignatureRejected:
        return ""


def verify(
    request: HttpRequest, credentials: Mapping[str, str], tokens: Mapping[str, str], now: float, signing_name: str = SIGNING_NAME
) -> str:
    """Return the access key that signed `request` for the service with this signing name. Raises SignatureRejected.

    `tokens` maps access keys to their session tokens.
    """
    scope, signed, signature = _authorization(request.header("authorization"))
    token = request.header("x-amz-security-token")
    if scope.access_key not in credentials or tokens.get(scope.access_key, token) != token:
        raise SignatureRejected("UnrecognizedClientException", "The security token included in the request is invalid.")
    if "host" not in signed or (token and "x-amz-security-token" not in signed):
        raise SignatureRejected("InvalidSignatureException", "Host and the security token must be among the signed headers.")
    if scope.service != signing_name:
        raise SignatureRejected("InvalidSignatureException", f"Credential should be scoped to correct service: '{signing_name}'.")
    stamp = request.header("x-amz-date")
    _check_time(stamp, scope, now)
    key = _signing_key(credentials[scope.access_key], scope)
    if not hmac.compare_digest(_hmac(key, _string_to_sign(request, signed, stamp, scope)).hex(), signature):
        raise SignatureRejected(
            "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."
        )
    return scope.access_key


def _authorization(header: str) -> tuple[Scope, list[str], str]:
    if not header:
        raise SignatureRejected("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = header.partition(" ")
    match = _AUTHORIZATION.fullmatch(rest.strip())
    credential = match[1].rsplit("/", 4) if match else []
    if algorithm != ALGORITHM or match is None or len(credential) != 5 or credential[4] != "aws4_request":
        raise SignatureRejected("IncompleteSignatureException", "Authorization header is not in the form of Signature Version 4.")
    return Scope(*credential[:4]), match[2].split(";"), match[3]


def _check_time(stamp: str, scope: Scope, now: float) -> None:
    try:
        at = datetime.fromisoformat(stamp).timestamp() if _STAMP.fullmatch(stamp) else None
    except ValueError:
        at = None
    if at is None:
        raise SignatureRejected("IncompleteSignatureException", "X-Amz-Date is missing or not in ISO 8601 basic form.")
    if abs(at - now) > MAX_SKEW_S:
        server = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        verdict, relation = ("Signature expired", "earlier") if at < now else ("Signature not yet current", "later")
        raise SignatureRejected("InvalidSignatureException", f"{verdict}: {stamp} is more than 5 min. {relation} than {server}")
    if scope.date != stamp[:8]:
        raise SignatureRejected("InvalidSignatureException", "Date in Credential scope does not match X-Amz-Date.")


def _string_to_sign(request: HttpRequest, signed: list[str], stamp: str, scope: Scope) -> bytes:
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *(f"{name}:{_canonical_value(request, name)}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join((ALGORITHM, stamp, scope.text, digest)).encode()


def _canonical_path(path: str) -> str:
    """Resolve dots and double slashes, then encode again: every service except S3 signs the path encoded two times."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    slash = "/" if kept and path.endswith("/") else ""
    return "/" + quote("/".join(kept), safe="/-_.~") + slash


def _canonical_query(query: str) -> str:
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    return "&".join(f"{name}={value}" for name, value in sorted((_encoded(name), _encoded(value)) for name, value in pairs))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _canonical_value(request: HttpRequest, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in request.headers.get(name, ()))


@lru_cache(maxsize=64)
def _signing_key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (scope.date, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part.encode())
    return key


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
