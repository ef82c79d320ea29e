"""The ways in: from a file, from a text, or the defaults alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File

from watcher.config.overrides import override
from watcher.config.paths import check_paths
from watcher.config.raw_config import Path, RawConfig, SourceLine
from watcher.config.settings import Settings
from watcher.config.validate import validate
from watcher.config.yaml_reader import MAX_BYTES, read_yaml


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each value came from."""

    settings: Settings
    places: Mapping[Path, SourceLine]

    def origin(self, path: Path) -> str:
        """`watcher.yaml:3`, `environment: WATCHER_PACE__RATE` or `default`."""
        return str(self.places.get(path, "default"))


def load(path: str | File, environ: Mapping[str, str], *, paths: bool = False) -> Settings:
    """The settings of a file, under the environment. Raises ConfigMistakes with every mistake there is.

    With `paths`, files that this process could not use are mistakes too; nothing is created.
    """
    return read(path, environ, paths=paths).settings


def parse(text: str, name: str, environ: Mapping[str, str]) -> Settings:
    """As `load`, from a text; `name` stands where the file's name would."""
    return _loaded(text, RawConfig(name), environ, paths=False).settings


def read(path: str | File, environ: Mapping[str, str], *, paths: bool = False) -> Loaded:
    """As `load`, with the origin of each value."""
    raw_config = RawConfig(str(path))
    return _loaded(_text(File(path), raw_config), raw_config, environ, paths=paths)


def defaults() -> Loaded:
    """What holds where a file says nothing. Sources and sinks have no default."""
    return Loaded(Settings.model_construct(sources=(), sinks=()), {})


def _loaded(text: str, raw_config: RawConfig, environ: Mapping[str, str], *, paths: bool) -> Loaded:
    read_yaml(text, raw_config, environ)
    override(raw_config, environ)
    settings = validate(raw_config)
    for at, what in check_paths(settings) if paths else ():
        raw_config.wrong(at, what)
    raw_config.refuse()
    return Loaded(settings, raw_config.places)


def _text(path: File, raw_config: RawConfig) -> str:
    """The file as text. Raises ConfigMistakes where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raw_config.wrong((), "does not exist; config/minimal.yaml is a configuration to begin with")
    except IsADirectoryError:
        raw_config.wrong((), "is a directory; name a YAML file in it")
    except UnicodeDecodeError as error:
        # cut at the limit, a file may end within a character: read_yaml says that it is too large
        if error.end >= MAX_BYTES:
            return content.decode("utf-8-sig", errors="replace")
        raw_config.wrong((), "is not UTF-8; save it as UTF-8", SourceLine(raw_config.file, content.count(b"\n", 0, error.start) + 1))
    except (OSError, ValueError) as error:
        raw_config.wrong((), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    raw_config.refuse()
    raise AssertionError("a file that could not be read is a mistake")
