"""Stands in for the sources of a configuration that has none: tasks are submitted over HTTP, so the watcher must not end."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from watcher.model import Message


class ApiSource:
    """A `Source` from which no message comes. What the API receives is admitted by its routes."""

    name = "api"
    plain = False
    watch_notified = False
    receivers = 1
    hold_s: float | None = None

    async def open(self) -> None:
        """Nothing to open: the server of the API opens the port."""

    async def close(self) -> None:
        """Nothing to close."""

    async def check(self) -> str:
        """What answers."""
        return "tasks are submitted over HTTP"

    async def receive(self) -> Sequence[Message] | None:
        """Wait until cancelled."""
        await anyio.sleep_forever()
        return None

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """There is nothing to acknowledge."""
        return ()

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """There is nothing to keep."""
        return ()
