"""Waiting for one another: a bell for those who wait for work, a gate for those who must hold back."""

from __future__ import annotations

import math

import anyio
import structlog

log = structlog.get_logger("watcher.intake")


class Wakeup:
    """`ring` wakes the one who waits, or the next one to wait: a ring is never lost."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        """There may be work."""
        self._event.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Until the bell rings, at most `seconds`. Several rings before are one."""
        with anyio.move_on_after(max(0.0, seconds)):
            await self._event.wait()
        self._event = anyio.Event()


class IntakeGate:
    """Open unless somebody holds it shut, for a reason. Back-pressure in one place."""

    def __init__(self) -> None:
        self.shut_by: set[str] = set()
        self._opened = anyio.Event()
        self._opened.set()

    def hold(self, reason: str, shut: bool, hint: str = "") -> None:
        """Shut it for this reason, or take the reason away."""
        if shut != (reason in self.shut_by):
            log.warning("intake_held" if shut else "intake_resumed", reason=reason, hint=hint if shut else "")
        (self.shut_by.add if shut else self.shut_by.discard)(reason)
        if not self.shut_by:
            self._opened.set()
        elif self._opened.is_set():
            self._opened = anyio.Event()

    async def wait(self) -> None:
        """Until nobody holds it shut."""
        while self.shut_by:
            await self._opened.wait()
