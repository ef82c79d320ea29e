"""placeholder"""
from typing import Literal
from pydantic import Field
from watcher.section import Seconds, Section


class WatchSettings(Section):
    """How long a task is watched, and what its odd statuses mean."""

    deadline: Seconds = Field(default=86_400, ge=1, le=30 * 86_400)
    """A watch that sees no end by then ends itself (`deadline`), unless its message says otherwise. In seconds."""
    partial_success: Literal["settle", "terminal", "transient"] = "settle"
    """AWS does not say whether PARTIAL_SUCCESS is the end. `settle`: told, then watched until its result is whole or nothing
    changed for `partial_settle`; `terminal`: the end; `transient`: a status like any other."""
    partial_settle: Seconds = Field(default=600, ge=0)
    """For how long nothing may change before PARTIAL_SUCCESS counts as the end."""
    not_found_grace: Seconds = Field(default=60, ge=0)
    """A task just created may not be found yet: for how long that is believed."""
    retention: Seconds = Field(default=7 * 86_400, ge=60)
    """For how long the store remembers a task after its end."""
