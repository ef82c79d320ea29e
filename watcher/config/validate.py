"""Makes `Settings` of raw values, section by section, so that a mistake in one section hides none in another."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from watcher.config.conflict import Sections
from watcher.config.cross_checks import find_conflicts
from watcher.config.messages import explain, suggest, type_name
from watcher.config.overrides import PREFIX
from watcher.config.raw_config import RawConfig
from watcher.config.settings import LISTS, TABLES, Settings, section_in, section_of
from watcher.kinds.form import KindForm, with_any_statuses
from watcher.section import Section
from watcher.yaml_text import KeyPath, dotted

DEFAULT_STORE = {"type": "sqlite"}


def validate_sections(raw_config: RawConfig) -> Sections:
    """Return the sections by where they are, and note each mistake. A section with a mistake is missing, or the invalid keys in it are."""
    raw_sections = list(_raw_sections(raw_config))
    checked = {path: _validate_section(raw_config, path, cls, value) for path, cls, value in raw_sections}
    sections = {path: section for path, section in checked.items() if section is not None}
    for conflict in find_conflicts(sections, raw_config.invalid_paths):
        raw_config.add_mistake(conflict.key, conflict.what)
    return sections


def settings_of(sections: Sections, raw_config: RawConfig) -> Settings:
    """Return the settings with these sections. Raises ConfigMistakes with every mistake that was noted."""
    raw_config.raise_mistakes()
    lists = {key: tuple(section for path, section in sections.items() if path[0] == key) for key in ("sources", "sinks", *LISTS)}
    values: dict[str, Any] = {**lists, **{str(path[0]): section for path, section in sections.items() if len(path) == 1}}
    # sources and sinks that are skipped are empty, which is not valid
    return Settings.model_construct(**values) if raw_config.skipped else Settings(**values)


def _raw_sections(raw_config: RawConfig) -> Iterator[tuple[KeyPath, type[Section], Any]]:
    """Return the path, the class and the raw value of each section. Notes a mistake where there is no class."""
    for key in raw_config.values:
        if key not in Settings.model_fields:
            _add_unknown_key(raw_config, (key,), Settings)
    for key in Settings.model_fields:
        value = raw_config.values.get(key)
        if key in raw_config.skipped:
            continue
        if key in ("sources", "sinks"):
            yield from _entries(raw_config, key, value)
        elif key in LISTS:
            yield from _listed(raw_config, key, value)
        elif key == "store":
            yield from _adapter(raw_config, (key,), DEFAULT_STORE if value is None else value)
        elif cls := section_of(key):
            yield (key,), cls, {} if value is None else value


def _entries(raw_config: RawConfig, key: str, value: Any) -> Iterator[tuple[KeyPath, type[Section], Any]]:
    """Return the entries of `sources` or `sinks`."""
    if value is None or value == []:
        if not _may_be_empty(raw_config, key):
            raw_config.add_mistake((key,), f"expected at least one entry; add one, such as {_example(key)}")
        return
    for path, entry in _numbered(raw_config, key, value):
        yield from _adapter(raw_config, path, entry)


def _listed(raw_config: RawConfig, key: str, value: Any) -> Iterator[tuple[KeyPath, type[Section], Any]]:
    """Return the entries of a list that may be empty, and whose entries have no `type`."""
    for path, entry in _numbered(raw_config, key, [] if value is None else value):
        yield path, LISTS[key], entry


def _numbered(raw_config: RawConfig, key: str, value: Any) -> Iterator[tuple[KeyPath, Any]]:
    """Return the entries of a list with their paths. Notes a mistake for any other value."""
    if not isinstance(value, list):
        raw_config.add_mistake((key,), f"expected a list, got {type_name(value)}; start each entry with a dash")
        return
    for index, entry in enumerate(value):
        yield (key, index), entry


def _may_be_empty(raw_config: RawConfig, key: str) -> bool:
    """With the HTTP API, tasks and events need no source and no sink. A store that is not durable acknowledges a message when a sink
    has its events, so there must be one."""
    api, store = (raw_config.values.get(name) for name in ("api", "store"))
    if not isinstance(api, dict) or not api.get("listen"):
        return False
    kept = not isinstance(store, dict) or (store.get("type") != "memory" and store.get("path") != ":memory:")
    return key == "sources" or kept


def _adapter(raw_config: RawConfig, path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, type[Section], Any]]:
    """Return the section of an adapter with the class that its `type` names."""
    table = TABLES[str(path[0])]
    if not isinstance(value, dict):
        raw_config.add_mistake(path, f"expected a mapping such as {_example(str(path[0]))}, got {type_name(value)}")
        return
    word = value.get("type", DEFAULT_STORE["type"] if path == ("store",) else None)
    if isinstance(word, str) and word in table:
        yield path, table[word].settings, {**value, "type": word}
    elif (*path, "type") not in raw_config.invalid_paths:
        what = "required key is missing" if word is None else f"expected a string, got {type_name(word)}"
        if isinstance(word, str):
            what = f'unknown type "{word[:40]}"'
        raw_config.add_mistake((*path, "type"), f"{what}; {suggest(word if isinstance(word, str) else '', table)}")


def _example(key: str) -> str:
    return f"{{type: {next(iter(TABLES[key]))}, ...}}"


def _validate_section(raw_config: RawConfig, path: KeyPath, cls: type[Section], value: Any) -> Section | None:
    """Return one section. Invalid keys are noted and keep their defaults, so that the others can be checked further."""
    if not isinstance(value, dict):
        raw_config.add_mistake(path, f"expected a mapping, got {type_name(value)}")
        return None
    if "<<" in value:
        raw_config.add_mistake((*path, "<<"), "merge keys are not supported; write all keys here")
        return None
    value = copy.deepcopy(value)
    for invalid in [known for known in raw_config.invalid_paths if len(known) == len(path) + 1 and known[: len(path)] == path]:
        value.pop(invalid[-1], None)
    section, errors = _try_validate(cls, value)
    if _use_environment_texts(raw_config, path, value, errors):
        section, errors = _try_validate(cls, value)
    for error in errors:
        at = _locate(value, error)
        if (*path, *at) not in raw_config.invalid_paths:
            _add_error(raw_config, path, at, cls, error)
    if section is None and _remove_invalid(cls, value, errors):
        section, _ = _try_validate(cls, value)
    return section


def _try_validate(cls: type[Section], value: dict[str, Any]) -> tuple[Section | None, list[ErrorDetails]]:
    """Validate as strictly as JSON: `"5"` is not a number and 1 is not true."""
    try:
        return cls.model_validate_json(json.dumps(value), strict=True), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _use_environment_texts(raw_config: RawConfig, path: KeyPath, value: dict[str, Any], errors: list[ErrorDetails]) -> bool:
    """Put the text of an environment variable where a string is expected and its text looks like a number. Returns whether it did."""
    changed = False
    for error in errors:
        at = _locate(value, error)
        text = raw_config.environment_texts.get((*path, *at))
        if error["type"] == "string_type" and text is not None:
            _parent(value, at)[at[-1]] = text
            changed = True
    return changed


def _locate(value: Any, error: ErrorDetails) -> KeyPath:
    """Return the path of the error inside the raw value, without the parts that pydantic adds for unions."""
    at: KeyPath = ()
    for part in error["loc"]:
        inside = (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value))
        if inside:
            value = value[part]
        if inside or (isinstance(value, dict) and error["type"] == "missing"):
            at = (*at, part)
    return at


def _parent(value: Any, at: KeyPath) -> Any:
    for part in at[:-1]:
        value = value[part]
    return value


def _remove_invalid(cls: type[Section], value: dict[str, Any], errors: list[ErrorDetails]) -> bool:
    """Remove the keys with errors. Returns False if that cannot help: a key is missing, or the error is not in one key.

    A kind can be compared with its API without its statuses, so others take their place.
    """
    paths = {_locate(value, error) for error in errors}
    without_statuses = cls is KindForm and any(at[:1] == ("statuses",) for at in paths)
    missing = {_locate(value, error) for error in errors if error["type"] == "missing"}
    if () in paths or missing - ({("statuses",)} if without_statuses else set()):
        return False
    for at in paths:
        value.pop(str(at[0]), None)
    if without_statuses:
        with_any_statuses(value)
    return True


def _add_error(raw_config: RawConfig, path: KeyPath, at: KeyPath, cls: type[Section], error: ErrorDetails) -> None:
    owner = _owner(cls, at)
    fields = (owner.model_fields[part] for part in reversed(at) if part in owner.model_fields)
    if error["type"] == "extra_forbidden":
        _add_unknown_key(raw_config, (*path, *at), owner)
    else:
        raw_config.add_mistake((*path, *at), explain(error, next(fields, None)))


def _owner(cls: type[Section], at: KeyPath) -> type[Section]:
    """Return the class of the section that holds the last key of this path."""
    for part in at[:-1]:
        field = cls.model_fields.get(str(part))
        cls = (section_in(field.annotation) if field else None) or cls
    return cls


def _add_unknown_key(raw_config: RawConfig, path: KeyPath, owner: type[Section]) -> None:
    """Note an unknown key and suggest a known one, as a variable if the key came from one."""
    hint = suggest(path[-1], owner.model_fields)
    variable = raw_config.origin(path).variable
    if variable is None:
        raw_config.add_mistake(path, f"unknown key; {hint}")
        return
    if hint.startswith("did you mean"):
        parts = variable.removeprefix(PREFIX).split("__")
        parts[len(path) - 1] = hint.removeprefix("did you mean ").rstrip("?").upper()
        hint = f"did you mean {PREFIX}{'__'.join(parts)}?"
    raw_config.add_mistake(path, f"unknown key {dotted(path)}; {hint}")
