"""Reads a stream of server-sent events (the HTML standard, section 9.2.6), as far as the API of a watcher uses it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One block of the stream: the CloudEvent, and the cursor after it. None: the block has none."""

    cursor: str | None
    data: str | None


class EventStreamReader:
    """Collects the bytes of one connection, and returns the blocks that are complete. An incomplete block at the end is dropped."""

    def __init__(self) -> None:
        self._line = b""
        self._cursor: str | None = None
        self._data: list[str] = []

    def add(self, chunk: bytes) -> list[SentEvent]:
        """Return the blocks that these bytes complete. Raises ValueError for bytes that are not UTF-8."""
        *lines, self._line = (self._line + chunk).split(b"\n")
        return [block for line in lines if (block := self._read(line.removesuffix(b"\r").decode())) is not None]

    def _read(self, line: str) -> SentEvent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id" and "\0" not in value:
            self._cursor = value
        elif name == "data":
            self._data.append(value)
        return None

    def _end(self) -> SentEvent | None:
        cursor, data = self._cursor, "\n".join(self._data) if self._data else None
        self._cursor, self._data = None, []
        return None if cursor is None and data is None else SentEvent(cursor, data)
