"""A reply of the service, read strictly: an observation of the task that was asked about, or `Unreadable`. Pure.

The SDK lets nearly everything through: an empty or truncated 200 arrives as `{}`, a status may be a number, an id
another task's. What is not exactly a task is refused here, so that nothing odd ever reaches a watch or an event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from watcher.errors import Unreadable
from watcher.kinds import Kind
from watcher.model import Observation, Result, TaskRef

MAX_STATUS = 128
"""Characters of a status."""

MAX_MESSAGE = 1024
"""Characters of a status message; it is for people, so the rest is cut off."""

MAX_AHEAD = 86_400.0
"""Seconds by which a timestamp may lie ahead of our clock. Believed, a wild one would make all later replies look stale."""


def read_reply(kind: Kind, ref: TaskRef, reply: object, observed_at: float) -> Observation:
    """What the reply says about `ref`. Raises `Unreadable`, whose text names the member that is wrong, never its value.

    A status nobody has heard of, also one in another case, is kept as it is: the word is the service's.
    A reply without the task's id is refused as much as one with another's: nothing says which task it is about.
    """
    task = reply.get(kind.reply) if isinstance(reply, Mapping) else None
    if not isinstance(task, Mapping):
        raise Unreadable("no_task", f"{kind.reply} is no object")
    if task.get(kind.id_member) != ref.params[-1]:
        raise Unreadable("other_task", f"{kind.id_member} is not the one asked about")
    return Observation(
        status=_status(kind, task),
        observed_at=observed_at,
        result=_result(kind, task),
        created_at=_time(task, "CreatedTimestamp", observed_at),
        started_at=_time(task, "StartedTimestamp", observed_at),
        updated_at=_time(task, "UpdatedTimestamp", observed_at),
        message=_message(task),
    )


def _status(kind: Kind, task: Mapping[str, Any]) -> str:
    status = task.get(kind.status_member)
    if not isinstance(status, str) or not status.strip() or len(status) > MAX_STATUS or not status.isprintable():
        raise Unreadable("status", f"{kind.status_member} is no word")
    return status


def _result(kind: Kind, task: Mapping[str, Any]) -> Result | None:
    try:
        result = kind.result(task)
        # an event that cannot be written as UTF-8 JSON would be poison in the store
        json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Unreadable("result", type(error).__name__) from None
    return result


def _time(task: Mapping[str, Any], member: str, observed_at: float) -> float | None:
    """Seconds since the epoch, out of the `datetime` that the SDK makes of a timestamp."""
    at = task.get(member)
    if at is None:
        return None
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise Unreadable("timestamp", f"{member} is no point in time")
    try:
        seconds = at.astimezone(UTC).timestamp()  # in the first and the last hours there are, an offset leads out of the calendar
    except OverflowError:
        raise Unreadable("timestamp", f"{member} is out of range") from None
    if seconds > observed_at + MAX_AHEAD:
        raise Unreadable("timestamp", f"{member} lies in the future")
    return seconds


def _message(task: Mapping[str, Any]) -> str | None:
    """The message fit for any screen and encoding: what does not print becomes a space."""
    message = task.get("StatusMessage")
    if message is None:
        return None
    if not isinstance(message, str):
        raise Unreadable("message", "StatusMessage is no string")
    return "".join(c if c.isprintable() else " " for c in message[:MAX_MESSAGE])
