"""A sink inside the process: keeps what it is sent, and fails when it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from watcher.errors import RemoteError
from watcher.model import Event
from watcher.ports import Delivered, Outcome


class SimulatedInbox:
    """A `Sink`. `events` is everything it took, in order; `answer` may decide otherwise for an event."""

    def __init__(self, *, name: str = "inbox", max_batch: int = 10, concurrency: int = 4, latency_s: float = 0.0) -> None:
        self.name = name
        self.max_batch = max_batch
        self.concurrency = concurrency
        self.latency_s = latency_s
        self.failure: RemoteError | None = None
        """Raised by the next sends, for as long as it stands."""
        self.answer: Callable[[Event], Outcome] = lambda event: Delivered()
        self.events: list[Event] = []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The events as a consumer reads them."""
        return [json.loads(event.body) for event in self.events]

    def of(self, key: str) -> list[dict[str, Any]]:
        """The events of one task, in the order in which they came."""
        return [body for body in self.bodies if body["subject"] == key]

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """What was taken is kept."""

    async def check(self) -> str:
        """Says how many events it took."""
        if self.failure is not None:
            raise self.failure
        return f"simulated inbox, {len(self.events)} events"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Takes all, or does as it was told."""
        await anyio.sleep(self.latency_s)
        if self.failure is not None:
            raise self.failure
        outcomes = [self.answer(event) for event in events]
        self.events += [event for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Delivered)]
        return outcomes
