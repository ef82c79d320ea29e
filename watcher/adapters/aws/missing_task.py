"""Names a task that cannot exist: a call about it shows whether the watcher may make such calls."""

from __future__ import annotations

import re
import uuid

from watcher.kinds.kind import Kind, Param
from watcher.model import TaskRef

_LAST_PART = re.compile(r"[A-Za-z0-9]+$")


def needs_account(kind: Kind) -> bool:
    """Whether an id of this kind names an account."""
    return any(param.example.startswith("arn:") for param in kind.params)


def missing_task(kind: Kind, target: str, region: str | None, account: str | None) -> TaskRef:
    """Return a task with random ids, in the form that the kind declares. An ARN names this Region and account, if they are known."""
    return TaskRef(kind.name, tuple(_random(param, region, account) for param in kind.params), target)


def _random(param: Param, region: str | None, account: str | None) -> str:
    if param.example.startswith("arn:"):
        return _random_arn(param.example, region, account)
    name = uuid.uuid4()
    values = (str(name), name.hex, _with_random_end(param.example, name.hex), _with_random_end(param.example, str(name.int)))
    return next((value for value in values if param.pattern.fullmatch(value)), param.example or str(name))


def _random_arn(example: str, region: str | None, account: str | None) -> str:
    *start, of_region, of_account, resource = example.split(":", 5)
    if of_region:
        of_region = region or of_region
    return ":".join((*start, of_region, account or of_account, _with_random_end(resource, uuid.uuid4().hex)))


def _with_random_end(example: str, digits: str) -> str:
    """Replace the letters and digits at the end of an example, and keep its length."""
    return _LAST_PART.sub(lambda end: (digits * 8)[: len(end[0])], example)
