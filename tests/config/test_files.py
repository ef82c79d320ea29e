"""The configurations that ship with the watcher and its schema agree with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from watcher.config import Loaded, Settings, read, schema
from watcher.config.settings import section_in
from watcher.kinds.form import KindForm
from watcher.registry import SINKS, SOURCES, STORES, AdapterType
from watcher.section import Section

load_yaml = YAML(typ="safe", pure=True).load
CONFIG = Path(__file__).parent.parent.parent / "config"
FULL = CONFIG / "full.yaml"


@pytest.fixture(scope="module")
def full() -> Loaded:
    return read(FULL, {})


def keys(section: Section, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Return the path, the field and the value of each key."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        inside = [((*path, name), value)] if isinstance(value, Section) else []
        inside += [
            ((*path, name, i), entry) for i, entry in enumerate(value if isinstance(value, tuple) else ()) if isinstance(entry, Section)
        ]
        if not inside:
            yield (*path, name), field, value
        for at, entry in inside:
            yield from keys(entry, at)


@pytest.mark.parametrize("file", sorted(CONFIG.glob("*.yaml")), ids=lambda file: file.name)
def test_shipped_configurations_are_valid(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shipped configuration passes the check, paths included, in an empty environment."""
    monkeypatch.chdir(tmp_path)
    assert read(file, {}, paths=True).settings.sinks


def test_full_names_every_key(full: Loaded) -> None:
    """full.yaml has a line for every key of every section and adapter."""
    assert [path for path, _, _ in keys(full.settings) if full.origin(path) == "default"] == []


def test_full_has_the_defaults(full: Loaded) -> None:
    """Every optional key in full.yaml has its default."""
    optional = {path: value for path, field, value in keys(full.settings) if not field.is_required()}
    assert optional == {path: field.get_default(call_default_factory=True) for path, field, _ in keys(full.settings) if path in optional}
    assert len(optional) > 30


@pytest.mark.parametrize(("key", "table"), [("sources", SOURCES), ("sinks", SINKS)])
def test_full_has_an_entry_of_each_type(full: Loaded, key: str, table: Mapping[str, AdapterType]) -> None:
    """full.yaml has an entry for every type of source and sink, in the order of the registry."""
    assert [entry.type for entry in getattr(full.settings, key)] == list(table)


def test_full_shows_the_other_stores() -> None:
    """full.yaml shows the stores it does not use as comments, with every key at its default."""
    shown = re.findall(r"^# store: (\{.*?\})", FULL.read_text(encoding="utf-8"), re.MULTILINE)
    others = {store["type"]: store for store in map(load_yaml, shown)}
    assert set(others) == set(STORES) - {"sqlite"}
    for type_, store in others.items():
        fields = STORES[type_].settings.model_fields
        assert list(store) == list(fields)
        section = STORES[type_].settings.model_validate(store)
        optional = {name: field.get_default(call_default_factory=True) for name, field in fields.items() if not field.is_required()}
        assert {name: getattr(section, name) for name in optional} == optional


@pytest.mark.parametrize("key", ["params", "durations", "quota", "notifications", "start", "batch"])
def test_full_shows_the_parts_of_a_kind(key: str) -> None:
    """full.yaml shows each part of a kind in a comment, with every key, and with its default where it has one."""
    form = section_in(KindForm.model_fields[key].annotation)
    assert form is not None
    shown = [load_yaml(text) for text in re.findall(r"#.*?(\{\w+: .*\}+)", FULL.read_text(encoding="utf-8"))]
    shown += [inner for each in shown for inner in each.values() if isinstance(inner, dict)]
    (example,) = [each for each in shown if list(each) == list(form.model_fields)]
    optional = {name: field.get_default() for name, field in form.model_fields.items() if not field.is_required() and name != "at_least"}
    assert {name: getattr(form.model_validate(example), name) for name in optional} == optional


def test_full_gives_each_key_its_reason() -> None:
    """Every line of full.yaml has a comment."""
    lines = FULL.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.strip() and "#" not in line] == []


def test_the_schema_tells_adapters_apart_by_type() -> None:
    """The schema describes adapters as a union that `type` discriminates, with every type of the registry."""
    described = schema()
    for key, table in (("sources", SOURCES), ("sinks", SINKS)):
        items = described["properties"][key]["items"]
        assert set(items["discriminator"]["mapping"]) == set(table)
        assert items["discriminator"]["propertyName"] == "type"
    assert set(described["properties"]["store"]["discriminator"]["mapping"]) == set(STORES)
    assert described["required"] == ["sources", "sinks"]


def test_the_schema_is_closed_and_described() -> None:
    """The schema forbids unknown keys and describes known ones."""
    described = schema()
    for section in (described, *described["$defs"].values()):
        assert section["additionalProperties"] is False
    assert described["$defs"]["PaceSettings"]["properties"]["rate"]["description"]


def test_the_defaults_are_pinned() -> None:
    """The defaults that users rely on do not change."""
    found = Settings(sources=({"type": "lines"},), sinks=({"type": "jsonl"},))
    assert (found.pace.rate, found.pace.burst) == (None, 1)
    assert (found.watch.deadline, found.watch.partial_success, found.watch.retention) == (86_400, "settle", 604_800)
    assert (found.cadence.type, found.cadence.min_gap, found.cadence.max_gap) == ("accrual", 0.2, 60)
    assert (found.cadence.floor(granted=False), found.cadence.floor(granted=True)) == (0.1, 0.001)
    assert (found.events.results, found.api.listen, found.limits.stop_deadline) == ("full", None, 25)
