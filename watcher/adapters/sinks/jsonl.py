"""Append events as lines of JSON to a file, a named pipe or stdout.

A regular file is written in a worker thread, and synced before an event counts as delivered. A pipe or a terminal is
written only when it is ready, so that a reader that stopped reading delays this sink but not the end of the process.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Sequence
from typing import Literal

import anyio
from anyio import to_thread

from watcher.adapters.file_descriptors import can_stall
from watcher.errors import PeerGone, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome
from watcher.section import Name, Section

STDOUT = 1


class JsonlSinkSettings(Section):
    """Events as lines of JSON."""

    path_is_local_file = True

    type: Literal["jsonl"] = "jsonl"
    """A line of JSON for each event, to stdout or a file."""
    name: Name = "jsonl"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    path: str = "-"
    """A file to append to (created if missing, opened again after it was moved away), a named pipe, or - for stdout."""
    fsync: bool = True
    """Wait until each batch is on the disk. false is faster, but a crash of the machine can lose delivered events, which
    are never sent again."""


class JsonlSink:
    """Appends events to a file, a named pipe or stdout."""

    max_batch = 500
    concurrency = 1
    writes_here = True

    def __init__(self, settings: JsonlSinkSettings) -> None:
        self.name = settings.name
        self._path = settings.path
        self._label = "stdout" if settings.path == "-" else settings.path
        self._fsync = settings.fsync
        self._fd: int | None = None
        self._prefix = b""
        """Bytes to write before the next event: a newline after an incomplete line, or the rest of that line."""

    async def open(self) -> None:
        """Open the file. Raises Unavailable if that fails, but not for a pipe without a reader: `send` tries again."""
        try:
            await to_thread.run_sync(self._current_fd)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise self._unavailable(error) from None

    async def close(self) -> None:
        """Close the file, but never stdout, which belongs to the process."""
        self._close_file()

    async def check(self) -> str:
        """Open the file for appending. Writes nothing."""
        try:
            fd = await to_thread.run_sync(self._current_fd)
            status = os.fstat(fd)
        except OSError as error:
            raise self._unavailable(error) from None
        return f"{self._label}, {status.st_size} bytes" if stat.S_ISREG(status.st_mode) else f"{self._label}, open"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Write all events. Raises Unavailable with an errno name such as ENOSPC, and PeerGone if the reader of stdout is gone."""
        if not events:
            return []
        data = b"".join(event.body + b"\n" for event in events)
        try:
            fd = await to_thread.run_sync(self._current_fd)
            if can_stall(fd):
                await self._write_when_ready(fd, data)
            else:
                await to_thread.run_sync(self._write, fd, data)
        except OSError as error:
            if self._path == "-" and error.errno == errno.EPIPE:
                raise PeerGone("the reader of stdout is gone; a durable store keeps the remaining events for the next start") from None
            self._close_file()  # part of the batch may be in the file: opening it again checks the last line
            raise self._unavailable(error) from None
        return [Delivered()] * len(events)

    def _current_fd(self) -> int:
        """Return a descriptor of the file that has this path now. Log rotation can have moved the open one away."""
        if self._path == "-":
            self._fd = STDOUT
        elif self._fd is None or not _is_same_file(self._fd, self._path):
            self._close_file()
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                self._prefix = b"\n" if _has_incomplete_line(self._path) else b""
                self._sync_directory()
        return self._fd

    def _write(self, fd: int, data: bytes) -> None:
        # if a write fails half-way, the file ends in an incomplete line, and the next event needs a newline first
        data, self._prefix = self._prefix + data, b"\n"
        while data:
            data = data[os.write(fd, data) :]
        self._prefix = b""
        if self._fsync and stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)

    async def _write_when_ready(self, fd: int, data: bytes) -> None:
        """Write as much as the pipe accepts at a time. If this call is cancelled within a line, the next call completes the line."""
        pending, written, in_line = self._prefix + data, 0, bool(self._prefix)
        try:
            while written < len(pending):
                await anyio.wait_writable(fd)
                try:
                    written += os.write(fd, pending[written : written + select.PIPE_BUF])
                except BlockingIOError:
                    continue  # another process filled the pipe in the meantime
        finally:
            in_line = pending[written - 1 : written] != b"\n" if written else in_line
            self._prefix = pending[written : pending.index(b"\n", written) + 1] if in_line else b""

    def _sync_directory(self) -> None:
        """Sync the directory: after a crash, a new file exists only if its directory entry is on the disk."""
        if self._fsync:
            directory = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _close_file(self) -> None:
        fd, self._fd = self._fd, None
        if fd not in (None, STDOUT):
            self._prefix = b""
            os.close(fd)

    def _unavailable(self, error: OSError) -> Unavailable:
        """Return a retryable error for every OSError: disks get space, directories get mounted, permissions get granted."""
        if self._path == "-" and error.errno == errno.EBADF:
            return Unavailable("stdout_closed", self._label)
        return Unavailable(errno.errorcode.get(error.errno or 0, "OSError"), self._label)


def _is_same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _has_incomplete_line(path: str) -> bool:
    """Whether the file ends without a newline, as after a crash or on a full disk. That event is sent again on its own line."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in (b"", b"\n")
