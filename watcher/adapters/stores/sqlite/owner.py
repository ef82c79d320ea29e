"""The lock that makes one process the owner of a store file. The kernel holds it, so it ends with the process."""

from __future__ import annotations

import fcntl
import os

from watcher.errors import StoreRefused


class OwnerLock:
    """A lock on `PATH.lock`. The file holds the owner's process id, and stays: removing it would be a race."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Become the owner. Raises StoreRefused with the path and the owner's process id when there is one."""
        try:
            file = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefused(f"{self._path}.lock: {error.strerror}: check that its directory exists and is writable") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            owner = os.pread(file, 20, 0).decode(errors="replace") or "unknown"
            os.close(file)
            raise StoreRefused(
                f"{self._path}: owned by another watcher, process {owner}: stop that process, or set store.path to another file"
            ) from error
        except OSError as error:
            os.close(file)
            raise StoreRefused(f"{self._path}.lock: cannot be locked: {error.strerror}: use a local disk") from error
        self._file = file

    def release(self) -> None:
        """Stop being the owner. Without the lock, this does nothing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
