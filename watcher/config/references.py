"""Replaces `${NAME}` and `${NAME:-default}` in a string with environment variables; `$${` stands for `${`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^{}]*))?\}|\$\{")


def named(text: str) -> list[str]:
    """Return the names of the environment variables that the references in the text name."""
    return [match["name"] for match in _REFERENCE.finditer(text) if match["name"] is not None]


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with its references replaced, and what is wrong with them. A replacement is not expanded again."""
    mistakes: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match[0] == "$${":
            return "${"
        if name is None:
            mistakes.append("invalid reference after ${; write ${NAME} or ${NAME:-default}, or $${ for a literal ${")
        elif default is not None:
            return environ.get(name) or default
        elif name not in environ:
            mistakes.append(f"environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        else:
            return environ[name]
        return ""

    return _REFERENCE.sub(replacement, text), mistakes
