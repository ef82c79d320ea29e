"""A strict reader for YAML that remembers where each value stands.

It takes mappings, lists and plain scalars, and makes nothing else: no tags, no second document, no key twice. Size,
depth, aliases and the values they multiply into are bounded, so that no file takes the process down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from watcher.config.draft import Draft, Path, Place
from watcher.config.scalars import expand, resolve, unreadable

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_VALUES = 10_000

_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


class _Loader(yaml.SafeLoader):
    """Composes nodes only. Without resolvers every scalar stays a text; `scalars.resolve` says what it means."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute, never changed
    depth = 0
    aliases = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """One node, not too deep. Raises ComposerError."""
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self.aliases += self.check_event(yaml.AliasEvent)
        if self.aliases > MAX_ALIASES:
            raise ComposerError(None, None, f"more than {MAX_ALIASES} aliases", mark)
        if self.depth >= MAX_DEPTH:
            raise ComposerError(None, None, f"nested more than {MAX_DEPTH} deep", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_document(text: str, draft: Draft, environ: Mapping[str, str]) -> None:
    """Fill the draft from a YAML text. What keeps the text from being read at all is raised at once as ConfigMistakes."""
    draft.places[()] = Place(draft.file, 1)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        draft.wrong((), f"larger than {MAX_BYTES >> 20} MiB; a configuration is a few hundred lines")
        draft.refuse()
    try:
        root = _compose(text)
        if root is None or (isinstance(root, ScalarNode) and not root.value):
            draft.wrong((), "is empty; config/minimal.yaml is a configuration to begin with")
        elif not isinstance(root, MappingNode):
            draft.wrong((), "keys with values are needed (sources: ..., sinks: ...), this is " + _kind(root))
        else:
            draft.value = _Walk(draft, environ).value(root, ())
    except ReaderError as error:
        draft.wrong((), "holds a control character; plain UTF-8 text is needed", Place(draft.file, text.count("\n", 0, error.position) + 1))
    except yaml.MarkedYAMLError as error:
        for line, what in _explain(error, text):
            draft.wrong((), what, Place(draft.file, line))
    if not draft.value:
        draft.refuse()


def _compose(text: str) -> Node | None:
    loader = _Loader(text)
    try:
        node: Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


class _Walk:
    """Turns nodes into values and notes the place of each."""

    def __init__(self, draft: Draft, environ: Mapping[str, str]) -> None:
        self._draft = draft
        self._environ = environ
        self._values = 0

    def value(self, node: Node, path: Path) -> Any:
        self._draft.places.setdefault(path, Place(self._draft.file, node.start_mark.line + 1))
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            raise ComposerError(None, None, f"aliases that unfold into more than {MAX_VALUES} values", node.start_mark)
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
            place = Place(self._draft.file, key.start_mark.line + 1)
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
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or error.context or "not readable"
    lines = text.splitlines()
    if "'\\t'" in problem:
        tabbed = [n for n, content in enumerate(lines, 1) if "\t" in content[: len(content) - len(content.lstrip())]]
        return [(n, "a tab stands where YAML takes spaces only; indent with two spaces") for n in tabbed or [line]]
    if mark and text[max(0, mark.index - 1) : mark.index + 1] == "${":
        return [(line, 'inside { } and [ ] a ${NAME} needs quotes: "${NAME}"')]
    if "single document" in (error.context or ""):
        return [(line, "a second document begins here (---); one file is one configuration")]
    context = f" {error.context}" if error.context else ""
    return [(line, f"this is not YAML:{context}, {problem}" if context else f"this is not YAML: {problem}")]
