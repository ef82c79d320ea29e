"""The health of each component, in words: read by /readyz, by the logs, and by the person on call."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("watcher.health")

UNUSED = "not used yet"
"""The reason of a component before its first success or failure."""
QUIET_S = 60.0
"""Seconds after a line about a component that fails, before the log has a line about another failure of it, if the failures are
reported again and again: a sink that throttles may fail and work again ten times a second."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of one component. `since` is wall-clock seconds; `hint` says what to do."""

    ok: bool
    reason: str
    since: float
    hint: str = ""


@dataclass(slots=True)
class _Logged:
    """What the log says about one component."""

    ok: bool = True
    failed_at: float = -math.inf
    """When the last line about a failure was written, in wall-clock seconds."""
    suppressed: int = 0
    """Failures since then that have no line."""


class Health:
    """The conditions of all components. The watcher is ready when all of them are good."""

    def __init__(self, wall: Callable[[], float], on_change: Callable[[str, bool], None] = lambda component, ok: None) -> None:
        self._wall = wall
        self._on_change = on_change
        """Called with a component and whether it works: when it is first known, and at each change."""
        self._conditions: dict[str, Condition] = {}
        self._logged: dict[str, _Logged] = {}

    def expect(self, component: str, reason: str = UNUSED) -> None:
        """List this component before its first success or failure. It counts as working until a failure is reported."""
        if component not in self._conditions:
            self._set(component, True, reason, "")

    def good(self, component: str, reason: str = "ok") -> None:
        """Report that this component works."""
        self._set(component, True, reason, "")

    def bad(self, component: str, reason: str, hint: str, *, repeated: bool = False) -> None:
        """Report that this component does not work; `hint` says what to do about it.

        `repeated` means that each further attempt that fails is reported too. So the line of the log may wait for one of them: it is
        written at most once in `QUIET_S`. Readiness and the metrics have each change.
        """
        self._set(component, False, reason, hint, repeated=repeated)

    def is_good(self, component: str) -> bool:
        """Whether the component works, or was never reported."""
        condition = self._conditions.get(component)
        return condition is None or condition.ok

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        """Whether all components work, and the condition of each one."""
        return all(c.ok for c in self._conditions.values()), dict(sorted(self._conditions.items()))

    def _set(self, component: str, ok: bool, reason: str, hint: str, *, repeated: bool = False) -> None:
        before = self._conditions.get(component)
        logged = self._logged.setdefault(component, _Logged())
        if before is not None and before.ok == ok == logged.ok:
            if before.reason != reason:
                self._conditions[component] = Condition(ok, reason, before.since, hint)
            return
        now = self._wall()
        changed = before is None or before.ok != ok
        self._conditions[component] = Condition(ok, reason, now if before is None or changed else before.since, hint)
        if changed:
            self._on_change(component, ok)
        if not ok:
            self._log_failure(component, logged, now, changed=changed, repeated=repeated)
        elif not logged.ok:
            logged.ok = True
            log.info("component_healthy", component=component, after_s=round(now - (now if before is None else before.since), 1))

    def _log_failure(self, component: str, logged: _Logged, now: float, *, changed: bool, repeated: bool) -> None:
        if repeated and 0 <= now - logged.failed_at < QUIET_S:
            logged.suppressed += changed
            return
        more = {"suppressed": logged.suppressed} if logged.suppressed else {}
        condition = self._conditions[component]
        log.warning("component_unhealthy", component=component, reason=condition.reason, hint=condition.hint, **more)
        logged.ok, logged.failed_at, logged.suppressed = False, now, 0
