"""Reads the YAML files of kinds, and reports every mistake in them with file, line and key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from watcher.errors import ConfigMistakes
from watcher.kinds.form import KindForm, keys_at
from watcher.kinds.kind import Kind

KeyPath = tuple[str | int, ...]
Lines = Mapping[KeyPath, int]
"""The line, from 1, of each key and each list element."""


def read_kinds(texts: Mapping[str, str]) -> Sequence[Kind]:
    """Read YAML texts with one kind each, by the names of their files. Raises ConfigMistakes with every mistake in all of them."""
    kinds: list[Kind] = []
    mistakes: list[str] = []
    for file, text in texts.items():
        try:
            kinds.append(_read_kind(text, file))
        except ConfigMistakes as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigMistakes(mistakes)
    return kinds


def _read_kind(text: str, file: str) -> Kind:
    data, lines = _parse_yaml(text, file)
    try:
        return KindForm.model_validate_json(json.dumps(data, default=str), strict=True).kind()
    except ValidationError as error:
        raise ConfigMistakes([_mistake(found, lines, file) for found in error.errors(include_url=False)]) from None


def _parse_yaml(text: str, file: str) -> tuple[Any, Lines]:
    """Return the data of a YAML text and its lines. Raises ConfigMistakes."""
    try:
        data = YAML(typ="rt", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigMistakes([f"{file}:{mark.line + 1 if mark else 1}: not valid YAML: {problem.splitlines()[0]}"]) from None
    return data, dict(_lines(data, ()))


def _lines(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """Walk what ruamel.yaml's round-trip loader returns: its containers know the lines of their entries."""
    if isinstance(data, dict):
        entries = [(key, value, data.lc.key(key)) for key, value in data.items()]  # type: ignore[attr-defined]  # of ruamel.yaml's dict
    elif isinstance(data, list):
        entries = [(index, value, data.lc.item(index)) for index, value in enumerate(data)]  # type: ignore[attr-defined]  # its list
    else:
        return
    for key, value, (line, _) in entries:
        yield (*path, key), line + 1
        yield from _lines(value, (*path, key))


def _mistake(error: ErrorDetails, lines: Lines, file: str) -> str:
    """Return one line for one finding of pydantic: where it is, what is wrong there, and what to do."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    known = next(path[:size] for size in range(len(path), -1, -1) if path[:size] in lines or size == 0)
    return f"{file}:{lines.get(known, 1)}: {'.'.join(map(str, path)) or 'kind'}: {_what(error)}"


def _what(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "this key is required; add it"
        case "extra_forbidden":
            return f"unknown key; {_nearest(error['loc'][-1], keys_at(error['loc']))}"
        case "literal_error":
            words = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"unknown word; {_nearest(error['input'], words)}"
        case "value_error":
            return str(error["ctx"]["error"])
    return error["msg"][:1].lower() + error["msg"][1:]


def _nearest(word: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
