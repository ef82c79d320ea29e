"""Reads the YAML files of kinds, and reports every mistake in them with file, line and key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watcher.errors import ConfigMistakes
from watcher.kinds.form import KindForm, keys_at
from watcher.kinds.kind import Kind
from watcher.yaml_text import KeyPath, dotted, parse_yaml_text


def read_kinds(texts: Mapping[str, str]) -> Sequence[Kind]:
    """Read YAML texts with one kind each, by the names of their files. Raises ConfigMistakes with every mistake in all of them."""
    return [form.kind() for form in read_forms(texts)]


def read_forms(texts: Mapping[str, str]) -> Sequence[KindForm]:
    """Read YAML texts as `read_kinds` does, into the forms of the kinds. Raises ConfigMistakes."""
    forms: list[KindForm] = []
    mistakes: list[str] = []
    for file, text in texts.items():
        try:
            forms.append(_read_form(text, file))
        except ConfigMistakes as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigMistakes(mistakes)
    return forms


def _read_form(text: str, file: str) -> KindForm:
    parsed = parse_yaml_text(text)
    if parsed.mistakes:
        raise ConfigMistakes([f"{file}:{line}: {dotted(path)}: {what}" for path, line, what in parsed.mistakes])
    try:
        return KindForm.model_validate_json(json.dumps(parsed.data), strict=True)
    except ValidationError as error:
        raise ConfigMistakes([_mistake(found, parsed.lines, file) for found in error.errors(include_url=False)]) from None


def _mistake(error: ErrorDetails, lines: Mapping[KeyPath, int], file: str) -> str:
    """Return one line for one finding of pydantic: where it is, what is wrong there, and what to do."""
    path: KeyPath = tuple(part for part in error["loc"] if part != "[key]")
    known = next(path[:size] for size in range(len(path), -1, -1) if path[:size] in lines or size == 0)
    return f"{file}:{lines.get(known, 1)}: {dotted(path)}: {_what(error)}"


def _what(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "this key is required; add it"
        case "extra_forbidden":
            return f"unknown key; {_nearest(error['loc'][-1], keys_at(error['loc']))}"
        case "literal_error":
            words = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"unknown value; {_nearest(error['input'], words)}"
        case "value_error":
            return str(error["ctx"]["error"])
    return error["msg"][:1].lower() + error["msg"][1:]


def _nearest(word: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
