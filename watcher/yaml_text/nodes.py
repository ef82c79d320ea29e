"""Composes YAML nodes with ruamel.yaml, within the limits of this package.

The words that are not strings are fewer than in YAML 1.2's core schema: `on`, `yes`, `True`, `0x1F`, `1_000`,
`2026-11-22` and `.nan` stay strings, because they are more often meant as strings or are a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import Node, ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from watcher.yaml_text import MAX_ALIASES, MAX_DEPTH, MAX_VALUES, Scalar

TAG = "tag:yaml.org,2002:"

_WORDS: tuple[tuple[str, str, str], ...] = (
    ("null", r"(?:~|null|Null|NULL)\Z", "~nN"),
    ("bool", r"(?:true|false)\Z", "tf"),
    ("int", r"[-+]?[0-9]{1,300}\Z", "-+0123456789"),
    ("float", r"(?=.{1,300}\Z)[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", "-+.0123456789"),
)
"""Each tag, the words it stands for, and the characters they can begin with."""

_VALUES: Mapping[str, Callable[[str], Scalar]] = {
    f"{TAG}null": lambda word: None,
    f"{TAG}bool": lambda word: word == "true",
    f"{TAG}int": int,
    f"{TAG}float": float,
}


class LimitExceededError(MarkedYAMLError):
    """Valid YAML beyond a limit of this package."""


class _Composer(Composer):
    """Counts nodes and aliases while it composes."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # YAML 1.2 lets a later anchor replace an earlier one
        self._nodes = 0
        self._aliases = 0

    def get_single_node(self) -> Any:
        """Compose the only document. Raises YAMLError, also where ruamel.yaml raises an error of another class."""
        try:
            return super().get_single_node()
        except AssertionError:
            problem = "unsupported version"  # such as %YAML 1.3
        except (OverflowError, ValueError):
            problem = "invalid escape"  # such as "\\UFFFFFFFF", which is beyond Unicode
        raise MarkedYAMLError(problem=problem, problem_mark=self.loader.reader.get_mark())

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose one node. Raises LimitExceededError."""
        event = self.parser.peek_event()
        self._nodes += 1
        self._aliases += isinstance(event, AliasEvent)
        if self._nodes > MAX_VALUES:
            raise LimitExceededError(problem=f"more than the limit of {MAX_VALUES} values; remove some", problem_mark=event.start_mark)
        if self._aliases > MAX_ALIASES:
            raise LimitExceededError(
                problem=f"more than the limit of {MAX_ALIASES} aliases; write the values out", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)


class _Resolver(VersionedResolver):
    """Knows the words above only, whatever version a `%YAML` directive names."""

    _table: Mapping[str, list[tuple[str, re.Pattern[str]]]] = {
        first: [(TAG + name, re.compile(pattern)) for name, pattern, starts in _WORDS if first in starts]
        for first in {character for _, _, starts in _WORDS for character in starts}
    } | {"": [(f"{TAG}null", re.compile(r"\Z"))]}

    @property
    def versioned_resolver(self) -> Any:
        """Return the tags and patterns to try, by first character."""
        return self._table


def compose(text: str) -> Node | None:
    """Return the root node, or None for an empty text. Raises YAMLError."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _Composer
    yaml.Resolver = _Resolver
    yaml.max_depth = MAX_DEPTH
    root: Node | None = yaml.compose(text)
    return root


def resolve(word: str) -> Scalar:
    """Return the value of a scalar without quotes."""
    return _VALUES.get(plain_tag(word), str)(word)


def plain_tag(word: str) -> str:
    """Return the tag of a scalar without quotes."""
    return str(_RESOLVER.resolve(ScalarNode, word, (True, False)))


_RESOLVER = _Resolver()
