"""Identifiers that have the form of those of a kind, for the good message that an error shows, and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from watcher.kinds.kind import Kind, Param

_UUID = "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"
_HEX = "0123456789abcdef0"
_PLACE = {1: "aws", 3: "us-east-1", 4: "111122223333"}
"""What stands for `*` in the first parts of an ARN: partition, Region, account."""
_PARTS = ("example", _UUID, "0123456789ab", f"task-{_HEX}", f"exec-{_HEX}")
"""What stands for a `*` in the resource."""


def example_ids(kind: Kind) -> tuple[str, ...]:
    """Return an identifier for each param: the example that the kind declares, or its own name where that has the right form."""
    return tuple(_example(kind, param) for param in kind.params)


def example_arn(kind: Kind) -> str:
    """Return the ARN of a task whose identifiers are those of `example_ids`. Raises ValueError for a kind without ARNs."""
    if kind.arn is None:
        raise ValueError(f"{kind.name} has no ARNs")
    ids = example_ids(kind)
    if kind.params[-1].name not in kind.arn.names:
        return ids[-1]
    text = kind.arn.text
    for param, value in zip(kind.params, ids, strict=True):
        text = text.replace(f"{{{param.name}}}", value)
    return next(_arns(text))


def _example(kind: Kind, param: Param) -> str:
    return next((value for value in _candidates(kind, param) if param.pattern.fullmatch(value)), param.name)


def _candidates(kind: Kind, param: Param) -> Iterator[str]:
    yield from (
        param.example,
        param.name,
        param.name.lower(),
        _UUID,
        _HEX,
        f"ami-{_HEX}",
        "1234567890123-abcdef",
        f"example:{_UUID}",
        "example",
    )
    if kind.arn is not None and param is kind.params[-1]:
        text = kind.arn.text
        for outer in kind.params[:-1]:
            text = text.replace(f"{{{outer.name}}}", _example(kind, outer))
        yield from _arns(text)


def _arns(template: str) -> Iterator[str]:
    parts = template.split(":", 5)
    head = [_PLACE.get(number, part) if part == "*" else part for number, part in enumerate(parts[:-1])]
    pieces = parts[-1].split("*")
    for chosen in product(_PARTS, repeat=len(pieces) - 1):
        yield ":".join([*head, "".join(piece + part for piece, part in zip(pieces, (*chosen, ""), strict=True))])
