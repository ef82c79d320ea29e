"""Blows at the Nth call of a port, whichever that is: as SQLite tests itself, so that no stage is too unlikely to be hit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from watcher.errors import StoreUnavailable, Unavailable

CALLS = {
    "store": (
        *("open", "claim", "release", "admit", "commit", "read_outbox", "settle", "count_backlog", "add_dead_letters", "requests"),
        *("load_state", "save_state", "prune", "task", "task_events", "purge"),
    ),
    "queue": ("open", "receive", "ack", "extend"),
    "probe": ("open", "observe"),
    "sink": ("open", "send"),
}


class Fuse:
    """Counts the calls of all ports. At the `nth` it acts, `before` or after the call took effect."""

    def __init__(self, nth: int, act: str, *, before: bool, lasts: int = 1) -> None:
        self.calls = 0
        self.blown = ""
        """Which call it was; empty if the run had fewer."""
        self.life: anyio.CancelScope | None = None
        """What a kill cancels: the life of the watcher that makes the call."""
        self._nth = nth
        self._act = act
        self._before = before
        self._lasts = lasts

    def wire(self, what: str, part: Any) -> None:
        """Put the fuse into each call of this part."""
        for name in CALLS[what]:
            setattr(part, name, self._fused(what, name, getattr(part, name)))

    def _fused(self, what: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def fused(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            mine = self._nth <= self.calls < self._nth + self._lasts
            if mine:
                self.blown = self.blown or f"{what}.{name}"
            if mine and self._before and name != "open":
                await self._blow(what)
            result = await call(*args, **kwargs)
            if mine and not self._before and name != "open":
                await self._blow(what)
            return result

        return fused

    async def _blow(self, what: str) -> None:
        if self._act == "fail":
            raise StoreUnavailable("fuse") if what == "store" else Unavailable("fuse")
        if self.life is not None:
            self.life.cancel()
            await anyio.sleep_forever()
