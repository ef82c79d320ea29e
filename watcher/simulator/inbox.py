"""A sink in memory: keeps the events that it accepts, and fails on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from watcher.errors import RemoteError
from watcher.model import Event
from watcher.ports import Delivered, Outcome


class SimulatedInbox:
    """Implements `ports.Sink`. `events` holds all accepted events in order; `answer` decides the outcome of each event."""

    def __init__(self, *, name: str = "inbox", max_batch: int = 10, concurrency: int = 4, latency_s: float = 0.0) -> None:
        self.name = name
        self.max_batch = max_batch
        self.concurrency = concurrency
        self.latency_s = latency_s
        self.failure: RemoteError | None = None
        """The error that `send` and `check` raise; None: they work."""
        self.answer: Callable[[Event], Outcome] = lambda event: Delivered()
        self.events: list[Event] = []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The accepted events as decoded JSON."""
        return [json.loads(event.body) for event in self.events]

    def of(self, key: str) -> list[dict[str, Any]]:
        """Return the events of one task, in the order of their arrival."""
        return [body for body in self.bodies if body["subject"] == key]

    async def open(self) -> None:
        """Do nothing: there is no connection."""

    async def close(self) -> None:
        """Do nothing: accepted events are kept."""

    async def check(self) -> str:
        """Return how many events it holds. Raises `failure`."""
        if self.failure is not None:
            raise self.failure
        return f"simulated inbox, {len(self.events)} events"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Wait `latency_s`, then accept the events for which `answer` says so. Raises `failure`."""
        await anyio.sleep(self.latency_s)
        if self.failure is not None:
            raise self.failure
        outcomes = [self.answer(event) for event in events]
        self.events += [event for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Delivered)]
        return outcomes
