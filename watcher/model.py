"""The facts that pass through the watcher. Frozen: a stage creates a new fact and never changes an existing one.

Times are wall-clock seconds since the epoch (UTC) as floats; durations are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

DEFAULT_TARGET = "default"

Result = Mapping[str, Any]
"""What a task found: a JSON object whose shape its kind defines."""


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Names a remote task. `params` are the identifiers, in the order that its kind defines."""

    kind: str
    params: tuple[str, ...]
    target: str = DEFAULT_TARGET
    _key: str | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, key: str, target: str) -> TaskRef:
        """The task of this key. The target is an argument because a key alone does not say whether it starts with one."""
        parts = key.split("/") if "%" not in key else [unquote(part) for part in key.split("/")]
        kind, *params = parts if target == DEFAULT_TARGET else parts[1:]
        ref = cls(kind, tuple(params), target)
        object.__setattr__(ref, "_key", key)
        return ref

    @property
    def key(self) -> str:
        """The kind and the params, each percent-encoded, joined by `/`; preceded by `target/` for a target other than the default."""
        if self._key is None:
            parts = (self.kind, *self.params) if self.target == DEFAULT_TARGET else (self.target, self.kind, *self.params)
            object.__setattr__(self, "_key", "/".join(quote(part, safe="") for part in parts))
        return self._key  # type: ignore[return-value]  # set above; cached because a poll reads it ten times


def shard_of(key: str, shards: int) -> int:
    """The shard of a task: the first 8 bytes of BLAKE2b of its key, as a big-endian number, modulo the number of shards."""
    if shards == 1:
        return 0
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % shards


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to one shard. `epoch` is the fencing token: it grows with each change of owner."""

    shard: int
    epoch: int
    duration_s: float = math.inf
    """How long the lease is valid, in seconds, counted from before the `claim` that returned it was sent."""


@dataclass(frozen=True, slots=True)
class Message:
    """One input as it was received. `receipt` belongs to the source."""

    id: str
    """Stays the same when the same message is received again."""
    body: bytes
    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Submission:
    """What one input requests: watch this task, for this long, and repeat this context in each event."""

    ref: TaskRef
    context: str | None = None
    """Canonical JSON, at most 4 KiB, copied unchanged into each event."""
    deadline_s: float | None = None
    """Seconds from admission after which the watch ends."""
    poll_now: bool = False
    """AWS itself announced a change: poll the task now. For a task that nobody submitted, this starts a watch only if the source
    has `watch_notified`."""
    observation: Observation | None = None
    """What the message says about the state of the task. It is the first observation of a new watch, and never of another one."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is known by name and requires no action."""

    name: str
    """What it is, for the log: `SNS SubscriptionConfirmation`."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one successful poll saw, or what a message says that the service replied."""

    status: str
    observed_at: float
    result: Result | None = None
    created_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    message: str | None = None


class Watch(NamedTuple):
    """Our tracking of one task. The store keeps the fields above the line; the fields below it are in memory only.

    A tuple, because there may be a million of them: creating and copying one (`_replace`) takes a quarter of the time.
    """

    ref: TaskRef
    id: str
    """32 hex digits, created at admission. Events of another watch of the same task have other ids."""
    admitted_at: float
    deadline_at: float
    context: str | None = None
    status: str | None = None
    """The last observed status; None before the first observation."""
    status_since: float | None = None
    """When the status began, by the service's timestamps where it provides them."""
    changed_at: float | None = None
    """When we last saw a change."""
    created_at: float | None = None
    started_at: float | None = None
    updated_at: float | None = None
    result_digest: str | None = None
    sequence: int = 0
    """Of the last event; the first event of a task has 1."""
    polls: int = 0
    """Calls made, as of the last change."""
    ended_at: float | None = None
    end_reason: str | None = None
    """`terminal`, `settled`, or a reason of `watcher.watch.ended.v1`."""
    # ---------------------------------------------------------------------------------------------
    seen_at: float | None = None
    """The last successful poll."""
    failures: int = 0
    """Consecutive polls that gave no observation for a reason that concerns the task itself."""
    failing_since: float | None = None
    """Monotonic seconds of this process, unlike all other times here, because it measures a duration."""

    @property
    def key(self) -> str:
        """The key of its task."""
        return self.ref.key

    @property
    def open(self) -> bool:
        """Whether its task is still polled."""
        return self.ended_at is None


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

    def placed(self, position: int, shard: int = 0) -> Event:
        """The same event with the position that the store assigned."""
        return replace(self, position=position, shard=shard)


@dataclass(frozen=True, slots=True)
class Change:
    """What `Shards.commit` writes in one transaction: a watch in its new state, and the events that report the change."""

    watch: Watch
    events: tuple[Event, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much a `prune` has erased."""

    watches: int = 0
    inputs: int = 0
    """Dead letters of inputs."""
    events: int = 0
    """Dead letters of events."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a store holds for a sink: events that it has not settled, and events that it rejected."""

    undelivered: int = 0
    dead_letters: int = 0

    def __str__(self) -> str:
        return f"{self.undelivered} undelivered events and {self.dead_letters} dead letters"


RefusalCause = Literal["unknown", "event", "sink"]
"""What an adapter knows about a refusal. `event`: this event can never be accepted, such as one that is too large. `sink`:
such an answer is usually about the address, the credentials, or the account."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The events that a sink has not settled: how many, and when the oldest one was committed (None: there are none)."""

    events: int
    oldest_at: float | None
