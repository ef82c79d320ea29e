"""The members of our own messages besides the identifiers and the scope: version, deadline, context, task token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watcher.core.intake.strict_json import canonical
from watcher.errors import InvalidInput

MAX_CONTEXT = 4096
"""Bytes of canonical JSON, because each event of the task carries them."""
MAX_DEADLINE_S = 30 * 86_400.0
"""Seconds. A longer deadline is reduced to this."""
VERSION = ("version", "schema_version")
"""The names of the member with the version of our own form."""
TASK_TOKEN = ("task_token", "taskToken", "TaskToken")
"""The names of the member with a task token of AWS Step Functions."""
MAX_TASK_TOKEN = 2048
"""Characters. Step Functions itself makes no longer ones."""

OUR_MEMBERS = frozenset(
    {"kind", "target", "region", "context", "deadline_s", "deadline_at", "traceparent", "tracestate", *TASK_TOKEN, *VERSION}
)
"""The members of a message besides the identifiers."""

_TASK_TOKEN = re.compile(rf"[ -~]{{1,{MAX_TASK_TOKEN}}}")


def check_version(message: Mapping[str, Any]) -> None:
    """Raises InvalidInput: version."""
    for name in VERSION:
        value = message.get(name)
        if value is not None and (isinstance(value, bool) or value not in (1, "1", "1.0")):
            raise InvalidInput("version", f"{name} must be 1")


def deadline_of(message: Mapping[str, Any], now: float) -> float | None:
    """Seconds from now, from `deadline_s` (the same) or `deadline_at` (seconds since the epoch). Raises InvalidInput: field.

    It may be longer than `MAX_DEADLINE_S`.
    """
    given = [(name, message[name]) for name in ("deadline_s", "deadline_at") if message.get(name) is not None]
    if not given:
        return None
    name, value = given[0]
    if len(given) > 1:
        raise InvalidInput("field", "deadline_s and deadline_at are both given; keep one")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput("field", f"{name} must be a number of seconds")
    left = float(value) - (now if name == "deadline_at" else 0.0)
    if left <= 0:
        raise InvalidInput("field", f"{name} has already passed")
    return left


def context_of(value: Any) -> str | None:
    """The context as canonical JSON. Raises InvalidInput: size."""
    if value is None:
        return None
    text = canonical(value)
    if len(text.encode()) > MAX_CONTEXT:
        raise InvalidInput("size", f"the context is larger than {MAX_CONTEXT} bytes of JSON; shorten it")
    return text


def task_token_of(message: Mapping[str, Any]) -> str | None:
    """The task token of a state of AWS Step Functions that waits for the task. Raises InvalidInput: field, without the token."""
    given = [message[name] for name in TASK_TOKEN if message.get(name) is not None]
    if not given:
        return None
    if any(value != given[0] for value in given):
        raise InvalidInput("field", "the task token is given more than once, with different values; keep one")
    if not isinstance(given[0], str) or not _TASK_TOKEN.fullmatch(given[0]):
        raise InvalidInput("field", f"{TASK_TOKEN[0]} must be a string of 1 to {MAX_TASK_TOKEN} printable ASCII characters")
    return given[0]
