"""Where the HTTP side listens."""

from __future__ import annotations

from pydantic import Field

from watcher.section import Section


class ApiSettings(Section):
    """Health, readiness and metrics over HTTP."""

    listen: str | None = Field(default=None, pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]*):\d{1,5}$")
    """`host:port`; unset: nothing listens."""
