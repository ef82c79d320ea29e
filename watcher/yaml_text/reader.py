"""Turns YAML nodes into plain data, and notes the line of each value and every mistake."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from watcher.yaml_text import MAX_BYTES, MAX_DEPTH, MAX_VALUES, KeyPath, Substitute, YamlMistake, YamlText, encoding_mistake
from watcher.yaml_text.nodes import TAG, LimitExceededError, compose, plain_tag, resolve
from watcher.yaml_text.syntax_errors import explain_syntax_error


def parse(text: str, substitute: Substitute | None) -> YamlText:
    """Return the data, lines and mistakes of a YAML text."""
    reader = _Reader(substitute)
    data = None
    if len(text.encode(errors="replace")) > MAX_BYTES:
        reader.mistakes.append(YamlMistake((), 1, f"larger than the limit of {MAX_BYTES >> 20} MiB; shorten it"))
    else:
        try:
            root = compose(text)
            data = None if root is None else reader.value(root, ())
        except YAMLError as error:
            reader.mistakes += [YamlMistake((), line, what) for line, what in explain_syntax_error(error, text)]
    return YamlText(data, reader.lines, reader.substituted, tuple(reader.mistakes))


class _Reader:
    """Collects what one text holds."""

    def __init__(self, substitute: Substitute | None) -> None:
        self.lines: dict[KeyPath, int] = {(): 1}
        self.substituted: dict[KeyPath, str] = {}
        self.mistakes: list[YamlMistake] = []
        self._substitute = substitute
        self._values = 0

    def value(self, node: Node, path: KeyPath) -> Any:
        """Return the data of one node. Raises LimitExceededError where aliases expand into too much."""
        line = self.lines.setdefault(path, _line(node))
        self._values += 1
        if self._values > MAX_VALUES or len(path) > MAX_DEPTH:
            what = f"aliases expand to more than the limit of {MAX_VALUES} values; use fewer aliases"
            raise LimitExceededError(problem=what, problem_mark=node.start_mark)
        if not _is_plain(node):
            self.mistakes.append(YamlMistake(path, line, "YAML tags (!...) are not supported; write the plain value"))
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if what := _key_mistake(key):
                self.mistakes.append(YamlMistake(path, _line(key), what))
                continue
            at = (*path, key.value)
            if key.value in found:
                what = f'duplicate key "{key.value[:40]}", first defined on line {self.lines[at]}; remove one'
                self.mistakes.append(YamlMistake(at, _line(key), what))
            else:
                self.lines[at] = _line(key)
                found[key.value] = self.value(value, at)
        return found

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        text, wrong = self._substitute(node.value) if self._substitute else (node.value, [])
        wrong += filter(None, [encoding_mistake(text)])
        self.mistakes += [YamlMistake(path, self.lines[path], what) for what in wrong]
        if wrong:
            return None
        if _is_string(node):
            return text
        if text != node.value:
            self.substituted[path] = text
        return resolve(text)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _is_plain(node: Node) -> bool:
    """Whether the node has no tag but the one it would have anyway; `!!str` makes a string of any scalar."""
    if isinstance(node, ScalarNode):
        return node.tag == f"{TAG}str" or (node.style is None and node.tag == plain_tag(node.value))
    return node.tag == (f"{TAG}map" if isinstance(node, MappingNode) else f"{TAG}seq")


def _is_string(node: ScalarNode) -> bool:
    """Whether the scalar is quoted, or `!!str` says that a number or another word is meant as a string."""
    return node.style is not None or (node.tag == f"{TAG}str" and plain_tag(node.value) != node.tag)


def _key_mistake(key: Node) -> str | None:
    if not isinstance(key, ScalarNode):
        return f"expected a string as a key, got {'a mapping' if isinstance(key, MappingNode) else 'a list'}"
    return encoding_mistake(key.value)
