"""Events as lines of JSON, appended to a file or written to stdout.

A file is written in a worker thread, and synced before an event counts as delivered. A pipe or a terminal is written
only while it takes something, so that a reader who stopped reading can delay this sink but not the end of the process.
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

from watcher.errors import PeerGone, Unavailable
from watcher.model import Event
from watcher.ports import Delivered, Outcome
from watcher.section import Name, Section

STDOUT = 1


class JsonlSinkSettings(Section):
    """Events as lines of JSON."""

    type: Literal["jsonl"] = "jsonl"
    """A line of JSON for each event, to stdout or a file."""
    name: Name = "jsonl"
    """Its cursor, its metrics and its dead letters go by this name; a new name begins with the next event."""
    path: str = "-"
    """A file to append to, made where there is none and opened anew when it was moved away; a named pipe; or - for stdout."""
    fsync: bool = True
    """Wait until the disk has each batch, because a delivered event is never sent again; false trades that for speed."""


class JsonlSink:
    """Appends events to a file, a pipe or stdout."""

    max_batch = 500
    concurrency = 1

    def __init__(self, settings: JsonlSinkSettings) -> None:
        self.name = settings.name
        self._path = settings.path
        self._fsync = settings.fsync
        self._fd: int | None = None
        self._lead = b""
        """What must come before the next event: the newline, or the rest, of a line that was broken off."""

    async def open(self) -> None:
        """Raises Unavailable where the file cannot be opened. A pipe that nobody reads yet can wait: that delays this sink alone."""
        try:
            await to_thread.run_sync(self._opened)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise self._unavailable(error) from None

    async def close(self) -> None:
        """Leaves stdout open: it is not ours."""
        self._drop()

    async def check(self) -> str:
        """Opens the file for appending and writes no event."""
        try:
            fd = await to_thread.run_sync(self._opened)
            status = os.fstat(fd)
        except OSError as error:
            raise self._unavailable(error) from None
        where = "stdout" if self._path == "-" else self._path
        return f"{where}, {status.st_size} bytes" if stat.S_ISREG(status.st_mode) else f"{where}, open"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """All of them or none. Raises Unavailable with a code such as ENOSPC, and PeerGone once nobody reads stdout."""
        if not events:
            return []
        data = b"".join(event.body + b"\n" for event in events)
        try:
            fd = await to_thread.run_sync(self._opened)
            if _can_stall(fd):
                await self._pour(fd, data)
            else:
                await to_thread.run_sync(self._append, fd, data)
        except OSError as error:
            if self._path == "-" and error.errno == errno.EPIPE:
                raise PeerGone("nobody reads stdout any more; what was not told is told by the next start") from None
            self._drop()  # what came of the batch is unknown: the next open looks at the end of the file
            raise self._unavailable(error) from None
        return [Delivered()] * len(events)

    def _opened(self) -> int:
        """The descriptor of the file that has the name now: log rotation moves the old one away, without a word to us."""
        if self._path == "-":
            self._fd = STDOUT
        elif self._fd is None or not _same_file(self._fd, self._path):
            self._drop()
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o640)
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                self._lead = b"\n" if _is_torn(self._path) else b""
                self._sync_name()
        return self._fd

    def _append(self, fd: int, data: bytes) -> None:
        data, self._lead = self._lead + data, b"\n"  # until all of it is written, a line may be broken off
        while data:
            data = data[os.write(fd, data) :]
        self._lead = b""
        if self._fsync and stat.S_ISREG(os.fstat(fd).st_mode):
            os.fsync(fd)

    async def _pour(self, fd: int, data: bytes) -> None:
        """As much as the pipe takes at a time. A line that was begun is finished first, also by the next call."""
        whole, done, begun = self._lead + data, 0, bool(self._lead)
        try:
            while done < len(whole):
                await anyio.wait_writable(fd)
                try:
                    done += os.write(fd, whole[done : done + select.PIPE_BUF])
                except BlockingIOError:
                    continue  # somebody else filled it in between
        finally:
            begun = whole[done - 1 : done] != b"\n" if done else begun
            self._lead = whole[done : whole.index(b"\n", done) + 1] if begun else b""

    def _sync_name(self) -> None:
        """A new file is found after a crash only when its directory is on the disk too."""
        if self._fsync:
            directory = os.open(os.path.dirname(os.path.abspath(self._path)), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _drop(self) -> None:
        fd, self._fd = self._fd, None
        if fd not in (None, STDOUT):
            self._lead = b""
            os.close(fd)

    def _unavailable(self, error: OSError) -> Unavailable:
        """Nothing of a file is beyond healing: disks are emptied, directories mounted, permissions given."""
        return Unavailable(errno.errorcode.get(error.errno or 0, "OSError"), "stdout" if self._path == "-" else self._path)


def _can_stall(fd: int) -> bool:
    """A pipe, a socket or a terminal waits for its reader; a file or /dev/null does not, and cannot be polled."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _is_torn(path: str) -> bool:
    """Whether the last line has no end: a crash, or a full disk, broke it off. Its event is sent again, on a line of its own."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) not in (b"", b"\n")
