"""Checks that this process can use the files that the settings name. Creates nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from watcher.config.settings import Settings
from watcher.section import Section
from watcher.yaml_text import KeyPath

NO_FILE = ("-", ":memory:")
"""Standard input or output, and SQLite's name for a store without a file."""


def check_paths(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Return the key of each path that cannot be used, and what is wrong with it."""
    for path, section in _adapters(settings):
        check = _CHECKS.get((path[0], getattr(section, "type", "")))
        name = str(getattr(section, "path", "-"))
        if check and name not in NO_FILE and (what := check(Path(name))):
            yield (*path, "path"), what


def _adapters(settings: Settings) -> Iterator[tuple[KeyPath, Section]]:
    yield from ((("sources", index), section) for index, section in enumerate(settings.sources))
    yield ("store",), settings.store
    yield from ((("sinks", index), section) for index, section in enumerate(settings.sinks))


def _check_readable(file: Path) -> str | None:
    if not file.exists():
        return f"file {file} does not exist; create it, or a named pipe"
    if file.is_dir():
        return f"{file} is a directory; give the path of a file or a named pipe"
    return None if os.access(file, os.R_OK) else f"no permission to read {file}; allow it for this user"


def _check_writable(file: Path) -> str | None:
    if file.is_dir():
        return f"{file} is a directory; give the path of a file in it"
    if file.exists():
        return None if os.access(file, os.W_OK) else f"no permission to write {file}; allow it for this user"
    if not file.parent.is_dir():
        return f"directory {file.parent} does not exist; create it"
    return None if _may_create_in(file.parent) else f"no permission to create files in {file.parent}; allow it for this user"


def _check_database(file: Path) -> str | None:
    """Check the database and its directory, in which SQLite creates its write-ahead log."""
    if what := _check_writable(file):
        return what
    if file.exists() and not file.is_file():
        return f"{file} is not a regular file; give another path"
    if _may_create_in(file.parent):
        return None
    return f"no permission to create files in {file.parent}, where SQLite keeps its log; allow it for this user"


def _may_create_in(directory: Path) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


_CHECKS: Mapping[tuple[object, str], Callable[[Path], str | None]] = {
    ("sources", "lines"): _check_readable,
    ("store", "sqlite"): _check_database,
    ("sinks", "jsonl"): _check_writable,
}
