"""placeholder"""
from typing import Literal
from pydantic import Field
from watcher.section import Seconds, Section


class CadenceSettings(Section):
    """When a task is asked about again."""

    type: Literal["accrual", "fixed", "backoff"] = "accrual"
    """`accrual` asks where a call saves most lag; `fixed` every `every`; `backoff` from `every` doubling up to `max_gap`."""
    every: Seconds = Field(default=5, ge=0.2, le=3600)
    """The interval of `fixed`, and the first one of `backoff`."""
    min_gap: Seconds = Field(default=0.2, ge=0.05, le=60)
    """Never sooner than this after the last call about a task."""
    max_gap: Seconds = Field(default=60, ge=0.2, le=3600)
    """Never later than this, as far as the pace allows."""
    price_floor: Seconds = Field(default=0.1, ge=0)
    """With calls to spare, one goes only where it is expected to save this much lag."""
