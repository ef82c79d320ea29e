"""A strict reader for YAML that remembers where each value stands.

It takes mappings, lists and plain scalars, and makes nothing else: no tags, no second document, no key twice. Size,
depth, aliases and the values they multiply into are bounded, so that no file takes the process down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from watcher.config.raw_config import Path, RawConfig, SourceLine
from watcher.config.scalars import expand, resolve, unreadable

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_VALUES = 10_000

_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class _TooMuch(yaml.MarkedYAMLError):
    """Good YAML beyond one of the bounds above."""


class _Loader(yaml.SafeLoader):
    """Composes nodes only. Without resolvers every scalar stays a text; `scalars.resolve` says what it means."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute, never changed
    depth = 0
    aliases = 0
    nodes = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """One node, not too deep. Raises _TooMuch."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.aliases += self.check_event(yaml.AliasEvent)
        self.nodes += 1
        if self.nodes > MAX_VALUES:
            raise _TooMuch(problem=f"more than {MAX_VALUES} values; write fewer", problem_mark=mark)
        if self.aliases > MAX_ALIASES:
            raise _TooMuch(problem=f"more than {MAX_ALIASES} aliases; write values out", problem_mark=mark)
        if self.depth >= MAX_DEPTH:
            raise _TooMuch(problem=f"nested more than {MAX_DEPTH} deep; no key lies that deep", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_yaml(text: str, raw_config: RawConfig, environ: Mapping[str, str]) -> None:
    """Fill the raw_config from a YAML text. What keeps the text from being read at all is raised at once as ConfigMistakes."""
    raw_config.places[()] = SourceLine(raw_config.file, 1)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raw_config.wrong((), f"larger than {MAX_BYTES >> 20} MiB; a configuration is a few hundred lines")
        raw_config.refuse()
    try:
        root = _compose(text)
        if root is None or (isinstance(root, ScalarNode) and not root.value):
            raw_config.wrong((), "is empty; config/minimal.yaml is a configuration to begin with")
        elif not isinstance(root, MappingNode):
            raw_config.wrong((), "keys with values are needed (sources: ..., sinks: ...), this is " + _kind(root))
        else:
            raw_config.value = _Walk(raw_config, environ).value(root, ())
    except ReaderError as error:
        raw_config.wrong(
            (),
            "holds a control character; plain UTF-8 text is needed",
            SourceLine(raw_config.file, text.count("\n", 0, error.position) + 1),
        )
    except yaml.MarkedYAMLError as error:
        for line, what in _explain(error, text):
            raw_config.wrong((), what, SourceLine(raw_config.file, line))
    if not raw_config.value:
        raw_config.refuse()


def _compose(text: str) -> Node | None:
    loader = _Loader(text)
    try:
        node: Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


class _Walk:
    """Turns nodes into values and notes the place of each."""

    def __init__(self, raw_config: RawConfig, environ: Mapping[str, str]) -> None:
        self._draft = raw_config
        self._environ = environ
        self._values = 0

    def value(self, node: Node, path: Path) -> Any:
        self._draft.places.setdefault(path, SourceLine(self._draft.file, node.start_mark.line + 1))
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _TooMuch(problem=f"more than {MAX_VALUES} values, aliases unfolded; write fewer", problem_mark=node.start_mark)
        if node.tag not in _TAGS:
            self._draft.wrong(path, "has a YAML tag (!...); write the plain value")
            return None
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
            case _:
                raise AssertionError(f"YAML has no other nodes than these: {type(node)}")

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            place = SourceLine(self._draft.file, key.start_mark.line + 1)
            if not isinstance(key, ScalarNode) or unreadable(key.value):
                self._draft.wrong(path, "a key must be a word", place)
            elif key.value in found:
                first = self._draft.place((*path, key.value)).line
                self._draft.wrong((*path, key.value), f"is there twice, first on line {first}; keep one of them", place)
            else:
                self._draft.places[(*path, key.value)] = place
                found[key.value] = self.value(value, (*path, key.value))
        return found

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        text, wrong = expand(node.value, self._environ)
        wrong += filter(None, [unreadable(text)])
        for what in wrong:
            self._draft.wrong(path, what)
        if wrong:
            return None
        if node.style is not None:
            return text
        if text != node.value:
            self._draft.words[path] = text
        return resolve(text)


def _kind(node: Node) -> str:
    return "a list" if isinstance(node, SequenceNode) else "a single value"


def _explain(error: yaml.MarkedYAMLError, text: str) -> list[tuple[int, str]]:
    """Lines, counted from 1, and what is wrong on them."""
    problem, context = error.problem or "not readable", error.context or ""
    marks = (error.problem_mark or error.context_mark, error.context_mark or error.problem_mark)
    line, began = (mark.line + 1 if mark else 1 for mark in marks)
    if isinstance(error, _TooMuch):
        return [(line, problem)]
    if "'\\t'" in problem:
        lines = enumerate(text.splitlines(), 1)
        tabbed = [number for number, content in lines if "\t" in content[: len(content) - len(content.lstrip())]]
        return [(number, "a tab stands where YAML takes spaces only; indent with two spaces") for number in tabbed or [line]]
    if error.problem_mark and text[max(0, error.problem_mark.index - 1) : error.problem_mark.index + 1] == "${":
        return [(line, 'inside { } and [ ] a ${NAME} needs quotes: "${NAME}"')]
    if "single document" in context:
        return [(line, "a second document begins here (---); one file is one configuration")]
    if "quoted scalar" in context:
        return [(began, "a quote opens here and nothing closes it")]
    if "simple key" in context:
        return [(began, "a key needs a colon and a value behind it")]
    if "flow" in context:
        return [(began, "a { or [ opens here; a comma or the closing one is missing in it")]
    if "block" in context:
        return [(line, "this line is indented unlike those around it")]
    if "mapping values" in problem:
        return [(line, 'a colon stands where none can; a text with ": " in it needs quotes')]
    return [(line, f"this is not YAML: {context}{', ' if context else ''}{problem}")]
