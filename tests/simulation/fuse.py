"""A fuse: acts at the nth call of all ports together, so that no call is too unlikely to fail. SQLite tests itself this way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from watcher.errors import StoreUnavailable, Unavailable

CALLS = {
    "store": (
        *("open", "claim", "release", "admit", "commit", "read_outbox", "settle", "count_backlog", "add_dead_letters", "requests"),
        *("load_state", "save_state", "prune", "task", "task_events", "purge"),
        *("task_tokens", "begin_answers", "drop_tokens", "late_tokens"),
    ),
    "queue": ("open", "receive", "ack", "extend"),
    "probe": ("open", "observe"),
    "sink": ("open", "send"),
}
"""The calls that are counted, by port."""


class Fuse:
    """Acts at call `nth` and the next `lasts` - 1 calls, `before` the call takes effect or after it.

    `act` is `kill` (the process ends there) or `fail` (the call raises an error that is worth a retry).
    """

    def __init__(self, nth: int, act: str, *, before: bool, lasts: int = 1) -> None:
        self.calls = 0
        self.blown = ""
        """Which call it was; empty if the run had fewer calls."""
        self.process: anyio.CancelScope | None = None
        """What a kill cancels: the watcher that makes the call."""
        self._nth = nth
        self._act = act
        self._before = before
        self._lasts = lasts

    def wire(self, port: str, adapter: Any) -> None:
        """Count the calls of this adapter."""
        for name in CALLS[port]:
            setattr(adapter, name, self._fused(port, name, getattr(adapter, name)))

    def _fused(self, port: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def fused(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            acts = self._nth <= self.calls < self._nth + self._lasts
            if acts:
                self.blown = self.blown or f"{port}.{name}"
            acts = acts and name != "open"  # a start that fails ends the process, with the reason
            if acts and self._before:
                await self._blow(port)
            result = await call(*args, **kwargs)
            if acts and not self._before:
                await self._blow(port)
            return result

        return fused

    async def _blow(self, port: str) -> None:
        if self._act == "fail":
            raise StoreUnavailable("fuse") if port == "store" else Unavailable("fuse")
        if self.process is not None:
            self.process.cancel()
            await anyio.sleep_forever()
