"""Tasks of each kind, by the examples of its identifiers."""

from __future__ import annotations

from watcher.kinds.kind import Kind
from watcher.model import TaskRef


def task_of(kind: Kind, n: int = 0) -> TaskRef:
    """A task of this kind, with another id for each digit `n`."""
    *common, own = (param.example or "group-1" for param in kind.params)
    return valid(kind, TaskRef(kind.name, (*common, f"{own[:-1]}{n}")))


def named(kind: Kind, name: str) -> TaskRef | None:
    """The task with this name after the last `:` or `/` of its id; None where the kind has no such ids."""
    ref = task_of(kind)
    own = ref.params[-1]
    at = max(own.rfind(":"), own.rfind("/")) + 1
    found = TaskRef(kind.name, (*ref.params[:-1], own[:at] + name))
    return found if is_valid(kind, found) else None


def is_valid(kind: Kind, ref: TaskRef) -> bool:
    """Whether the patterns of the kind accept these ids."""
    return all(param.pattern.fullmatch(value) for param, value in zip(kind.params, ref.params, strict=True))


def valid(kind: Kind, ref: TaskRef) -> TaskRef:
    """The task, whose ids the patterns of the kind accept."""
    assert is_valid(kind, ref), f"the example of {kind.name} with another last character is not valid"
    return ref
