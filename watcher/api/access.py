"""Authentication and roles for /v1. Without tokens in the configuration, only clients on this machine have access.

A browser on this machine can run pages of other sites, which can send requests to the API. So without tokens, a request must name
this machine as its host, and a request that changes something must not come from a page of another site.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from fastapi import Request

from watcher.api.problems import Problem
from watcher.api.settings import MIN_TOKEN, SENDABLE, ApiToken, is_token

Role = Literal["read", "write"]

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="watcher"'}
_NO_TOKENS = "The API listens on an address that other machines can reach, and has no token. Set api.tokens, or listen on 127.0.0.1."
_SEND_ONE = "Send a token of api.tokens in the header Authorization: Bearer TOKEN."
_UNKNOWN = "This token is not one of api.tokens."
_READ_ONLY = "This token has the role read; this request needs the role write."
_HOST = "While no token is configured, the Host header must name this machine, for example localhost."
_ORIGIN = "While no token is configured, a page of another site must not send this request."


class TokenFileError(Exception):
    """A token file that cannot be used. The text names the token and says what is wrong."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a token. `digest` is the SHA-256 of the token."""

    name: str
    role: Role
    digest: bytes


class Access:
    """Decides about each request to /v1. `beyond_loopback`: the API listens on an address that other machines can reach."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self.beyond_loopback = True
        self._clients = clients

    @property
    def closed(self) -> bool:
        """Whether every request to /v1 is refused."""
        return self.beyond_loopback and not self._clients

    def require(self, role: Role) -> Callable[[Request], Awaitable[None]]:
        """Return the dependency of the routes that need this role. It raises Problem: 401, 403."""

        async def check(request: Request) -> None:
            self.check(role, request.headers)

        return check

    def check(self, role: Role, headers: Mapping[str, str]) -> None:
        """Check the headers of a request that needs this role. Raises Problem: 401, 403."""
        if self._clients:
            self._check_token(role, headers.get("authorization", ""))
        elif self.closed:
            raise Problem(401, _NO_TOKENS, _CHALLENGE)
        elif not is_loopback(_host_name(headers.get("host", ""))):
            raise Problem(403, _HOST)
        elif role == "write" and not _same_site(headers):
            raise Problem(403, _ORIGIN)

    def _check_token(self, role: Role, authorization: str) -> None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(401, _SEND_ONE, _CHALLENGE)
        digest = _digest(token.strip())
        found = [client for client in self._clients if hmac.compare_digest(client.digest, digest)]  # compares with all: constant time
        if not found:
            raise Problem(401, _UNKNOWN, {"WWW-Authenticate": 'Bearer realm="watcher", error="invalid_token"'})
        if role == "write" and all(client.role == "read" for client in found):
            raise Problem(403, _READ_ONLY, {"WWW-Authenticate": 'Bearer realm="watcher", error="insufficient_scope"'})


def read_clients(tokens: Sequence[ApiToken]) -> Sequence[Client]:
    """Return the clients of a configuration. Reads the token files. Raises TokenFileError."""
    return [Client(token.name, token.role, _digest(_secret(token))) for token in tokens]


def is_loopback(host: str) -> bool:
    """Whether a name or an address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _secret(token: ApiToken) -> str:
    if token.token is not None:
        return token.token.get_secret_value()
    path = Path(token.token_file or "")
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the file is not text"
        raise TokenFileError(f"token {token.name!r}: cannot read {path}: {reason}") from error
    if len(secret) < MIN_TOKEN:
        raise TokenFileError(f"token {token.name!r}: {path} has fewer than {MIN_TOKEN} characters")
    if not is_token(secret):
        raise TokenFileError(f"token {token.name!r}: {path} must have {SENDABLE}")
    return secret


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _same_site(headers: Mapping[str, str]) -> bool:
    """A browser names the site of the page that sends a request; other clients do not."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")
