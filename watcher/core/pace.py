"""placeholder"""
from pydantic import Field
from watcher.section import Section


class PaceSettings(Section):
    """How fast all calls may go, in calls per second."""

    rate: float | None = Field(default=None, gt=0, le=100_000)
    """The calls per second granted to this watcher: a ceiling, less is found by itself. Unset: found from 1/s up."""
    burst: float = Field(default=1, ge=1, le=10_000)
    """How many calls may go at once after a pause."""
