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

    def mistake(self, params: Sequence[str], *, own_is_default: bool, own_example: str | None) -> str | None:
        """Return why no ARN gives the params of a task, the own one last; None if one does.

        `own_is_default`: the last param has the default pattern. `own_example` is the example that its declaration has.
        """
        *outer, own = params
        for name in self.names:
            if name not in params:
                return f"{{{name}}} is not a param; use {' or '.join(f'{{{each}}}' for each in params)}, or * for a part that varies"
        for name in outer:
            if name not in self.names:
                return f"does not contain {{{name}}}; all params but the last one must be in it"
        if own in self.names:
            return None
        advice = f"write {{{own}}} in its place, or declare a pattern of {own} that accepts ARNs"
        if own_example is not None and self.match(own_example) is None:
            return f"does not contain {{{own}}}, so the identifier is the whole ARN, and the example of {own} is no such ARN; {advice}"
        if own_example is None and own_is_default and "/" in self.text:
            return f"does not contain {{{own}}}, so the identifier is the whole ARN, which the default pattern does not accept; {advice}"
        return None

    def __repr__(self) -> str:
        return f"ArnTemplate({self.text!r})"


def _regex(part: re.Match[str]) -> str:
    if part["name"]:
        return f"({_VALUE})"
    return _SECTION if part[0] == "*" else re.escape(part[0])
