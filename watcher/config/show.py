"""Effective settings as YAML, each value with where it came from, and no secret readable."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from pydantic import BaseModel, SecretStr

from watcher.config.load import Loaded
from watcher.config.raw_config import Path

MASK = "********"
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<==)[^&\s]+")
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@+-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def show(loaded: Loaded) -> str:
    """The configuration as the watcher understood it. A file that says the same, but for what is masked."""
    lines: list[str] = []
    for key in type(loaded.settings).model_fields:
        for text, origin in _rows(getattr(loaded.settings, key), (key,), loaded):
            lines.append(f"{text:<48}  # {origin}" if origin else text)
    return "\n".join(lines) + "\n"


def _rows(value: Any, path: Path, loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Lines, each with the origin of its value; lines that only open a group have none."""
    key = path[-1]
    head = "  " * (len(path) - 1) + ("-" if isinstance(key, int) else f"{key}:")
    inside = _inside(value, path)
    if not inside:
        yield f"{head} {_scalar(value)}", loaded.origin(path)
        return
    yield head, ""
    for part, entry in inside:
        yield from _rows(entry, (*path, part), loaded)


def _inside(value: Any, path: Path) -> list[tuple[str | int, Any]]:
    match value:
        case BaseModel():
            return [(name, getattr(value, name)) for name in type(value).model_fields]
        case dict():
            return [(str(name), MASK if entry is not None else None) for name, entry in value.items()]
        case tuple() | list():
            return list(enumerate(value))
        case _:
            return []


def _scalar(value: Any) -> str:
    match value:
        case SecretStr():
            return json.dumps(MASK)
        case str() | File():
            text = _masked(str(value))
            return text if _PLAIN.fullmatch(text) and text not in _WORDS else json.dumps(text, ensure_ascii=False)
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
    """A URL without its user and without the values of its query."""
    if "://" not in text:
        return text
    base, mark, query = _USERINFO.sub(MASK, text).partition("?")
    return base + mark + _QUERY.sub(MASK, query)
