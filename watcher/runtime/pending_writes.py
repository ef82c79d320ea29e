"""Which writes have begun and not returned: a disk that hangs reports no error, so a write that takes too long is one.

Writes on this machine only: the store, and sinks that write files. Calls to remote services have deadlines of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from watcher.runtime.clock import Clock
    from watcher.runtime.health import Health

LIMIT_S = 10.0
"""A write that takes longer than this makes its component unhealthy, in seconds."""
CHECK_S = 1.0
"""Seconds between two checks."""
HINT = (
    "a call to the store or to the disk does not return: check the disk and its mount, or the database; nothing is acknowledged until then"
)


class PendingWrites:
    """Writes under way, in the order of their beginnings. Cheap, because each commit is one."""

    def __init__(self) -> None:
        self._number = 0
        self._began: dict[int, tuple[str, float]] = {}
        """By number, the component and the monotonic time."""
        self._reported: set[int] = set()

    def begin(self, component: str, now: float) -> int:
        """A write of this component begins. Returns its number."""
        self._number += 1
        self._began[self._number] = (component, now)
        return self._number

    def end(self, number: int) -> bool:
        """A write has returned. Returns whether it was reported as overdue, and no other one of its component still is."""
        component, _ = self._began.pop(number)
        if number not in self._reported:
            return False
        self._reported.remove(number)
        return all(self._began[other][0] != component for other in self._reported)

    def report_overdue(self, now: float) -> set[str]:
        """The components with a write that is overdue. Notes these writes as reported."""
        components = set()
        for number, (component, began) in self._began.items():
            if now - began <= LIMIT_S:
                break  # all later ones began later
            components.add(component)
            self._reported.add(number)
        return components


class HungWrites:
    """Makes a component unhealthy while one of its writes is overdue. The caller of the write reports its success."""

    def __init__(self, writes: PendingWrites, health: Health, clock: Clock) -> None:
        self._writes = writes
        self._health = health
        self._clock = clock

    async def run(self) -> None:
        """Check every second, until cancelled."""
        while True:
            for component in self._writes.report_overdue(self._clock.mono()):
                if self._health.is_good(component):  # an error that it has already says more
                    self._health.bad(component, f"a write has not returned for {LIMIT_S:g} s", HINT)
            await anyio.sleep(CHECK_S)
