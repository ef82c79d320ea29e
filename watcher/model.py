"""The facts that travel through the watcher. Frozen: a stage makes a new fact, it never changes one.

Times are wall-clock seconds since the epoch (UTC) as floats; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

DEFAULT_TARGET = "default"

Result = Mapping[str, Any]
"""What a task found, as a JSON object whose shape its kind defines."""


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Names a remote task. `params` are the identifiers in the order of its kind."""

    kind: str
    params: tuple[str, ...]
    target: str = DEFAULT_TARGET
    _key: str | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, key: str, target: str) -> TaskRef:
        """The task of this key, which does not say by itself whether its first part is a target."""
        parts = key.split("/") if "%" not in key else [unquote(part) for part in key.split("/")]
        kind, *params = parts if target == DEFAULT_TARGET else parts[1:]
        ref = cls(kind, tuple(params), target)
        object.__setattr__(ref, "_key", key)
        return ref

    @property
    def key(self) -> str:
        """`kind/VoiceConnectorId/TaskId`, each part percent-encoded; `target/` in front when it is not the default."""
        if self._key is None:
            parts = (self.kind, *self.params) if self.target == DEFAULT_TARGET else (self.target, self.kind, *self.params)
            object.__setattr__(self, "_key", "/".join(quote(part, safe="") for part in parts))
        return self._key  # type: ignore[return-value]  # set above, once: it is asked for ten times in a poll


@dataclass(frozen=True, slots=True)
class Message:
    """One input as it came. `receipt` belongs to the source."""

    id: str
    """The same when the same message comes again."""
    body: bytes
    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What one input asks for: this task, this long, with this to be told back."""

    ref: TaskRef
    context: str | None = None
    """Canonical JSON, at most 4 KiB, returned untouched in each event."""
    deadline_s: float | None = None
    """Seconds from admission after which the watch ends."""
    hint: bool = False
    """AWS itself says something happened: ask now. A hint for a task nobody submitted is no submission."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one successful poll saw."""

    status: str
    observed_at: float
    result: Result | None = None
    created_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    message: str | None = None


class Watch(NamedTuple):
    """Our tracking of one task. What is above the line is in the store; what is below lives in memory only.

    A tuple, because there may be a million: it is made and copied (`_replace`) in a quarter of the time.
    """

    ref: TaskRef
    id: str
    """32 hex, made at admission: events of another watch of the same task have other ids."""
    admitted_at: float
    deadline_at: float
    context: str | None = None
    status: str | None = None
    """The last observed status, None before the first sight."""
    status_since: float | None = None
    """When the status began, by the service's timestamps where it has them."""
    changed_at: float | None = None
    """When we last saw anything new about it."""
    created_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    result_digest: str | None = None
    sequence: int = 0
    """Of the last event; the first event of a task is 1."""
    polls: int = 0
    """Calls spent, as of the last change."""
    ended_at: float | None = None
    end_reason: str | None = None
    """`terminal`, `settled`, or a reason of `watcher.watch.ended.v1`."""
    # ---------------------------------------------------------------------------------------------
    seen_at: float | None = None
    """The last successful poll."""
    failures: int = 0
    """Polls in a row that gave no observation, by the task's own fault."""
    failing_since: float | None = None
    """Monotonic seconds of this very process, unlike all other times here: how long it lasts is what counts."""

    @property
    def key(self) -> str:
        """The key of its task."""
        return self.ref.key

    @property
    def open(self) -> bool:
        """Whether it is still asked about."""
        return self.ended_at is None


class EventType(StrEnum):
    """What an event tells, in the words that consumers see."""

    TRANSITION = "watcher.task.transition.v1"
    UPDATED = "watcher.task.updated.v1"
    ENDED = "watcher.watch.ended.v1"


@dataclass(frozen=True, slots=True)
class Transition:
    """One thing to tell the world. `core.events` writes it as a CloudEvent."""

    type: EventType
    sequence: int
    before: str | None
    after: str | None
    observed_at: float
    terminal: bool = False
    """No further event of this task will come."""
    skipped: tuple[str, ...] = ()
    reason: str | None = None
    """Why the watch ended, for ENDED."""
    result: Result | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A decision about one watch: what it is from now on, what to tell, and why.

    `wait_s` is a range, in seconds, from which the time until the next call is drawn, where trouble asks for one;
    None leaves it to the cadence.
    """

    watch: Watch
    reason: str
    transitions: tuple[Transition, ...] = ()
    wait_s: tuple[float, float] | None = None

    @property
    def changed(self) -> bool:
        """Whether the store must know. An unchanged poll writes nothing."""
        return bool(self.transitions)


@dataclass(frozen=True, slots=True)
class Event:
    """A transition as it leaves the house: rendered once, committed, then sent byte for byte, however often."""

    id: str
    key: str
    kind: str
    type: str
    to: str | None
    terminal: bool
    at: float
    """When it was committed."""
    body: bytes
    """The CloudEvent, structured JSON, UTF-8."""
    position: int = 0
    """Given by the store, growing in the order of commits."""

    def placed(self, position: int) -> Event:
        """The same event, where the store put it."""
        return replace(self, position=position)


@dataclass(frozen=True, slots=True)
class Change:
    """What `Store.commit` makes durable in one piece: a watch as it is now, and the events that tell of it."""

    watch: Watch
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be taken in, or not be delivered, kept with its reason for somebody to look at.

    `id` is derived from where it came from and what it is, so the same poison twice is one letter.
    """

    id: str
    what: str
    """`input` or `event`."""
    origin: str
    """The name of the source, or of the sink."""
    reason: str
    detail: str
    body: bytes
    at: float
    key: str | None = None
    position: int = 0
    """Of the event, for `what == "event"`."""
    tries: int = 1
    retry: bool = False
    """An operator asked for another try; the running watcher takes it up."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a sink has still to take: how many events, and when the oldest was committed (None: nothing waits)."""

    events: int
    oldest_at: float | None
