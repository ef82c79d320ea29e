"""The address of the HTTP API."""

from __future__ import annotations

from pydantic import Field

from watcher.section import Section


class ApiSettings(Section):
    """Health, readiness and metrics over HTTP."""

    listen: str | None = Field(default=None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]*):\d{1,5}$")
    """The address to listen on, as `host:port`; `:8080` and `[::]:8080` are all addresses, IPv4 and IPv6. Unset: there is no HTTP API."""
