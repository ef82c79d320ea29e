"""Tasks from lines of text: a file, a named pipe, or stdin; one JSON message or one `VoiceConnectorId/TaskId` a line.

Nothing can be given back to where lines come from, so an ack does nothing: a file is read from its beginning again by the
next process, where every task meets its own watch, and what a pipe gave is gone. Reading never holds up the end of
the process: a pipe is read only when it has something, a file in a worker thread.
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

from watcher.core.intake.submissions import MAX_BODY
from watcher.errors import Denied, Invalid, RemoteError, Unavailable
from watcher.model import Message
from watcher.section import Name, Section

STDIN = 0
WAIT_S = 1.0
"""Seconds until a `receive` from a silent pipe says that nothing came."""
CHUNK = 64 * 1024
BATCH = 100
"""Messages in one `receive`, so that back-pressure comes between batches of a long file."""


class LinesSourceSettings(Section):
    """Tasks from lines of text."""

    type: Literal["lines"] = "lines"
    """A JSON message, or a VoiceConnectorId/TaskId, on each line; blank lines and lines that begin with # are skipped."""
    name: Name = "lines"
    """Its metrics and its dead letters go by this name."""
    path: str = Field(default="-", min_length=1)
    """A file, a named pipe, or - for stdin. A file and stdin end; a pipe waits for the next writer."""


class LinesSource:
    """Reads a file, a named pipe, or stdin to the end."""

    receivers = 1
    hold_s: float | None = None
    plain = True
    """Its bodies may be `VoiceConnectorId/TaskId` instead of JSON."""

    def __init__(self, settings: LinesSourceSettings) -> None:
        self.name = settings.name
        self._path = settings.path
        self._fd: int | None = None
        self._lines = _Lines(settings.path)
        self._ready: deque[Message] = deque()
        self._ended = False

    async def open(self) -> None:
        """Raises Invalid or Denied, with the path, where there is nothing to read."""
        try:
            self._fd = STDIN if self._path == "-" else os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            mode = os.fstat(self._fd).st_mode
        except OSError as error:
            raise self._named(error) from None
        if stat.S_ISDIR(mode):
            raise Invalid("EISDIR", f"{self._path} is a directory")

    async def close(self) -> None:
        """Leaves stdin open: it is not ours."""
        fd, self._fd = self._fd, None
        if fd not in (None, STDIN):
            os.close(fd)

    async def check(self) -> str:
        """Looks at the file and reads nothing."""
        if self._fd is None:
            raise Unavailable("closed", "the source is not open")
        status = os.fstat(self._fd)
        where = "stdin" if self._fd == STDIN else self._path
        return f"{where}, {status.st_size} bytes" if stat.S_ISREG(status.st_mode) else f"{where}, open"

    async def receive(self) -> Sequence[Message] | None:
        """Up to 100 lines; waits a second for a pipe. Raises Unavailable where reading fails."""
        if not self._ready and not self._ended:
            await self._read()
        if not self._ready and self._ended:
            return None
        return [self._ready.popleft() for _ in range(min(BATCH, len(self._ready)))]

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Nothing to do: a line cannot be taken off a file."""
        return []

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Nothing to do: nobody else gets these."""
        return []

    async def _read(self) -> None:
        """One chunk into `_ready`, if one comes in time."""
        if self._fd is None:
            raise Unavailable("closed", "the source is not open")
        fd = self._fd
        try:
            if not _can_stall(fd):
                chunk = await to_thread.run_sync(os.read, fd, CHUNK)
            else:
                with anyio.move_on_after(WAIT_S) as waiting:
                    await anyio.wait_readable(fd)
                if waiting.cancelled_caught:
                    return
                chunk = os.read(fd, CHUNK)
            self._take(fd, chunk)
        except BlockingIOError:
            return  # another reader of the same pipe was faster
        except OSError as error:
            raise self._named(error) from None

    def _take(self, fd: int, chunk: bytes) -> None:
        self._ready.extend(self._lines.feed(chunk) if chunk else self._lines.end())
        if not chunk and fd != STDIN and stat.S_ISFIFO(os.fstat(fd).st_mode):
            # All writers hung up. A new descriptor waits for the next one; opened first, so that no writer finds nobody reading.
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.close(fd)
        elif not chunk:
            self._ended = True

    def _named(self, error: OSError) -> RemoteError:
        code = errno.errorcode.get(error.errno or 0, "OSError")
        kind = {"ENOENT": Invalid, "ENOTDIR": Invalid, "EACCES": Denied, "EPERM": Denied}.get(code, Unavailable)
        return kind(code, f"{self._path}: {os.strerror(error.errno or 0)}")


class _Lines:
    """Chunks into messages. Of a line longer than intake takes it keeps one byte more than that, and no other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0
        self._begun = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Message]:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            self._keep(end)
            yield from self._line()
        self._keep(rest)

    def end(self) -> Iterator[Message]:
        """The last line, if it has no newline."""
        if self._begun:
            yield from self._line()

    def _keep(self, part: bytes) -> None:
        self._begun += part[: MAX_BODY + 1 - len(self._begun)]

    def _line(self) -> Iterator[Message]:
        self._number += 1
        body = bytes(self._begun).removesuffix(b"\r")
        self._begun.clear()
        if body.strip() and not body.lstrip().startswith(b"#"):
            yield Message(f"{self._path}:{self._number}", body)


def _can_stall(fd: int) -> bool:
    """A pipe, a socket or a terminal waits for its writer; a file or /dev/null does not, and cannot be polled."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
