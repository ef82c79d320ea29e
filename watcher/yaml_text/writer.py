"""Writes plain data as YAML text that this package reads back as the same data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@+-]*")
_QUOTED_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def write_yaml(data: Mapping[str, Any]) -> str:
    """Return a mapping as YAML: strings, numbers, booleans, null, and lists and mappings of them."""
    return "".join(f"{line}\n" for line in _lines(data, ""))


def scalar(value: Any) -> str:
    """Return a value without parts as YAML on one line."""
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _QUOTED_WORDS else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return json.dumps(value)


def _lines(value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of a mapping or of a list that is not empty."""
    if isinstance(value, Mapping):
        entries = [(f"{scalar(key)}:", entry) for key, entry in value.items()]
    else:
        entries = [("-", entry) for entry in value]
    for head, entry in entries:
        if entry and isinstance(entry, Mapping | Sequence) and not isinstance(entry, str):
            yield f"{indent}{head}"
            yield from _lines(entry, indent + "  ")
        else:
            yield f"{indent}{head} {scalar(entry)}"
