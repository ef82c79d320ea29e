"""The configurations that ship with the watcher, and its schema: held equal to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from watcher.config import Loaded, Settings, read, schema
from watcher.registry import SINKS, SOURCES, STORES, AdapterType
from watcher.section import Section

CONFIG = Path(__file__).parent.parent.parent / "config"
FULL = CONFIG / "full.yaml"


@pytest.fixture(scope="module")
def full() -> Loaded:
    return read(FULL, {})


def keys(section: Section, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """Each key of the settings: its path, its field and its value."""
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
def test_what_ships_is_good(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each configuration passes the check as it is, files and all, in an empty environment."""
    monkeypatch.chdir(tmp_path)
    assert read(file, {}, paths=True).settings.sinks


def test_full_names_every_key(full: Loaded) -> None:
    """A new key of a section or an adapter is not done before full.yaml has a line for it."""
    assert [path for path, _, _ in keys(full.settings) if full.origin(path) == "default"] == []


def test_full_says_the_defaults(full: Loaded) -> None:
    """Whoever copies full.yaml changes nothing."""
    told = {path: value for path, field, value in keys(full.settings) if not field.is_required()}
    assert told == {path: field.get_default(call_default_factory=True) for path, field, _ in keys(full.settings) if path in told}
    assert len(told) > 30


@pytest.mark.parametrize(("key", "table"), [("sources", SOURCES), ("sinks", SINKS)])
def test_full_has_an_entry_of_each_type(full: Loaded, key: str, table: Mapping[str, AdapterType]) -> None:
    """Every source and every sink can be looked up there."""
    assert [entry.type for entry in getattr(full.settings, key)] == list(table)


def test_full_shows_the_other_stores() -> None:
    """There is one store at a time; the others stand beside it as comments, with all their keys at their defaults."""
    shown = re.findall(r"^# store: (\{.*?\})", FULL.read_text(encoding="utf-8"), re.MULTILINE)
    others = {store["type"]: store for store in map(yaml.safe_load, shown)}
    assert set(others) == set(STORES) - {"sqlite"}
    for type_, store in others.items():
        assert store == STORES[type_].settings().model_dump()


def test_full_gives_each_key_its_reason() -> None:
    """No key without a comment on its line."""
    lines = FULL.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.strip() and "#" not in line] == []


def test_the_schema_tells_adapters_apart_by_type() -> None:
    """An editor completes the keys of the adapter that was named."""
    described = schema()
    for key, table in (("sources", SOURCES), ("sinks", SINKS)):
        items = described["properties"][key]["items"]
        assert set(items["discriminator"]["mapping"]) == set(table)
        assert items["discriminator"]["propertyName"] == "type"
    assert set(described["properties"]["store"]["discriminator"]["mapping"]) == set(STORES)
    assert described["required"] == ["sources", "sinks"]


def test_the_schema_is_closed_and_described() -> None:
    """Unknown keys are errors in an editor as they are here, and keys come with their reasons."""
    described = schema()
    for section in (described, *described["$defs"].values()):
        assert section["additionalProperties"] is False
    assert "ceiling" in described["$defs"]["PaceSettings"]["properties"]["rate"]["description"]


def test_every_key_of_the_settings_has_its_own_default_instance() -> None:
    """Defaults are pinned: what holds where a file says nothing."""
    found = Settings(sources=({"type": "lines"},), sinks=({"type": "jsonl"},))
    assert (found.pace.rate, found.pace.burst) == (None, 1)
    assert (found.watch.deadline, found.watch.partial_success, found.watch.retention) == (86_400, "settle", 604_800)
    assert (found.cadence.type, found.cadence.min_gap, found.cadence.max_gap) == ("accrual", 0.2, 60)
    assert (found.events.results, found.api.listen, found.limits.stop_deadline) == ("full", None, 25)
