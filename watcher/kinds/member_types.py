"""The types that members of a reply must have: checked before an expression builds a result from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.kinds.paths import EACH, parse_path


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no double can hold
        return False


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
}
"""The types that a member can be declared to have, and how to recognize them. A number is finite."""

_WORDS: Mapping[str, str] = {"object": "an object", "list": "a list", "string": "a string", "number": "a number"}


@dataclass(slots=True)
class Types:
    """The types of some members of a JSON value. A declared path implies that what it leads through are objects and lists.

    A member may be absent or null; an element of a list may not be null.
    """

    text: str = ""
    type: str = ""
    members: dict[str, Types] = field(default_factory=dict)
    each: Types | None = None

    @classmethod
    def of(cls, declared: Mapping[str, str]) -> Types:
        """Compile declarations such as `{"Details.Results[*].Id": "string"}`. Raises ValueError."""
        root = cls(type="object")
        for text, type_ in declared.items():
            node = root
            for part in parse_path(text):
                node = node._part(part)
            node._become(type_)
        return root

    def check(self, value: Any) -> None:
        """Raise a ValueError that names the first member of another type. `value` itself has the right one."""
        for name, inner in self.members.items():
            member = value.get(name)
            if member is not None:
                inner._require(member)
        if self.each is not None:
            for element in value:
                self.each._require(element)

    def _require(self, value: Any) -> None:
        if self.type and not TYPES[self.type](value):
            raise ValueError(f"{self.text} is not {_WORDS[self.type]}")
        if self.members or self.each is not None:
            self.check(value)

    def _part(self, part: str | None) -> Types:
        if part is EACH:
            self._become("list")
            self.each = self.each or Types(f"{self.text}[*]")
            return self.each
        self._become("object")
        return self.members.setdefault(part, Types(f"{self.text}.{part}".removeprefix(".")))

    def _become(self, type_: str) -> None:
        if self.type not in ("", type_):
            raise ValueError(f"{self.text or 'the task'} cannot be both {_WORDS[self.type]} and {_WORDS[type_]}")
        self.type = type_
