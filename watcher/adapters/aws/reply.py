"""Reads a reply strictly: an observation of the polled task, or `Unreadable`. Pure.

The SDK accepts nearly everything: an empty or truncated 200 becomes `{}`, a status may be a number, an id may be that of
another task. A reply that does not describe exactly the polled task is rejected here, before it can reach a watch or an
event. The kind defines where each fact is in a reply.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from watcher.errors import NotFound, Unreadable
from watcher.kinds.kind import Kind
from watcher.kinds.paths import Expression
from watcher.model import Observation, Result, TaskRef

MAX_STATUS = 128
"""Characters of a status."""

MAX_MESSAGE = 1024
"""Characters of a status message. It is for people, so the rest is cut off."""

MAX_RESULT = 128 * 1024
"""Bytes of a result as an event carries it, in compact ASCII JSON: half of what a queue message holds."""

TIMES_MS = range(100_000_000_000, 253_402_300_800_000)
"""The numbers that are a time in milliseconds since the epoch: from 1973 to 9999. A smaller one is in seconds, or no time."""

MAX_AHEAD = 86_400.0
"""Seconds by which a timestamp may be ahead of our clock. A later time is ignored, so that it does not hide the status beside it."""


def read_reply(kind: Kind, ref: TaskRef, reply: object, observed_at: float) -> Observation:
    """Return what the reply says about `ref`. Raises `Unreadable`, whose text names the member that is wrong, never its value.

    A status that the kind does not declare, also in another case, is kept as it is. A reply without the task's id is
    rejected like one with the id of another task: it does not show which task it is about. The id is not compared if the kind says that its
    replies have none. Raises `NotFound` for an empty list where the first element is the task.
    """
    paths = kind.reply
    task = find(paths.task, reply, "no_task")
    if task is None and _is_first_of_none(paths.task, reply):
        raise NotFound("no_task", "the list of tasks in the reply is empty")
    if not isinstance(task, dict):
        raise Unreadable("no_task", f"{paths.task.text} is not an object")
    if paths.id is not None and find(paths.id, task, "other_task") != ref.params[-1]:
        raise Unreadable("other_task", f"{paths.id.text} is not the id of the polled task")
    return read_task(kind, task, observed_at)


def read_task(kind: Kind, task: dict[str, Any], observed_at: float) -> Observation:
    """Return what the description of a task says. The caller has checked which task it is. Raises `Unreadable` like `read_reply`."""
    paths = kind.reply
    return Observation(
        status=_status(paths.status, task),
        observed_at=observed_at,
        result=_result(kind, task),
        created_at=_time(paths.created, task, observed_at),
        started_at=_time(paths.started, task, observed_at),
        updated_at=_time(paths.updated, task, observed_at),
        message=_message(paths.message, task),
    )


def _is_first_of_none(path: Expression, reply: object) -> bool:
    """Whether the path is `tasks[0]`, and the reply has the list, and nothing in it."""
    if not path.text.endswith("[0]"):
        return False
    try:
        return bool(Expression(path.text.removesuffix("[0]")).find(reply) == [])
    except ValueError:
        return False


def find(path: Expression, value: object, code: str) -> Any:
    """Return what a path finds in a reply. Raises `Unreadable` with this code where it does not fit the reply."""
    try:
        return path.find(value)
    except ValueError as error:
        raise Unreadable(code, str(error)) from None


def _status(path: Expression, task: dict[str, Any]) -> str:
    status = find(path, task, "status")
    if not isinstance(status, str) or not status.strip() or len(status) > MAX_STATUS or not status.isprintable():
        raise Unreadable("status", f"{path.text} is not a printable string of 1 to {MAX_STATUS} characters")
    return status


def _result(kind: Kind, task: dict[str, Any]) -> Result | None:
    try:
        result = kind.results.read(task)
    except ValueError as error:
        raise Unreadable("result", str(error)) from None
    if result is None:
        return None
    try:
        # half of a surrogate pair, or NaN, would make an event that no consumer can read
        json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
        size = len(json.dumps(result, separators=(",", ":")))
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Unreadable("result", "the result cannot be written as JSON") from None
    if size > MAX_RESULT:
        raise Unreadable("result", f"the result has more than {MAX_RESULT} bytes")
    return result


def _time(path: Expression | None, task: dict[str, Any], observed_at: float) -> float | None:
    """Seconds since the epoch, from the `datetime` that the SDK makes of a timestamp. None for an impossible time.

    Where the model of an API has a number instead, as that of AWS Batch does, it is milliseconds since the epoch. 0 is how such an
    API may write that there is no time yet.
    """
    at = None if path is None else find(path, task, "timestamp")
    if at is None or path is None:
        return None
    if at == 0 and not isinstance(at, bool):
        return None
    if isinstance(at, int) and at in TIMES_MS:
        at = datetime.fromtimestamp(at / 1000, UTC)
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise Unreadable("timestamp", f"{path.text} is not a point in time")
    try:
        seconds = at.astimezone(UTC).timestamp()  # near year 1 and year 9999 an offset can lead out of the calendar
    except OverflowError:
        return None
    return seconds if seconds <= observed_at + MAX_AHEAD else None


def _message(path: Expression | None, task: dict[str, Any]) -> str | None:
    """The message for any screen and encoding: characters that do not print become spaces."""
    message = None if path is None else find(path, task, "message")
    if message is None or path is None:
        return None
    if not isinstance(message, str):
        raise Unreadable("message", f"{path.text} is not a string")
    return "".join(c if c.isprintable() else " " for c in message[:MAX_MESSAGE])
