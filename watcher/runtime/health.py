"""What is wrong right now, in words: read by /readyz, by the logs, and by whoever is paged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("watcher.health")


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of one component. `since` is wall-clock seconds; `hint` says what to do."""

    ok: bool
    reason: str
    since: float
    hint: str = ""


class Health:
    """The conditions of all components. Ready means that all are good."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._conditions: dict[str, Condition] = {}

    def good(self, component: str, reason: str = "ok") -> None:
        """This component works."""
        self._set(component, True, reason, "")

    def bad(self, component: str, reason: str, hint: str) -> None:
        """This component does not work; `hint` says what to do about it."""
        self._set(component, False, reason, hint)

    def is_good(self, component: str) -> bool:
        """Whether it works, as far as anybody knows."""
        condition = self._conditions.get(component)
        return condition is None or condition.ok

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        """Whether all is well, and each component's condition."""
        return all(c.ok for c in self._conditions.values()), dict(sorted(self._conditions.items()))

    def _set(self, component: str, ok: bool, reason: str, hint: str) -> None:
        before = self._conditions.get(component)
        if before is not None and before.ok == ok:
            if before.reason != reason:
                self._conditions[component] = Condition(ok, reason, before.since, hint)
            return
        self._conditions[component] = Condition(ok, reason, self._wall(), hint)
        if not ok:
            log.warning("component_unhealthy", component=component, reason=reason, hint=hint)
        elif before is not None:
            log.info("component_healthy", component=component, after_s=round(self._wall() - before.since, 1))
