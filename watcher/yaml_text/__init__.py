"""Reads YAML 1.2 text into plain data, with the line of every value and all mistakes at once.

The configuration and the catalog of kinds share this package; it knows the keys of neither. It accepts mappings,
lists and plain scalars: no tags, no second document, no duplicate key. Size, nesting depth, aliases and the number of
values after aliases are expanded are limited, so that no text exhausts memory or time.

ruamel.yaml takes longer to import than the rest of this package, so it is imported at the first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from watcher.errors import ConfigMistakes

KeyPath = tuple[str | int, ...]
"""Keys and indexes from the root to a value: `("sinks", 0, "path")`. The root is `()`."""

Scalar = str | int | float | bool | None

Substitute = Callable[[str], tuple[str, list[str]]]
"""Replaces references in a scalar. Returns the new text and what is wrong with it."""

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_VALUES = 10_000


class YamlMistake(NamedTuple):
    """One mistake: the key it belongs to, its line counted from 1, and what is wrong."""

    path: KeyPath
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class YamlText:
    """What a YAML text holds. `data` is partial or None if there are mistakes."""

    data: Any
    lines: Mapping[KeyPath, int]
    """The line of each value, counted from 1: that of its key inside a mapping, its own anywhere else."""
    substituted: Mapping[KeyPath, str]
    """The text of each scalar without quotes that `substitute` changed, before it became a number, a boolean or null."""
    mistakes: tuple[YamlMistake, ...]


def read_yaml_text(text: str, name: str) -> Any:
    """Return the data of a YAML text. Raises ConfigMistakes with `name:line: key: what is wrong` for each mistake."""
    parsed = parse_yaml_text(text)
    if parsed.mistakes:
        raise ConfigMistakes([f"{name}:{line}: {dotted(path)}: {what}" for path, line, what in parsed.mistakes])
    return parsed.data


def parse_yaml_text(text: str, substitute: Substitute | None = None) -> YamlText:
    """Return the data of a YAML text with its lines and mistakes. Never raises."""
    from watcher.yaml_text.reader import parse

    return parse(text, substitute)


def plain_value(word: str) -> Scalar:
    """Return the value of a scalar without quotes: null, a boolean, a number, or the string itself."""
    from watcher.yaml_text.nodes import resolve

    return resolve(word)


def encoding_mistake(text: str) -> str | None:
    """Return an error text for a string without a UTF-8 form, such as half of a surrogate pair; otherwise None."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "not valid UTF-8 text; replace the invalid characters"
    return None


def dotted(path: KeyPath) -> str:
    """Return `sinks[0].path`, or `file` for the root. Cut to 120 characters; those a terminal acts on become `?`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return "".join(c if c.isprintable() else "?" for c in text[:120]) or "file"
