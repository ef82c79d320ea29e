"""Identifiers and ARNs of tasks of any kind, by the examples in its declaration."""

from __future__ import annotations

from watcher.kinds.kind import Kind

HEAD = ("arn", "aws", None, "us-east-1", "111122223333")
"""The first parts of each ARN here. None: the service is in the template."""
REST = "0123456789abcdef0"
"""What stands for `*` in the resource, where the task's own id is not the whole ARN."""


def example_ids(kind: Kind) -> tuple[str, ...]:
    """Return an identifier for each param."""
    return tuple(param.example for param in kind.params)


def example_arn(kind: Kind) -> str:
    """Return the ARN of a task whose identifiers are those of `example_ids`."""
    assert kind.arn is not None
    ids = dict(zip((param.name for param in kind.params), example_ids(kind), strict=True))
    own = kind.params[-1]
    if own.name not in kind.arn.names:
        return own.example
    parts = kind.arn.text.split(":", 5)
    head = [known or part for known, part in zip(HEAD, parts[:-1], strict=True)]
    return ":".join([*head, parts[-1].format(**ids).replace("*", REST)])
