"""Whether the files that a configuration names can be used by this process, here and now. Creates nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File

from watcher.config.raw_config import Path
from watcher.config.settings import Settings
from watcher.section import Section

NO_FILE = ("-", ":memory:")
"""Standard input or output, and SQLite's name for a store without a file."""


def check_paths(settings: Settings) -> Iterator[tuple[Path, str]]:
    """The key, and what is wrong with its file."""
    for path, entry in _adapters(settings):
        check = _CHECKS.get((path[0], getattr(entry, "type", "")))
        name = str(getattr(entry, "path", "-"))
        if check and name not in NO_FILE and (what := check(File(name))):
            yield (*path, "path"), what


def _adapters(settings: Settings) -> Iterator[tuple[Path, Section]]:
    yield from ((("sources", index), entry) for index, entry in enumerate(settings.sources))
    yield ("store",), settings.store
    yield from ((("sinks", index), entry) for index, entry in enumerate(settings.sinks))


def _readable(file: File) -> str | None:
    if not file.exists():
        return f"there is no file {file}; make it, or a named pipe, first"
    if file.is_dir():
        return f"{file} is a directory; a file or a named pipe is needed"
    return None if os.access(file, os.R_OK) else f"{file} may not be read by this user"


def _writable(file: File) -> str | None:
    if file.is_dir():
        return f"{file} is a directory; a file in it is needed"
    if file.exists():
        return None if os.access(file, os.W_OK) else f"{file} may not be written by this user"
    if not file.parent.is_dir():
        return f"there is no directory {file.parent}; make it first"
    return None if os.access(file.parent, os.W_OK | os.X_OK) else f"no file can be made in {file.parent} by this user"


def _database(file: File) -> str | None:
    """SQLite keeps its log beside the file, so the directory must take files too."""
    if what := _writable(file):
        return what
    if file.exists() and not file.is_file():
        return f"{file} is not a regular file"
    beside = os.access(file.parent, os.W_OK | os.X_OK)
    return None if beside else f"{file.parent} may not be written by this user; SQLite keeps its log beside the file"


_CHECKS: Mapping[tuple[object, str], Callable[[File], str | None]] = {
    ("sources", "lines"): _readable,
    ("store", "sqlite"): _database,
    ("sinks", "jsonl"): _writable,
}
