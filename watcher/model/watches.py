"""What is known about one task: what a poll saw of it, and our tracking of it since its admission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from watcher.model.tasks import TaskRef

Result = Mapping[str, Any]
"""What a task found: a JSON object whose shape its kind defines."""


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
    trace: str | None = None
    """The W3C trace context of the message that submitted the task: its `traceparent`, then a space and its `tracestate`, if any."""
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

    @property
    def stored(self) -> Watch:
        """As a store keeps it: without the fields below the line."""
        return self._replace(seen_at=None, failures=0, failing_since=None)


STATE_FIELDS = Watch._fields[Watch._fields.index("admitted_at") : Watch._fields.index("seen_at")]
"""The fields that a store keeps besides the names of the task and of the watch."""
