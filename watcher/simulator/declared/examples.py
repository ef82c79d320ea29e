"""Values for members of a reply that a kind reads but does not define, such as those of a result: valid for their shapes, and constant."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

DEPTH = 4
"""How deep a value is filled. Some shapes contain themselves."""


def example(shape: Any, name: str, at: float, mark: str = "", depth: int = DEPTH) -> Any:
    """Return a value for a shape of botocore. `at` is the time of timestamps, in wall seconds; `mark` is a prefix of texts."""
    kind = shape.type_name
    if kind == "structure":
        return {} if depth == 0 else completed(shape, _members(shape, at, mark, depth), at, mark, depth)
    if kind == "list":
        return [] if depth == 0 else [example(shape.member, name, at, mark, depth - 1)]
    if kind == "map":
        return {} if depth == 0 else {"key": example(shape.value, name, at, mark, depth - 1)}
    if kind in ("integer", "long", "float", "double"):
        if name.lower().endswith("exitcode"):
            return 0  # of a program that succeeded
        return 1 if kind in ("integer", "long") else 1.0
    if kind == "timestamp":
        return datetime.fromtimestamp(at, UTC)
    if kind in ("boolean", "blob"):
        return True if kind == "boolean" else b"simulated"
    return shape.enum[0] if getattr(shape, "enum", None) else _text(name, mark)


def completed(shape: Any, value: Mapping[str, Any], at: float, mark: str = "", depth: int = DEPTH) -> dict[str, Any]:
    """Return a structure with all members that its shape requires, also inside the members that it has."""
    whole = dict(value)
    for name in shape.required_members:
        whole.setdefault(name, example(shape.members[name], name, at, mark, max(0, depth - 1)))
    return {
        name: _completed(shape.members[name], item, at, mark, depth - 1) if name in shape.members else item for name, item in whole.items()
    }


def _completed(shape: Any, value: Any, at: float, mark: str, depth: int) -> Any:
    if depth > 0 and shape.type_name == "structure" and isinstance(value, dict):
        return completed(shape, value, at, mark, depth)
    if depth > 0 and shape.type_name == "list" and isinstance(value, list):
        return [_completed(shape.member, item, at, mark, depth - 1) for item in value]
    return value


def _members(shape: Any, at: float, mark: str, depth: int) -> dict[str, Any]:
    """All members of a structure that are no structures themselves; one of them in a union."""
    plain = {
        name: example(member, name, at, mark, depth - 1)
        for name, member in shape.members.items()
        if member.type_name not in ("structure", "list", "map")
    }
    if not shape.is_tagged_union:
        return plain
    name, member = next(iter(shape.members.items()))
    return {name: example(member, name, at, mark, depth - 1)}


def _text(name: str, mark: str) -> str:
    lower = name.lower()
    if lower.endswith("arn"):
        return f"arn:aws:simulator:us-east-1:123456789012:{mark}{name}"
    if lower.endswith(("uri", "url")):
        return f"s3://{mark}simulator/{name}"
    return f"{mark}simulated {name}"
