"""What the HTTP API reads of the running watcher. Both answers are computed at once, without a call and without waiting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from watcher.runtime.health import Condition


class HealthView(Protocol):
    """The present health of a running watcher."""

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the event loop runs, and the measurement behind it. Never depends on AWS, the store or a sink."""
        ...

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        """Whether all components work, and the condition of each one."""
        ...
