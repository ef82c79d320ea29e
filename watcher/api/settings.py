"""The address of the HTTP API."""

from __future__ import annotations

from pydantic import Field

from watcher.section import Section


class ApiSettings(Section):
    """Health, readiness and metrics over HTTP."""

    listen: str | None = Field(default=None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]*):\d{1,5}$")
    """The address to listen on, as `host:port`. Unset: there is no HTTP API."""
