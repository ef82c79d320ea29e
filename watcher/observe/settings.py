"""The level and format of logs, apart from `logs.py`, so that reading a configuration does not import structlog."""

from __future__ import annotations

from typing import Literal

from watcher.section import Section


class LogSettings(Section):
    """The level and format of logs. They go to stderr; stdout is for events."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""
    format: Literal["auto", "json", "console"] = "auto"
    """`json`: one JSON object per line; `console`: text to read on a terminal; `auto`: console on a terminal, JSON elsewhere."""
