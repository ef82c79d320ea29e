"""What waits in the store for a sink or for an operator: dead letters, and how many events are not settled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that names no task, or an event that a sink rejected, kept with the reason until an operator decides.

    `id` is derived from the origin and the content, so the same input twice is one dead letter.
    """

    id: str
    what: str
    """`input` or `event`."""
    origin: str
    """The name of the source or of the sink."""
    reason: str
    detail: str
    body: bytes
    at: float
    key: str | None = None
    position: int = 0
    """Of the event, for `what == "event"`."""
    shard: int = 0
    """Of the event, for `what == "event"`."""
    tries: int = 1
    retry: bool = False
    """An operator requested a retry; the running watcher makes it."""
    size: int | None = None
    """The size of the whole body in bytes, where `body` was left out; None: `body` is whole."""


RefusalCause = Literal["unknown", "event", "sink"]
"""What an adapter knows about a refusal. `event`: this event can never be accepted, such as one that is too large. `sink`:
such an answer is usually about the address, the credentials, or the account."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The events that a sink has not settled: how many, and when the oldest one was committed (None: there are none)."""

    events: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a store holds for a sink: events that it has not settled, and events that it rejected."""

    undelivered: int = 0
    dead_letters: int = 0

    def __str__(self) -> str:
        return f"{self.undelivered} undelivered events and {self.dead_letters} dead letters"


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much a `prune` has erased."""

    watches: int = 0
    inputs: int = 0
    """Dead letters of inputs."""
    events: int = 0
    """Dead letters of events."""
