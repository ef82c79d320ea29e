"""Read tasks from a file, a named pipe or stdin: JSON messages over one line or several, and one `VoiceConnectorId/TaskId` per line.

A line cannot be given back, so an acknowledgement does nothing. The next process reads a file from the beginning again, and
its tasks keep their existing watches. Lines of a pipe do not come again. Reading never delays the end of the process: a
pipe is read only when it has data, a regular file in a worker thread.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Literal

import anyio
from anyio import to_thread
from pydantic import Field

from watcher.adapters.file_descriptors import can_stall
from watcher.core.intake.json_stream import JsonStream, Numbered
from watcher.core.intake.strict_json import MAX_BODY
from watcher.errors import Denied, Invalid, RemoteError, Unavailable
from watcher.model import Message
from watcher.section import Name, Section

STDIN = 0
WAIT_S = 1.0
"""Seconds after which `receive` returns without messages when a pipe has no data."""
CHUNK = 64 * 1024
BATCH = 100
"""Messages in one `receive`. Between batches of a long file the runtime can pause the intake."""


class LinesSourceSettings(Section):
    """Tasks from lines of text."""

    path_is_local_file = True

    type: Literal["lines"] = "lines"
    """JSON messages, each on one line or on several, and a VoiceConnectorId/TaskId on each other line. Blank lines and lines that
    start with # are skipped."""
    name: Name = "lines"
    """The name of this source in its metrics and dead letters."""
    path: str = Field(default="-", min_length=1)
    """A file, a named pipe, or - for stdin. A file and stdin end; a named pipe waits for its next writer."""
    watch_notified: bool = False
    """Whether a notification of AWS about a task that was not submitted starts a watch of that task."""


class LinesSource:
    """Reads a file, a named pipe or stdin to the end."""

    receivers = 1
    hold_s: float | None = None
    plain = True
    """A line may be `VoiceConnectorId/TaskId` instead of JSON."""

    def __init__(self, settings: LinesSourceSettings) -> None:
        self.name = settings.name
        self._path = settings.path
        self._fd: int | None = None
        self.watch_notified = settings.watch_notified
        self._lines = _MessageReader(settings.path)
        self._ready: deque[Message] = deque()
        self._ended = False

    async def open(self) -> None:
        """Open the file. Raises Invalid or Denied, with the path, if it cannot be read."""
        try:
            self._fd = STDIN if self._path == "-" else os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            mode = os.fstat(self._fd).st_mode
        except OSError as error:
            raise self._remote_error(error) from None
        if stat.S_ISDIR(mode):
            raise Invalid("EISDIR", f"{self._path} is a directory")

    async def close(self) -> None:
        """Close the file, but never stdin, which belongs to the process."""
        fd, self._fd = self._fd, None
        if fd not in (None, STDIN):
            os.close(fd)

    async def check(self) -> str:
        """Return the name and the size of the file. Reads nothing."""
        if self._fd is None:
            raise Unavailable("closed", "the source is not open")
        status = os.fstat(self._fd)
        label = "stdin" if self._fd == STDIN else self._path
        return f"{label}, {status.st_size} bytes" if stat.S_ISREG(status.st_mode) else f"{label}, open"

    async def receive(self) -> Sequence[Message] | None:
        """Return up to 100 messages, after at most one second without data. Raises Unavailable if reading fails."""
        if not self._ready and not self._ended:
            await self._read()
        if not self._ready and self._ended:
            return None
        return [self._ready.popleft() for _ in range(min(BATCH, len(self._ready)))]

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Do nothing: a line cannot be removed from a file."""
        return []

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Do nothing: no other process receives these lines."""
        return []

    async def _read(self) -> None:
        """Read one chunk into `_ready`, if there is one within `WAIT_S`."""
        if self._fd is None:
            raise Unavailable("closed", "the source is not open")
        fd = self._fd
        try:
            if not can_stall(fd):
                chunk = await to_thread.run_sync(os.read, fd, CHUNK)
            else:
                with anyio.move_on_after(WAIT_S) as waiting:
                    await anyio.wait_readable(fd)
                if waiting.cancelled_caught:
                    return
                chunk = os.read(fd, CHUNK)
            self._accept(fd, chunk)
        except BlockingIOError:
            return  # another reader of the same pipe took the data
        except OSError as error:
            raise self._remote_error(error) from None

    def _accept(self, fd: int, chunk: bytes) -> None:
        self._ready.extend(self._lines.feed(chunk, more=not can_stall(fd)) if chunk else self._lines.end())
        if not chunk and fd != STDIN and stat.S_ISFIFO(os.fstat(fd).st_mode):
            # All writers closed the pipe: only a new descriptor can wait for the next one. It is opened before the old
            # one is closed, so that the pipe always has a reader and no writer fails.
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.close(fd)
        elif not chunk:
            self._ended = True

    def _remote_error(self, error: OSError) -> RemoteError:
        code = errno.errorcode.get(error.errno or 0, "OSError")
        kind = {"ENOENT": Invalid, "ENOTDIR": Invalid, "EACCES": Denied, "EPERM": Denied}.get(code, Unavailable)
        return kind(code, f"{self._path}: {os.strerror(error.errno or 0)}")


class _MessageReader:
    """Splits chunks into messages. Keeps at most `MAX_BODY` + 1 bytes of a line: enough for intake to reject it as too long."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._partial = bytearray()
        self._stream = JsonStream()

    def feed(self, chunk: bytes, *, more: bool) -> Iterator[Message]:
        """Yield the messages that end in this chunk. `more`: another chunk can be read at once."""
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._append(end)
            yield from self._line()
        self._append(rest)
        if not more and not self._partial:
            yield from self._messages(self._stream.flush())

    def end(self) -> Iterator[Message]:
        """Yield the last line, if it has no newline, and what is left of a value that never ended."""
        if self._partial:
            yield from self._line()
        yield from self._messages(self._stream.end())

    def _append(self, part: bytes) -> None:
        self._partial += part[: MAX_BODY + 1 - len(self._partial)]

    def _line(self) -> Iterator[Message]:
        line = bytes(self._partial)
        self._partial.clear()
        yield from self._messages(self._stream.add(line))

    def _messages(self, found: Iterator[Numbered]) -> Iterator[Message]:
        """A message has the number of its first line, so that it has the same id when the file is read again."""
        for number, body in found:
            yield Message(f"{self._path}:{number}", body)
