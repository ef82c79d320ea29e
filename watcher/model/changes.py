"""What changes, and how it is reported: a decision about a watch, its transitions, and their events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from watcher.model.watches import Result, Watch


class EventType(StrEnum):
    """The type of an event, as consumers see it."""

    TRANSITION = "watcher.task.transition.v1"
    UPDATED = "watcher.task.updated.v1"
    ENDED = "watcher.watch.ended.v1"


@dataclass(frozen=True, slots=True)
class Transition:
    """One change to emit. `core.delivery.events` renders it as a CloudEvent."""

    type: EventType
    sequence: int
    before: str | None
    after: str | None
    observed_at: float
    terminal: bool = False
    """This is the last event of the task."""
    skipped: tuple[str, ...] = ()
    reason: str | None = None
    """Why the watch ended, for ENDED."""
    result: Result | None = None
    message: str | None = None
    observed_from: Literal["poll", "submission"] = "poll"
    """Where the status comes from: a call of the watcher, or the message that submitted the task."""


@dataclass(frozen=True, slots=True)
class Step:
    """A decision about one watch: its new state, the transitions to emit, and the reason.

    `wait_s` is a range in seconds from which the time to the next call is drawn, where an error sets one; None leaves
    the time to the cadence.
    """

    watch: Watch
    reason: str
    transitions: tuple[Transition, ...] = ()
    wait_s: tuple[float, float] | None = None

    @property
    def changed(self) -> bool:
        """Whether the step must be stored. A poll without a change writes nothing."""
        return bool(self.transitions)


@dataclass(frozen=True, slots=True)
class Event:
    """A rendered transition. It is committed, and each time it is sent it has the same bytes."""

    id: str
    key: str
    kind: str
    type: str
    to: str | None
    terminal: bool
    at: float
    """When it was committed."""
    body: bytes
    """The CloudEvent as structured JSON in UTF-8."""
    position: int = 0
    """Assigned by the store. Positions grow in commit order within a shard, and start at 1."""
    shard: int = 0
    task_tokens: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Task tokens of AWS Step Functions that wait for the end of the task. Only a sink that answers them gets them, and they are not stored
    with the event."""

    def placed(self, position: int, shard: int = 0) -> Event:
        """The same event with the position that the store assigned."""
        return replace(self, position=position, shard=shard)


@dataclass(frozen=True, slots=True)
class Change:
    """What `Shards.commit` writes in one transaction: a watch in its new state, and the events that report the change."""

    watch: Watch
    events: tuple[Event, ...] = ()
