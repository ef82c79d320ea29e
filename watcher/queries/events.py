"""The stored events of a task: the CloudEvents as they were committed, and what each one reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watcher.model import Event, EventType
from watcher.ports import Queries


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One event of a task's history. `body` is the CloudEvent."""

    body: dict[str, Any]
    type: EventType
    before: str | None
    after: str | None
    skipped: tuple[str, ...]
    """Statuses that the task had between the two, which no poll saw."""
    reason: str | None
    """Why the watch ended, for an event that reports an end."""
    observed_at: str
    observed_from: str
    """`poll`, or `submission` for the status that came with the message."""
    """In RFC 3339."""
    detection_lag_s: float | None
    """From the change at the service to its observation."""
    polls: int
    result: Any
    """As far as `events.results` allows."""
    message: str | None

    @property
    def change(self) -> str:
        """The change of status: `IN_QUEUE -> IN_PROGRESS`; the status alone for an event that reports no other one."""
        before = self.before or "new"
        return f"{before} -> {self.after}" if self.type is EventType.TRANSITION else before

    @property
    def note(self) -> str:
        """What else the event reports, in words; empty if there is nothing."""
        if self.type is EventType.ENDED:
            return f"the watch ended: {self.reason}"
        if self.type is EventType.UPDATED:
            return "the result changed"
        skipped = [f"skipped {', '.join(self.skipped)}"] if self.skipped else []
        return "; ".join([*skipped, *(["from the message, without a call"] if self.observed_from == "submission" else [])])


def parse_event(event: Event) -> TaskEvent:
    """Return what a stored event reports."""
    return parse_body(json.loads(event.body))


def parse_body(body: dict[str, Any]) -> TaskEvent:
    """Return what a CloudEvent reports."""
    data = body["data"]
    return TaskEvent(
        body=body,
        type=EventType(body["type"]),
        before=data["from"],
        after=data["to"],
        skipped=tuple(data["skipped"]),
        reason=data.get("reason"),
        observed_at=data["observed_at"],
        observed_from=data.get("observed_from", "poll"),  # an event of an earlier version has none
        detection_lag_s=data["detection_lag_s"],
        polls=data["polls"],
        result=data["result"],
        message=data["message"],
    )


async def task_history(store: Queries, key: str) -> Sequence[TaskEvent]:
    """Return the stored events of a task, in order."""
    return [parse_event(event) for event in await store.task_events(key)]
