"""ARNs of tasks whose identifiers are the examples of their kinds."""

from __future__ import annotations

from watcher.kinds.kind import Kind

_PLACE = {1: "aws", 3: "us-east-1", 4: "111122223333"}
"""What stands for `*` in the first parts of an ARN: partition, Region, account."""


def example_ids(kind: Kind) -> tuple[str, ...]:
    """Return an identifier for each param."""
    return tuple(param.example for param in kind.params)


def example_arn(kind: Kind) -> str:
    """Return the ARN of such a task. Raises ValueError for a kind without ARNs."""
    if kind.arn is None:
        raise ValueError(f"{kind.name} has no ARNs")
    if kind.params[-1].name not in kind.arn.names:
        return kind.params[-1].example
    parts = kind.arn.text.split(":", 5)
    text = ":".join(_PLACE.get(number, part) if part == "*" else part for number, part in enumerate(parts))
    for param in kind.params:
        text = text.replace(f"{{{param.name}}}", param.example)
    return text.replace("*", "example")
