"""Splits a stream of lines into messages: a whole JSON value, over as many lines as it has, or one line of any other text.

A value that cannot be read costs only itself. Its end is the next line that begins a message of its own, so that what
follows is read as if the bad value were not there. Nothing here decodes a value: intake does, and says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from watcher.core.intake.strict_json import MAX_BODY, MAX_DEPTH

Numbered = tuple[int, bytes]
"""A message, and the number of its first line."""

_TOKEN = re.compile(rb'[ \t\r]+|"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"|-?[0-9][0-9.eE+-]*|-?[A-Za-z]+|[{}\[\]:,]')
_STARTS = re.compile(rb'[^\s"}\],:].*[^\s,]\s*|[^\s"}\],:]|"[^"]*"\s*')
"""A line that may begin a message of its own: not indented, no continuation or end of a value, and no element of a list."""
_ENDS = (b"}", b"]")
_BOM = b"\xef\xbb\xbf"

Progress = Literal["open", "whole", "bad"]


class JsonScanner:
    """Follows the grammar of JSON over the lines of one value, as far as it takes to see where the value ends."""

    def __init__(self) -> None:
        self._open: list[bytes] = []
        self._expects = "value"
        """`value`, `first` (a value or the end of a list), `key`, `first key` (or the end of an object), `colon`, `next`, `nothing`."""

    def feed(self, line: bytes) -> Progress:
        """Whether the value goes on after this line, ends with it, or is not JSON."""
        at = 0
        while at < len(line):
            token = _TOKEN.match(line, at)
            if token is None:
                return "bad"
            at = token.end()
            sign = token[0][:1]
            if sign not in b" \t\r" and not self._take(sign):
                return "bad"
        return "open" if self._open else "whole"

    def _take(self, sign: bytes) -> bool:
        """Whether the grammar allows a token that begins with this character."""
        if sign in _ENDS:
            return self._end(sign)
        match self._expects:
            case "value" | "first":
                return self._begin(sign)
            case "key" | "first key":
                self._expects = "colon"
                return sign == b'"'
            case "colon":
                self._expects = "value"
                return sign == b":"
            case "next":
                self._expects = "key" if self._open[-1] == b"{" else "value"
                return sign == b","
        return False

    def _begin(self, sign: bytes) -> bool:
        if sign in (b"{", b"["):
            self._open.append(sign)
            self._expects = "first key" if sign == b"{" else "first"
            return len(self._open) <= MAX_DEPTH
        self._expects = "next" if self._open else "nothing"
        return sign not in (b":", b",")

    def _end(self, sign: bytes) -> bool:
        if self._expects not in ("first", "first key", "next") or not self._open:
            return False
        opened = self._open.pop()
        self._expects = "next" if self._open else "nothing"
        return opened + sign in (b"{}", b"[]")


def _is_json(line: bytes) -> bool:
    """Whether the usual message, a value on one line, is whole: ten times as fast as the scanner."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


class JsonStream:
    """Takes lines without their line ends, and returns messages. Keeps at most one value, of at most `MAX_BODY` + 1 bytes.

    Empty lines and lines that begin with `#` between messages are skipped. A value that is too large is returned once,
    cut just above the limit, and the rest of it is skipped.
    """

    def __init__(self) -> None:
        self._number = 0
        self._forget()

    def add(self, line: bytes) -> Iterator[Numbered]:
        """Yield the messages that this line completes: none inside a value, several where it shows that a value was bad."""
        self._number += 1
        if self._number == 1:
            line = line.removeprefix(_BOM)
        yield from self._add(self._number, line.removesuffix(b"\r"))

    def flush(self) -> Iterator[Numbered]:
        """Yield a bad value without waiting for its end: nothing more is to be read at the moment."""
        if self._state == "bad":
            yield from self._emit()

    def end(self) -> Iterator[Numbered]:
        """Yield what is left at the end of the stream: a value that was never completed is bad."""
        while self._state != "between":
            yield from self._split()
            if self._state == "bad":
                yield from self._emit()

    def _forget(self) -> None:
        self._state: Literal["between", "open", "bad"] = "between"
        self._lines: list[Numbered] = []
        self._size = 0
        self._scanner = JsonScanner()
        self._emitted = False
        """The value was too large: what comes of it is skipped."""

    def _add(self, number: int, line: bytes) -> Iterator[Numbered]:
        if self._state == "between":
            yield from self._begin(number, line)
        elif self._state == "open":
            yield from self._continue(number, line)
        elif _STARTS.fullmatch(line):
            yield from self._emit()
            yield from self._begin(number, line)
        else:
            self._keep(number, line)
            if line.startswith(_ENDS):
                yield from self._emit()

    def _begin(self, number: int, line: bytes) -> Iterator[Numbered]:
        text = line.lstrip()
        if not text or text.startswith(b"#"):
            return
        self._keep(number, line)
        is_value = text[:1] in (b"{", b"[") and len(line) <= MAX_BODY
        progress = "whole" if not is_value or _is_json(line) else self._scanner.feed(line)
        if progress == "whole":
            yield from self._emit()
        else:
            self._state = progress

    def _continue(self, number: int, line: bytes) -> Iterator[Numbered]:
        progress = self._scanner.feed(line) if len(line) <= MAX_BODY else "bad"
        self._keep(number, line)
        if progress == "whole":
            yield from self._emit()
        elif progress == "bad":
            yield from self._split()
            if self._state == "bad" and line.startswith(_ENDS):
                yield from self._emit()
        elif self._size > MAX_BODY and not self._emitted:
            yield self._message()
            self._emitted = True

    def _split(self) -> Iterator[Numbered]:
        """End a bad value before the first of its further lines that begins a message, and read on from there."""
        lines = self._lines
        first = 0 if self._emitted else 1
        start = next((n for n, (_, line) in enumerate(lines) if n >= first and _STARTS.fullmatch(line)), None)
        self._state = "bad"
        if start is not None:
            self._lines, rest = lines[:start], lines[start:]
            yield from self._emit()
            for number, line in rest:
                yield from self._add(number, line)

    def _keep(self, number: int, line: bytes) -> None:
        if self._emitted:
            self._lines = [(number, line)]
        elif self._size <= MAX_BODY:
            self._lines.append((number, line))
            self._size += len(line) + 1

    def _emit(self) -> Iterator[Numbered]:
        """Yield the value, unless it was too large, and be ready for the next one."""
        found = [] if self._emitted or not self._lines else [self._message()]
        self._forget()
        yield from found

    def _message(self) -> Numbered:
        return self._lines[0][0], b"\n".join(line for _, line in self._lines)[: MAX_BODY + 1]
