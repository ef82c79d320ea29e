"""The content of a store in portions, as they are copied into another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watcher.model.changes import Event
from watcher.model.task_tokens import TaskTokens
from watcher.model.undelivered import DeadLetter
from watcher.model.watches import Watch


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event, and the sinks that have not settled it."""

    event: Event
    unsettled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Portion:
    """Some of the content of a store. Each event comes after its watch, each dead letter after its event."""

    watches: Sequence[Watch] = ()
    """In order of admission."""
    task_tokens: TaskTokens = field(default_factory=dict, repr=False)
    """Those of these watches that are not answered."""
    events: Sequence[StoredEvent] = ()
    """In order of position within each shard."""
    dead_letters: Sequence[DeadLetter] = ()
    """In order of time. `position` and `shard` are those of the store that receives them; 0 if it does not have the event."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Texts by name."""
    cancelled: Sequence[str] = ()
    """Keys of cancelled watches that have not ended yet. They come after their watches."""
