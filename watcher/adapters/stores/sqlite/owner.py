"""The locks that make one process the owner of a store file. The kernel holds them, so they end with the process.

One lock is on the file itself, so it holds under every name of the file: a symbolic link, a hard link, another mount. The
other one is on `PATH.lock`, which contains the process id of the owner. It holds even if another file is moved to the name.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from watcher.adapters.stores.sqlite.schema import create
from watcher.errors import StoreRefused, StoreUnavailable

Inode = tuple[int, int]
"""The device and the number of a file: the same under each of its names."""

_owned: set[Inode] = set()
"""The files that this process owns. Such a file must not be opened and closed by anything but SQLite: closing any
descriptor of a file releases the locks that SQLite holds on it in this process."""


class OwnerLock:
    """The locks on a store file and on `PATH.lock`. The latter stays when the owner ends: removing it would be a race."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._name: int | None = None
        self._file: int | None = None
        self._inode: Inode | None = None

    def acquire(self) -> None:
        """Become the owner. Creates the file if there is none. Raises StoreRefused if there is an owner, with its process id where
        that is known."""
        real = os.path.realpath(self._path)
        self._name = self._lock_name(f"{real}.lock")
        create(real)
        inode = _inode(real)
        if inode in _owned:
            raise self._has_other_name()
        file = os.open(real, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._file = file  # closed by `release`, which comes after the last connection
        try:
            _lock(file)
        except BlockingIOError as error:
            raise self._has_other_name() from error
        _owned.add(inode)
        self._inode = inode

    def check(self) -> None:
        """Raise StoreUnavailable if the name does not lead to the owned file any more: what is written to it would be lost at the end
        of the process. Without the locks, this does nothing."""
        if self._inode is None:
            return
        try:
            inode: Inode | None = _inode(self._path)
        except FileNotFoundError:
            inode = None
        except OSError:
            return  # nothing is known about the file
        if inode != self._inode:
            raise StoreUnavailable(f"{self._path}: {NOT_THERE}")

    def release(self) -> None:
        """Stop being the owner, after the last connection was closed. Without the locks, this does nothing."""
        if self._inode is not None:
            _owned.discard(self._inode)
        for file in (self._file, self._name):
            if file is not None:
                os.close(file)
        self._file = self._name = self._inode = None

    def _lock_name(self, lock: str) -> int:
        """Lock the file beside the store, without following, truncating, or overwriting anything that is not such a lock."""
        try:
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            what = "is a link: remove it" if os.path.islink(lock) else f"{error.strerror}: check that its directory exists and is writable"
            raise StoreRefused(f"{lock}: {what}") from error
        try:
            self._write_pid(file, lock)
        except BaseException:
            os.close(file)
            raise
        return file

    def _write_pid(self, file: int, lock: str) -> None:
        try:
            _lock(file)
            status, content = os.fstat(file), os.pread(file, PID_BYTES + 1, 0)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not _is_pid(content):
                raise StoreRefused(f"{lock}: is a link, or was not written by a watcher: remove it")
            os.pwrite(file, str(os.getpid()).encode().ljust(PID_BYTES), 0)
        except BlockingIOError as error:
            owner = os.pread(file, PID_BYTES, 0).decode(errors="replace").strip() or "unknown"
            raise StoreRefused(
                f"{self._path}: owned by another watcher, process {owner}: stop that process, or set store.path to another file"
            ) from error
        except OSError as error:
            raise StoreRefused(f"{lock}: cannot be locked: {error.strerror}: use a local disk") from error

    def _has_other_name(self) -> StoreRefused:
        return StoreRefused(f"{self._path}: {OTHER_NAME}: stop that process, or set store.path to another file")


PID_BYTES = 20
"""The size of the text in a lock file: always the same, so that it is overwritten and never truncated."""
LOOKS = 500
"""How often to try again, after a millisecond each, while a command looks whether there is an owner. It takes microseconds."""
OTHER_NAME = (
    "owned by another watcher, which uses another name of this file (a hard link, or another mount), or whose lock file was removed"
)

NOT_THERE = (
    "removed or replaced while the watcher uses it: move the file back, or start the watcher again with the file that is there now, "
    "and submit the open tasks again"
)


def _lock(file: int) -> None:
    """Lock the file for its owner. Raises BlockingIOError if there is one; waits for commands that only look whether there is one."""
    for wait_s in (0.001,) * LOOKS:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # fails if there is an owner
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(wait_s)
        else:
            return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def has_owner(path: str) -> bool:
    """Whether a process owns the store with this name. Takes the lock shared and only for a moment, so no watcher fails to start."""
    return _is_locked(f"{os.path.realpath(path)}.lock")


def is_owned_elsewhere(path: str) -> bool:
    """Whether a process owns this file under another name. SQLite then has its log under that name, and this name would damage the file.

    Call it before the process opens the file with SQLite.
    """
    if has_owner(path):
        return False
    real = os.path.realpath(path)
    return _inode(real) in _owned or _is_locked(real)


def _is_locked(path: str) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _inode(path: str) -> Inode:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_pid(content: bytes) -> bool:
    """Whether this is the text of a lock file, from this version or an earlier one; empty right after it was created."""
    text = content.strip()
    return len(content) <= PID_BYTES and (text.isdigit() or not text)
