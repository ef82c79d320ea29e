"""The health of each component, in words: read by /readyz, by the logs, and by the person on call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("watcher.health")

UNUSED = "not used yet"
"""The reason of a component before its first success or failure."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of one component. `since` is wall-clock seconds; `hint` says what to do."""

    ok: bool
    reason: str
    since: float
    hint: str = ""


class Health:
    """The conditions of all components. The watcher is ready when all of them are good."""

    def __init__(self, wall: Callable[[], float], on_change: Callable[[str, bool], None] = lambda component, ok: None) -> None:
        self._wall = wall
        self._on_change = on_change
        """Called with a component and whether it works: when it is first known, and at each change."""
        self._conditions: dict[str, Condition] = {}

    def expect(self, component: str, reason: str = UNUSED) -> None:
        """List this component before its first success or failure. It counts as working until a failure is reported."""
        if component not in self._conditions:
            self._set(component, True, reason, "")

    def good(self, component: str, reason: str = "ok") -> None:
        """Report that this component works."""
        self._set(component, True, reason, "")

    def bad(self, component: str, reason: str, hint: str) -> None:
        """Report that this component does not work; `hint` says what to do about it."""
        self._set(component, False, reason, hint)

    def is_good(self, component: str) -> bool:
        """Whether the component works, or was never reported."""
        condition = self._conditions.get(component)
        return condition is None or condition.ok

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        """Whether all components work, and the condition of each one."""
        return all(c.ok for c in self._conditions.values()), dict(sorted(self._conditions.items()))

    def _set(self, component: str, ok: bool, reason: str, hint: str) -> None:
        before = self._conditions.get(component)
        if before is not None and before.ok == ok:
            if before.reason != reason:
                self._conditions[component] = Condition(ok, reason, before.since, hint)
            return
        self._conditions[component] = Condition(ok, reason, self._wall(), hint)
        self._on_change(component, ok)
        if not ok:
            log.warning("component_unhealthy", component=component, reason=reason, hint=hint)
        elif before is not None:
            log.info("component_healthy", component=component, after_s=round(self._wall() - before.since, 1))
