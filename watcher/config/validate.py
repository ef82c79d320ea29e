"""From raw values to `Settings`, section by section, so that one bad section hides nothing in another."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from watcher.config.cross_checks import cross_checks
from watcher.config.messages import about, choose, explain, kind
from watcher.config.overrides import PREFIX
from watcher.config.raw_config import Path, RawConfig, dotted
from watcher.config.settings import TABLES, Settings, section_of
from watcher.section import Section

DEFAULT_STORE = {"type": "sqlite"}


def validate(raw_config: RawConfig) -> Settings:
    """Settings, or ConfigMistakes with everything that is wrong."""
    sections = {path: _section(raw_config, path, cls, value) for path, cls, value in list(_sections(raw_config))}
    valid = {path: section for path, section in sections.items() if section is not None}
    for path, what in cross_checks(valid, raw_config.broken):
        raw_config.wrong(path, what)
    raw_config.refuse()
    chosen: dict[str, Any] = {key: [section for path, section in valid.items() if path[0] == key] for key in ("sources", "sinks")}
    return Settings(**chosen, **{str(path[0]): section for path, section in valid.items() if len(path) == 1})


def _sections(raw_config: RawConfig) -> Iterator[tuple[Path, type[Section], Any]]:
    """What there is to validate: the path, its class, the raw value. Notes what has no class."""
    for key in raw_config.value:
        if key not in Settings.model_fields:
            _unknown(raw_config, (key,), Settings)
    for key, field in Settings.model_fields.items():
        value = raw_config.value.get(key)
        if key in ("sources", "sinks"):
            yield from _entries(raw_config, key, field, value)
        elif key == "store":
            yield from _adapter(raw_config, (key,), DEFAULT_STORE if value is None else value)
        elif cls := section_of(key):
            yield (key,), cls, {} if value is None else value


def _entries(raw_config: RawConfig, key: str, field: FieldInfo, value: Any) -> Iterator[tuple[Path, type[Section], Any]]:
    if value is None or value == []:
        raw_config.wrong((key,), f"at least one is needed: {about(field)}")
    elif not isinstance(value, list):
        raw_config.wrong((key,), f"a list is needed, not {kind(value)}; begin each entry with a dash")
    else:
        for index, entry in enumerate(value):
            yield from _adapter(raw_config, (key, index), entry)


def _adapter(raw_config: RawConfig, path: Path, value: Any) -> Iterator[tuple[Path, type[Section], Any]]:
    """The class its `type` names."""
    table = TABLES[str(path[0])]
    if not isinstance(value, dict):
        raw_config.wrong(path, f"a group of keys is needed, not {kind(value)}, such as {{type: {next(iter(table))}, ...}}")
        return
    word = value.get("type", DEFAULT_STORE["type"] if path == ("store",) else None)
    if isinstance(word, str) and word in table:
        yield path, table[word].settings, {**value, "type": word}
    elif (*path, "type") not in raw_config.broken:
        what = "is missing" if word is None else f"a word is needed, not {kind(word)}"
        if isinstance(word, str):
            what = f"{word[:40]!r} is unknown"
        raw_config.wrong((*path, "type"), f"{what}; {choose(word if isinstance(word, str) else '', table)}")


def _section(raw_config: RawConfig, path: Path, cls: type[Section], value: Any) -> Section | None:
    """One section, validated. What is broken in it is noted and left at its default, so that the rest can be looked at."""
    if not isinstance(value, dict):
        raw_config.wrong(path, f"a group of keys is needed, not {kind(value)}")
        return None
    value = copy.deepcopy(value)
    for broken in [part for part in raw_config.broken if len(part) == len(path) + 1 and part[: len(path)] == path]:
        value.pop(broken[-1], None)
    section, errors = _attempt(cls, value)
    if _take_words(raw_config, path, value, errors):
        section, errors = _attempt(cls, value)
    for error in errors:
        at = _locate(value, error)
        if (*path, *at) not in raw_config.broken:
            _note(raw_config, path, at, cls, error)
    if section is None and _prune(value, errors):
        section, _ = _attempt(cls, value)
    return section


def _attempt(cls: type[Section], value: dict[str, Any]) -> tuple[Section | None, list[ErrorDetails]]:
    """Strictly, as JSON: `"5"` is no number and 1 is not true."""
    try:
        return cls.model_validate_json(json.dumps(value), strict=True), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _take_words(raw_config: RawConfig, path: Path, value: dict[str, Any], errors: list[ErrorDetails]) -> bool:
    """Where a text is needed and the environment gave what looks like a number, the number was meant as a text."""
    taken = False
    for error in errors:
        at = _locate(value, error)
        word = raw_config.words.get((*path, *at))
        if error["type"] == "string_type" and word is not None:
            _parent(value, at)[at[-1]] = word
            taken = True
    return taken


def _locate(value: Any, error: ErrorDetails) -> Path:
    """The path of the error within the raw value, without what pydantic adds for its unions."""
    at: Path = ()
    for part in error["loc"]:
        inside = (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:
            value = value[part]
        if inside or (isinstance(value, dict) and error["type"] == "missing"):
            at = (*at, part)
    return at


def _parent(value: Any, at: Path) -> Any:
    for part in at[:-1]:
        value = value[part]
    return value


def _prune(value: dict[str, Any], errors: list[ErrorDetails]) -> bool:
    """Take out what is wrong. False where that mends nothing: a missing key, or keys that do not go together."""
    paths = {_locate(value, error) for error in errors}
    if () in paths or any(error["type"] == "missing" for error in errors):
        return False
    for at in paths:
        value.pop(str(at[0]), None)
    return True


def _note(raw_config: RawConfig, path: Path, at: Path, cls: type[Section], error: ErrorDetails) -> None:
    owner = _owner(cls, at)
    fields = (owner.model_fields[part] for part in reversed(at) if part in owner.model_fields)
    if error["type"] == "extra_forbidden":
        _unknown(raw_config, (*path, *at), owner)
    else:
        raw_config.wrong((*path, *at), explain(error, next(fields, None)))


def _owner(cls: type[Section], at: Path) -> type[Section]:
    """The section that holds the last key of this path."""
    for part in at[:-1]:
        field = cls.model_fields.get(str(part))
        if field and isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            cls = field.annotation
    return cls


def _unknown(raw_config: RawConfig, path: Path, owner: type[Section]) -> None:
    """`did you mean` in the spelling of where it was written."""
    hint = choose(path[-1], owner.model_fields)
    variable = raw_config.place(path).variable
    if variable is None:
        raw_config.wrong(path, f"unknown key; {hint}")
    elif hint.startswith("did you mean"):
        parts = variable.removeprefix(PREFIX).split("__")
        parts[len(path) - 1] = hint.removeprefix("did you mean ").rstrip("?").upper()
        raw_config.wrong(path, f"there is no key {dotted(path)}; did you mean {PREFIX}{'__'.join(parts)}?")
    else:
        raw_config.wrong(path, f"there is no key {dotted(path)}; {hint}")
