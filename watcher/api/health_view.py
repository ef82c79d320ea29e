"""What the HTTP side may see of the watcher. It asks nothing of AWS and waits for nothing: both answers are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from watcher.runtime.health import Condition


class HealthView(Protocol):
    """The health of a running watcher, as of now."""

    def alive(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether the loop turns, and what shows it (`tick_age_s`). Never depends on AWS, the store or a sink."""
        ...

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        """Whether work gets done, and the condition of each component."""
        ...
