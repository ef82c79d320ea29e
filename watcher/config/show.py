"""Prints the effective settings as YAML, with the origin of each value and with secrets masked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from watcher.config.load import Loaded
from watcher.section import SecretPath, without_path
from watcher.yaml_text import KeyPath

MASK = "********"
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<==)[^&\s]+")
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@+-]*")
_QUOTED_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def show(loaded: Loaded) -> str:
    """Return the settings as a YAML file that gives the same settings again, except for masked values."""
    lines: list[str] = []
    for key in type(loaded.settings).model_fields:
        for text, origin in _rows(getattr(loaded.settings, key), (key,), loaded):
            lines.append(f"{text:<48}  # {origin}" if origin else text)
    return "\n".join(lines) + "\n"


def _rows(value: Any, path: KeyPath, loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Return lines and the origin of the value on each; a line that starts a mapping or a list has no origin."""
    key = path[-1]
    head = "  " * (len(path) - 1) + ("-" if isinstance(key, int) else f"{_scalar(key)}:")
    entries = _entries(value)
    if not entries:
        yield f"{head} {_scalar(value)}", loaded.origin(path)
        return
    yield head, ""
    for part, entry in entries:
        yield from _rows(entry, (*path, part), loaded)


def _entries(value: Any) -> list[tuple[str | int, Any]]:
    match value:
        case BaseModel():
            return [(name, _hidden(getattr(value, name), field.metadata)) for name, field in type(value).model_fields.items()]
        case dict():
            return [(str(name), entry) for name, entry in value.items()]
        case tuple() | list():
            return list(enumerate(value))
        case _:
            return []


def _hidden(value: Any, metadata: Sequence[Any]) -> Any:
    return without_path(value, MASK) if any(isinstance(each, SecretPath) for each in metadata) else value


def _scalar(value: Any) -> str:
    match value:
        case SecretStr():
            return json.dumps(MASK)
        case str() | Path():
            text = _masked(str(value))
            return text if _PLAIN.fullmatch(text) and text not in _QUOTED_WORDS else json.dumps(text, ensure_ascii=False)
        case float() if value.is_integer():
            return f"{value:.0f}"
        case None | bool() | int() | float():
            return json.dumps(value)
        case tuple() | list():
            return "[]"
        case dict():
            return "{}"
        case _:
            return json.dumps(_masked(str(value)), ensure_ascii=False)


def _masked(text: str) -> str:
    """Return a URL with its user and the values of its query masked; other text as it is."""
    if "://" not in text:
        return text
    base, mark, query = _USERINFO.sub(MASK, text).partition("?")
    return base + mark + _QUERY.sub(MASK, query)
