"""What comes in: a message as it was received, and what it requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from watcher.model.tasks import TaskRef
from watcher.model.watches import Observation


@dataclass(frozen=True, slots=True)
class Message:
    """One input as it was received. `receipt` belongs to the source."""

    id: str
    """Stays the same when the same message is received again."""
    body: bytes
    receipt: Any = None
    trace: str | None = None
    """The W3C trace context beside the body, as in `Watch`. It is used for each task for which the body has none."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What one input requests: watch this task, for this long, and repeat this context in each event."""

    ref: TaskRef
    context: str | None = None
    """Canonical JSON, at most 4 KiB, copied unchanged into each event."""
    deadline_s: float | None = None
    """Seconds from admission after which the watch ends."""
    poll_now: bool = False
    """AWS itself announced a change: poll the task now. For a task that was not submitted, this starts a watch only if the source
    has `watch_notified`."""
    observation: Observation | None = None
    """What the message says about the state of the task. It is the first observation of a new watch, and never of another one."""
    look_now: bool = False
    """The message has a status that is no observation, such as that of an ended task. A new watch is then polled at once."""
    trace: str | None = None
    """The W3C trace context of the message, as in `Watch`."""
    task_token: str | None = field(default=None, repr=False)
    """The task token of a state of AWS Step Functions that waits for the end of the task. A secret: only a sink that answers it gets it."""
    deadline_reduced: bool = False
    """The input requested more than the longest deadline, which `deadline_s` is instead."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is known by name and requires no action."""

    name: str
    """What it is, for the log: `SNS SubscriptionConfirmation`."""
