"""What a single word means: numbers, true, false and null as YAML 1.2 has them, and `${NAME}` from the environment.

YAML 1.1's surprises stay out: `on`, `off`, `yes`, `no`, `1:30`, `1_000` and `2026-11-22` are texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "false": False}
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^{}]*))?\}|\$\{")

Scalar = str | int | float | bool | None


def resolve(word: str) -> Scalar:
    """The value of a word without quotes."""
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(word):
        return int(word)
    if len(word) <= 300 and _NUMBER.fullmatch(word):
        return float(word)
    return word


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with `${NAME}` and `${NAME:-default}` filled in (`$${` stands for `${`), and what went wrong with them."""
    wrong: list[str] = []

    def fill(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        if name is None:
            wrong.append("has a ${ that is no ${NAME} or ${NAME:-default}; write $${ for the two characters themselves")
        elif default is not None:
            return environ.get(name) or default
        elif name not in environ:
            wrong.append(f"the environment variable {name} is not set; set it, or write ${{{name}:-a default}}")
        else:
            return environ[name]
        return ""

    return _REFERENCE.sub(fill, text), wrong


def unreadable(text: str) -> str | None:
    """Why this text cannot be used as one: half a character, as bytes that are not UTF-8 leave it behind."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    return None
