"""One process owns a store file. The kernel holds the lock, so it ends with the process, however that ends."""

from __future__ import annotations

import fcntl
import os

from watcher.errors import StoreRefused


class OwnerLock:
    """A lock on `PATH.lock`, which holds the owner's process id and is never removed: removing it would race."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> None:
        """Become the owner, or raise StoreRefused with the path and the owner's process id."""
        try:
            file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefused(f"{self._path}: cannot be opened: {error.strerror}: is its directory there, and writable?") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(file, 20, 0).decode(errors="replace") or "unknown"
            os.close(file)
            raise StoreRefused(
                f"{self._path}: owned by another watcher, process {owner}: stop it, or give this one its own file"
            ) from error
        except OSError as error:
            os.close(file)
            raise StoreRefused(f"{self._path}: cannot be locked: {error.strerror}") from error
        self._file = file

    def release(self) -> None:
        """Harmless without the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
