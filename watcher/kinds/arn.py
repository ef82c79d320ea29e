"""Recognizes the ARN of a task by a template such as `arn:*:batch:*:*:job/{jobs}`, and takes the identifiers from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PARTS = re.compile(r"\{(?P<name>[A-Za-z][A-Za-z0-9_-]*)\}|\*|[^{}*]+")
_SECTION = r"[^:/]*"
"""What `*` stands for: the partition, the Region, the account, or a part of the resource."""
_VALUE = r"[^/]+"
"""What a name in braces stands for. It may contain a colon, as the id of a CodeBuild build does."""


@dataclass(frozen=True, slots=True)
class TaskArn:
    """The parts of the ARN of a task."""

    arn: str
    service: str
    region: str
    """Empty in the ARN of a resource without a Region."""
    account: str
    values: Mapping[str, str]
    """The params that the template names."""


class ArnTemplate:
    """A compiled template. `*` matches one part, `{name}` a param. Raises ValueError for a text that is not a template."""

    __slots__ = ("_pattern", "names", "text")

    def __init__(self, text: str) -> None:
        if not text.startswith("arn:") or text.count(":") < 5:
            raise ValueError("expected an ARN with * for what varies, such as arn:*:batch:*:*:job/{jobs}")
        parts = list(_PARTS.finditer(text))
        if "".join(part[0] for part in parts) != text:
            raise ValueError("expected the name of a param in each pair of braces, such as {jobs}")
        self.text = text
        self.names: tuple[str, ...] = tuple(part["name"] for part in parts if part["name"])
        """The params in the template, in order."""
        if len(set(self.names)) != len(self.names):
            raise ValueError("the template has a param more than once; name each param once")
        self._pattern = re.compile("".join(_regex(part) for part in parts))

    def match(self, text: str) -> TaskArn | None:
        """Return the parts of an ARN that has this form, None for any other text."""
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        _, _, service, region, account, _ = text.split(":", 5)
        return TaskArn(text, service, region, account, dict(zip(self.names, found.groups(), strict=True)))

    @property
    def pattern(self) -> str:
        """A regular expression that a whole ARN of this form matches."""
        return self._pattern.pattern

    def unbound(self, params: Sequence[str]) -> Sequence[str]:
        """Return the params, except for the last one, that the template does not contain. They cannot be read from an ARN."""
        return [name for name in params[:-1] if name not in self.names]

    def __repr__(self) -> str:
        return f"ArnTemplate({self.text!r})"


def _regex(part: re.Match[str]) -> str:
    if part["name"]:
        return f"({_VALUE})"
    return _SECTION if part[0] == "*" else re.escape(part[0])
