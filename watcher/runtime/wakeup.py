"""Waiting between loops: a wake-up call for a loop that waits for work, and a gate that pauses intake at a limit."""

from __future__ import annotations

import math

import anyio
import structlog

log = structlog.get_logger("watcher.intake")


class Wakeup:
    """`set` wakes the waiting loop, or the next one that waits, so no wake-up is lost."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Signal that there may be work."""
        self._event.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Wait for `set`, at most `seconds`. Several calls of `set` before it count as one."""
        with anyio.move_on_after(max(0.0, seconds)):
            await self._event.wait()
        self._event = anyio.Event()


class IntakeGate:
    """Open unless a limit is reached. Each reason to pause has one writer, which both sets and clears it."""

    def __init__(self) -> None:
        self.hints: dict[str, str] = {}
        """What to do about each reason that currently pauses intake."""
        self._opened = anyio.Event()
        self._opened.set()

    @property
    def paused_by(self) -> set[str]:
        """The reasons that currently pause intake."""
        return set(self.hints)

    def pause(self, reason: str, hint: str) -> None:
        """Pause intake for this reason; `hint` says what to do about it."""
        if reason not in self.hints:
            self.hints[reason] = hint
            if self._opened.is_set():  # else a loop that waits on the present event would never be woken
                self._opened = anyio.Event()
            log.warning("intake_paused", reason=reason, hint=hint)

    def resume(self, reason: str) -> None:
        """Withdraw this reason."""
        if reason in self.hints:
            del self.hints[reason]
            log.info("intake_resumed", reason=reason)
        if not self.hints:
            self._opened.set()

    async def wait(self) -> None:
        """Wait until no reason to pause is left."""
        while self.hints:
            await self._opened.wait()
