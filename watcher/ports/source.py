"""Where task ids come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watcher.model import Message


class Source(Protocol):
    """Where task ids come from."""

    name: str
    plain: bool
    """Whether each body that is not JSON is read as a task name such as `VoiceConnectorId/TaskId`, whatever it looks like."""
    watch_notified: bool
    """Whether a notification of AWS about a task that was not submitted starts a watch."""
    receivers: int
    """How many `receive` calls may run at once."""
    hold_s: float | None
    """Seconds for which a received message stays reserved for this process without an acknowledgement. None: until the process ends."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def receive(self) -> Sequence[Message] | None:
        """Wait a while for messages. An empty sequence: none came, call again at once. None: the source is exhausted.

        A message that is not acknowledged comes again, in this process or the next one, if the source supports that.
        A body longer than intake accepts is cut just above that limit, never read into memory whole.
        """
        ...

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Remove these messages from the source. Returns those for which that failed: they come again."""
        ...

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Keep these messages for another `hold_s`. Returns those that this process no longer holds."""
        ...
