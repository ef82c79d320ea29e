"""What a kind says about results: how to read one from a reply, when it is complete, and how much of it an event may contain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from watcher.kinds.member_types import Types
from watcher.kinds.paths import Expression, Path, replaced, truthy
from watcher.model import Result

Mode = Literal["full", "hashed", "count", "none"]
"""How much of a result an event contains: the values of `events.results`."""


@dataclass(frozen=True, slots=True)
class ResultRules:
    """The rules for the results of one kind. Without `expression` its tasks have no results."""

    expression: Expression | None = None
    """Builds the result, a JSON object, from the task."""
    types: Types = field(default_factory=Types)
    """What the members of the task that it uses must be."""
    settled: Expression | None = None
    """Evaluated on the result: true when nothing more follows a provisional status."""
    count: Expression | None = None
    """Evaluated on the result: what an event contains under `count`."""
    private: tuple[Path, ...] | None = None
    """Where the result contains identifiers of people. None: not declared, so `hashed` and `count` show nothing at all."""

    def read(self, task: Mapping[str, Any]) -> Result | None:
        """Return the result of a task, None while there is none. Raises a ValueError without any value of the reply in it.

        An object in which each member is null counts as no result.
        """
        if self.expression is None:
            return None
        self.types.check(task)
        result = self.expression.find(task)
        if result is None:
            return None
        if not isinstance(result, dict):
            raise ValueError("the result is not an object")
        return None if all(value is None for value in result.values()) else result

    def is_settled(self, result: Result | None) -> bool:
        """Whether nothing more follows a provisional status with this result."""
        return result is not None and truthy(_found(self.settled, result))

    def redact(self, result: Result | None, mode: Mode, digest: Callable[[str], str]) -> Result | None:
        """Return what an event may contain of a result. `digest` replaces an identifier of a person."""
        if mode == "full" or result is None:
            return result
        if mode == "none" or self.private is None:
            return None
        if mode == "count" and self.count is not None:
            return _found(self.count, result)  # type: ignore[no-any-return]
        replace = _Digest(digest) if mode == "hashed" else _nothing
        for path in self.private:
            result = replaced(result, path, replace)
        return result


@dataclass(frozen=True, slots=True)
class _Digest:
    """Replaces a value by its digest; one that is not a string by that of its JSON. Null and an empty string stay."""

    digest: Callable[[str], str]

    def __call__(self, value: Any) -> Any:
        if value is None or value == "":
            return value
        return self.digest(value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":")))


def _nothing(value: Any) -> None:
    """Replace a value by null."""


def _found(expression: Expression | None, result: Result) -> Any:
    """What an expression finds in a result. None if it does not fit the result, so that no expression makes a poll fail."""
    try:
        return None if expression is None else expression.find(result)
    except ValueError:
        return None
