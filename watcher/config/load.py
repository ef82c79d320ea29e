"""The ways in: from a file, from a text, or the defaults alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as File

from watcher.config.document import MAX_BYTES, read_document
from watcher.config.draft import Draft, Path, Place
from watcher.config.overrides import override
from watcher.config.paths import check_paths
from watcher.config.settings import Settings
from watcher.config.validate import validate


@dataclass(frozen=True)
class Loaded:
    """Settings, and where each value came from."""

    settings: Settings
    places: Mapping[Path, Place]

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
    return _loaded(text, Draft(name), environ, paths=False).settings


def read(path: str | File, environ: Mapping[str, str], *, paths: bool = False) -> Loaded:
    """As `load`, with the origin of each value."""
    draft = Draft(str(path))
    return _loaded(_text(File(path), draft), draft, environ, paths=paths)


def defaults() -> Loaded:
    """What holds where a file says nothing. Sources and sinks have no default."""
    return Loaded(Settings.model_construct(sources=(), sinks=()), {})


def _loaded(text: str, draft: Draft, environ: Mapping[str, str], *, paths: bool) -> Loaded:
    read_document(text, draft, environ)
    override(draft, environ)
    settings = validate(draft)
    for at, what in check_paths(settings) if paths else ():
        draft.wrong(at, what)
    draft.refuse()
    return Loaded(settings, draft.places)


def _text(path: File, draft: Draft) -> str:
    """The file as text. Raises ConfigMistakes where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        draft.wrong((), "does not exist; config/minimal.yaml is a configuration to begin with")
    except IsADirectoryError:
        draft.wrong((), "is a directory; name a YAML file in it")
    except UnicodeDecodeError as error:
        # cut at the limit, a file may end within a character: read_document says that it is too large
        if error.end >= MAX_BYTES:
            return content.decode("utf-8-sig", errors="replace")
        draft.wrong((), "is not UTF-8; save it as UTF-8", Place(draft.file, content.count(b"\n", 0, error.start) + 1))
    except (OSError, ValueError) as error:
        draft.wrong((), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    draft.refuse()
    raise AssertionError("a file that could not be read is a mistake")
