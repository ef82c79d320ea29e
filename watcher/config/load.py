"""Loads settings from a file, from a string, or from the defaults alone."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from watcher.config.api_checks import check_apis, is_about_statuses
from watcher.config.conflict import Sections
from watcher.config.environment import check_environment
from watcher.config.overrides import apply_overrides
from watcher.config.paths import check_paths
from watcher.config.raw_config import RawConfig, SourceLine
from watcher.config.references import named
from watcher.config.settings import Settings
from watcher.config.validate import settings_of, validate_sections
from watcher.config.yaml_reader import read_yaml
from watcher.errors import ConfigMistakes
from watcher.yaml_text import MAX_BYTES, KeyPath, dotted, parse_yaml_text


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each value was set."""

    settings: Settings
    origins: Mapping[KeyPath, SourceLine]
    status_differences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By the name of a kind, how its statuses differ from those of its API. Read without `statuses` only: else they are mistakes."""

    def origin(self, path: KeyPath) -> str:
        """Return `watcher.yaml:3`, `environment: WATCHER_PACE__RATE` or `default`."""
        return str(self.origins.get(path, "default"))


def load(path: str | Path, environ: Mapping[str, str], *, paths: bool = False, apis: bool = False) -> Settings:
    """Return the settings of a file with the environment applied. Raises ConfigMistakes with every mistake.

    With `paths`, a file that the settings name and this process cannot use is a mistake too, and so is a proxy or a file of
    certificates that the environment names. Nothing is created.

    With `apis`, the kinds of the file are compared with the API models that the AWS SDK ships. Loading them takes up to a second.
    """
    return read(path, environ, paths=paths, apis=apis).settings


def parse(text: str, name: str, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a string, as `load` does; mistakes show `name` in place of a file name."""
    return _loaded(text, RawConfig(name), environ, paths=False).settings


def read(path: str | Path, environ: Mapping[str, str], *, paths: bool = False, apis: bool = False, statuses: bool = True) -> Loaded:
    """Return the settings of a file, as `load` does, with the origin of each value.

    Without `statuses`, a difference between the statuses of a kind and those of its API is not a mistake. It is in
    `Loaded.status_differences`. The start of a watcher uses this: an update of the SDK that adds a status must not prevent it.
    """
    raw_config = RawConfig(str(path))
    return _loaded(_read_text(Path(path), raw_config), raw_config, environ, paths=paths, apis=apis, statuses=statuses)


def read_sections(path: str | Path, environ: Mapping[str, str], sections: Collection[str], *, apis: bool = False) -> Settings:
    """Return the settings of a file with only these sections read. Raises ConfigMistakes with every mistake in them.

    The other sections have their defaults; sources and sinks are empty. A variable that only they need may be missing. With
    `apis`, the kinds are compared with their APIs, as `read` does without `statuses`.
    """
    raw_config = RawConfig(str(path), skipped=frozenset(Settings.model_fields) - frozenset(sections))
    return _loaded(_read_text(Path(path), raw_config), raw_config, environ, paths=False, apis=apis, statuses=False).settings


def defaults() -> Loaded:
    """Return the default settings. Sources and sinks have no default and are empty."""
    return Loaded(Settings.model_construct(sources=(), sinks=()), {})


def variables(path: str | Path) -> list[str]:
    """Return the names of the environment variables that a file refers to, sorted. Raises ConfigMistakes if it is not YAML."""
    found: set[str] = set()

    def note(scalar: str) -> tuple[str, list[str]]:
        found.update(named(scalar))
        return scalar, []

    raw_config = RawConfig(str(path))
    for where, line, what in parse_yaml_text(_read_text(Path(path), raw_config), note).mistakes:
        raw_config.add_mistake(where, what, SourceLine(raw_config.file, line))
    raw_config.raise_mistakes()
    return sorted(found)


def _loaded(
    text: str, raw_config: RawConfig, environ: Mapping[str, str], *, paths: bool, apis: bool = False, statuses: bool = True
) -> Loaded:
    read_yaml(text, raw_config, environ)
    apply_overrides(raw_config, environ)
    sections = validate_sections(raw_config)
    differences = _compare_kinds(sections, raw_config, statuses=statuses) if apis else {}
    settings = settings_of(sections, raw_config)
    for path, what in check_paths(settings) if paths else ():
        raw_config.add_mistake(path, what)
    if found := [*raw_config.mistakes, *(check_environment(settings, environ) if paths else ())]:
        raise ConfigMistakes(list(dict.fromkeys(found)))
    return Loaded(settings, raw_config.origins, differences)


def _compare_kinds(sections: Sections, raw_config: RawConfig, *, statuses: bool) -> Mapping[str, Sequence[str]]:
    """Note where kinds differ from their APIs. Without `statuses`, differences of statuses are returned, by the name of the kind.

    A key of a kind is not compared if there is a mistake in it: it may be missing in its section, or have another value.
    """
    differences: dict[str, list[str]] = {}
    invalid = {path[:3] for path in raw_config.invalid_paths}
    for path, what in check_apis(sections):
        if path[:3] in invalid:
            continue
        if statuses or not is_about_statuses(path):
            raw_config.add_mistake(path, what)
        else:
            name = getattr(sections[path[:2]], "name", "")
            differences.setdefault(name, []).append(f"{raw_config.origin(path)}: {dotted(path)}: {what}")
    return differences


def _read_text(path: Path, raw_config: RawConfig) -> str:
    """Return the text of a file, at most one byte over the limit of its size. Raises ConfigMistakes."""
    line = 1
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        what = f"does not exist; check the path, or create it with: watcher init {shlex.quote(str(path))}"
    except IsADirectoryError:
        what = "is a directory; give the path of a YAML file"
    except UnicodeDecodeError as error:
        if error.end >= MAX_BYTES:  # The limit may cut a character in two; read_yaml reports the size.
            return content.decode("utf-8-sig", errors="replace")
        line, what = content.count(b"\n", 0, error.start) + 1, "not valid UTF-8; save the file as UTF-8"
    except (OSError, ValueError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path and its permissions"
    raw_config.add_mistake((), what, SourceLine(raw_config.file, line))
    raise ConfigMistakes(raw_config.mistakes)
