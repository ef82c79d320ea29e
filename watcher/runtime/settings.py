"""The limits within which the loops run."""

from __future__ import annotations

from pydantic import Field

from watcher.section import Seconds, Section


class Limits(Section):
    """What is never exceeded. Nothing is dropped at a limit: intake waits."""

    max_watches: int = Field(default=100_000, ge=1)
    """Open watches; at this many, nothing more is taken in until some end."""
    max_outbox: int = Field(default=100_000, ge=1)
    """Events waiting for the slowest sink; at this many, nothing more is taken in."""
    max_in_flight: int = Field(default=50, ge=1, le=1000)
    """Calls to the watched service at the same time, for each of its quotas."""
    call_deadline: Seconds = Field(default=15, ge=0.1, le=300)
    """One call to the watched service, from the first byte out to the last byte in."""
    stop_deadline: Seconds = Field(default=25, ge=1, le=600)
    """From the signal to the end of the process: less than what the container's platform allows (often 30 s)."""
