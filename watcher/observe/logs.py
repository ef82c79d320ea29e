"""placeholder"""
from typing import Literal
from watcher.section import Section


class LogSettings(Section):
    """Where trouble and progress are told. Logs go to stderr; stdout belongs to events."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto`: for a person on a terminal, JSON anywhere else."""
