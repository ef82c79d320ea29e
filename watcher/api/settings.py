"""The address, the tokens, and the limits of the HTTP API."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from watcher.section import Name, Section

MIN_TOKEN = 16
"""The minimum length of a token in characters. A shorter token can be guessed."""

SENDABLE = "only visible ASCII characters: no spaces, no line breaks"
"""Characters of a token: a header passes nothing else on unchanged."""


def is_token(text: str) -> bool:
    """Whether a client can send this text as a token."""
    return all("!" <= character <= "~" for character in text)


class ApiToken(Section):
    """One client of the HTTP API. Exactly one of `token` and `token_file` is set."""

    name: Name
    """The name for errors. The token itself is never shown."""
    role: Literal["read", "write"] = "read"
    """`read`: tasks, events, dead letters. `write`: also submit and cancel tasks, retry and purge dead letters."""
    token: SecretStr | None = Field(default=None, min_length=MIN_TOKEN)
    """What the client sends as `Authorization: Bearer TOKEN`. Treated as a secret."""
    token_file: str | None = Field(default=None, min_length=1)
    """A file that contains the token. It is read at the start."""

    @field_validator("token")
    @classmethod
    def _can_be_sent(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not is_token(token.get_secret_value()):
            raise ValueError(f"a token has {SENDABLE}")
        return token

    @model_validator(mode="after")
    def _one_source(self) -> ApiToken:
        if (self.token is None) == (self.token_file is None):
            raise ValueError("set exactly one of token and token_file")
        return self


class ApiSettings(Section):
    """Health, readiness, metrics, tasks, and events over HTTP, and a page that shows them."""

    listen: str | None = Field(default=None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]*):\d{1,5}$")
    """The address to listen on, as `host:port`; `:8080` and `[::]:8080` are all addresses, IPv4 and IPv6. Unset: there is no HTTP API."""
    tokens: tuple[ApiToken, ...] = ()
    """The tokens for /v1. Without tokens, only clients on this machine can use /v1, and only if `listen` is a loopback address."""
    max_readers: int = Field(default=1000, ge=1, le=10_000)
    """The maximum number of readers, which are clients that follow events, at the same time."""

    @field_validator("tokens")
    @classmethod
    def _distinct_names(cls, tokens: tuple[ApiToken, ...]) -> tuple[ApiToken, ...]:
        twice = [name for name, count in Counter(token.name for token in tokens).items() if count > 1]
        if twice:
            raise ValueError(f"two tokens have the name {twice[0]!r}; give each one its own")
        return tokens
