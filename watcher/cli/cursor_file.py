"""The file in which `watcher events` stores the cursor after the last printed event, so that a restart continues there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAX_CURSOR = 20_000
"""Characters. A cursor for 1,024 shards has about 11,000."""


class CursorFile:
    """One line of text, which is replaced as a whole: after a crash the file has the old cursor or the new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: str | None = None

    def load(self) -> str | None:
        """Return the cursor, None if the file is missing or empty.

        Raises OSError if it cannot be read, contains no cursor, or has no directory.
        """
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_CURSOR + 1)
        except FileNotFoundError:
            if not self._path.parent.is_dir():
                raise OSError(
                    f"{self._path}: there is no directory {self._path.parent}: create it, or name another --cursor-file"
                ) from None
            return None
        text = content.strip().decode("latin-1")
        if len(content) > MAX_CURSOR or not all("!" <= character <= "~" for character in text):
            raise OSError(f"{self._path} contains no cursor: use another --cursor-file")
        self._saved = text or None
        return self._saved

    def save(self, cursor: str) -> None:
        """Write the cursor durably. Raises OSError."""
        if cursor == self._saved:
            return
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("w", encoding="ascii") as file:
            file.write(f"{cursor}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        _sync_directory(self._path.parent)
        self._saved = cursor


def _sync_directory(directory: Path) -> None:
    """Make the new name durable. An error is ignored: some file systems do not support fsync of a directory."""
    number = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
