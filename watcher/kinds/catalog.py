"""The kinds that this process can watch. Built from YAML, and passed to what needs it: no module reads a global table."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from watcher.errors import ConfigMistakes
from watcher.kinds.kind import Kind, Quota
from watcher.yaml_text import dotted, parse_yaml_text

DEFAULT_KIND = "speaker-search"
"""The kind of a message that names none and has the identifiers of no other."""


class Catalog:
    """Kinds by name, in a fixed order. Raises ConfigMistakes for kinds that contradict each other.

    `default` names the kind of a message that says none; without it, that is the first one.
    """

    kinds: Mapping[str, Kind]
    quotas: Mapping[str, Quota]
    """By name. Each belongs to one or more kinds."""
    default: Kind
    services: frozenset[str]
    """The AWS services that are polled, as botocore names them."""

    def __init__(self, kinds: Iterable[Kind], default: str | None = None) -> None:
        kinds = list(kinds)
        if mistakes := list(_contradictions(kinds, default)):
            raise ConfigMistakes(mistakes)
        self.kinds = {kind.name: kind for kind in kinds}
        self.quotas = {kind.quota.name: kind.quota for kind in kinds}
        self.default = kinds[0] if default is None else self.kinds[default]
        self.services = frozenset(kind.service for kind in kinds)

    def get(self, name: str) -> Kind | None:
        """The kind of this name, None where there is none."""
        return self.kinds.get(name)

    def __getitem__(self, name: str) -> Kind:
        return self.kinds[name]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.kinds.values())

    def __len__(self) -> int:
        return len(self.kinds)

    def __contains__(self, name: object) -> bool:
        return name in self.kinds


@functools.cache
def builtin_catalog() -> Catalog:
    """The kinds that are shipped with the package. They are read at the first call."""
    from importlib.resources import files

    texts = sorted((file.name, file.read_text("utf-8")) for file in (files("watcher.kinds") / "builtin").iterdir())
    return Catalog(read_kinds({name: text for name, text in texts if name.endswith(".yaml")}), DEFAULT_KIND)


def read_kinds(texts: Mapping[str, str]) -> Sequence[Kind]:
    """Read YAML texts, each with one kind, by the names of their files. Raises ConfigMistakes with every mistake in all of them."""
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
    from pydantic import ValidationError

    from watcher.kinds.form import KindForm

    parsed = parse_yaml_text(text)
    if parsed.mistakes:
        raise ConfigMistakes([f"{file}:{line}: {dotted(path)}: {what}" for path, line, what in parsed.mistakes])
    try:
        return KindForm.model_validate_json(json.dumps(parsed.data), strict=True).kind()
    except ValidationError as error:
        raise ConfigMistakes([_explain(found, parsed.lines, file) for found in error.errors(include_url=False)]) from None


def _explain(error: Any, lines: Mapping[tuple[Any, ...], int], file: str) -> str:
    """One line for one finding of pydantic: where it is, and what is wrong there."""
    path: tuple[Any, ...] = tuple(part for part in error["loc"] if part != "[key]")
    known = next(path[:size] for size in range(len(path), -1, -1) if path[:size] in lines or size == 0)
    return f"{file}:{lines.get(known, 1)}: {'.'.join(map(str, path)) or 'kind'}: {_what(error)}"


def _what(error: Any) -> str:
    match error["type"]:
        case "missing":
            return "missing"
        case "extra_forbidden":
            return "unknown key"
        case "value_error":
            return str(error["ctx"]["error"])
        case "literal_error" | "enum":
            expected = error["ctx"]["expected"].replace("'", "")
            near = difflib.get_close_matches(str(error["input"]), expected.replace(" or ", ", ").split(", "), n=1)
            return f"expected {expected}" + (f"; did you mean {near[0]}?" if near else "")
    return str(error["msg"][:1].lower() + error["msg"][1:])


def _contradictions(kinds: Sequence[Kind], default: str | None) -> Iterator[str]:
    names: set[str] = set()
    quotas: dict[str, Kind] = {}
    for kind in kinds:
        if kind.name in names:
            yield f"two kinds are named {kind.name}; rename one"
        names.add(kind.name)
        first = quotas.setdefault(kind.quota.name, kind)
        if first.quota != kind.quota:
            yield f"the kinds {first.name} and {kind.name} give the quota {kind.quota.name} two titles; use the same one"
    if not kinds:
        yield "there are no kinds; declare at least one"
    elif default is not None and default not in names:
        yield f"there is no kind {default}, which is to be the default; declare it"
