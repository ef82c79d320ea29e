"""Runs a process on a pseudo-terminal, and says what a person sees on its screen."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.process import HANG_S, process

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
MOVES = re.compile(rb"\x1b\[\d*[ABJK]")
"""Sequences that move the cursor up or down, or erase."""


@dataclass(frozen=True)
class Seen:
    """What a process wrote on its terminal."""

    code: int
    raw: bytes

    @property
    def updates(self) -> int:
        """How often it moved the cursor up, or erased."""
        return len(MOVES.findall(self.raw))

    def widths(self) -> list[int]:
        """The length of each line that it wrote, in characters."""
        return [len(line) for line in re.split(r"[\r\n]+", CONTROL.sub(b"", self.raw).decode())]

    def final(self, columns: int = 80) -> list[str]:
        """The lines that stay at the end, without those that were erased. Knows the sequences that rich writes."""
        lines: list[list[str]] = [[]]
        row = column = 0
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", self.raw.decode(), re.DOTALL):
            if token == "\n":
                row += 1
            elif token == "\r":
                column = 0
            elif token.startswith("\x1b"):
                count = int(re.sub(r"\D", "", token) or 1)
                if token.endswith("A"):
                    row = max(0, row - count)
                elif token.endswith("K"):
                    lines[row] = []
            else:
                while len(lines[row]) <= column:
                    lines[row].append(" ")
                lines[row][column] = token
                column += 1
                assert column <= columns
            while len(lines) <= row:
                lines.append([])
        return [text for line in lines if (text := "".join(line).rstrip())]


def on_terminal(command: Sequence[str | Path], environment: Mapping[str, str], columns: int = 80, rows: int = 24) -> Seen:
    """Run a process to its end on a terminal of this size."""
    own, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    raw = b""
    try:
        with process(command, stdin=other, stdout=other, stderr=subprocess.STDOUT, env=dict(environment)) as started:
            os.close(other)
            while chunk := _read(own):
                raw += chunk
            return Seen(started.wait(HANG_S), raw)
    finally:
        os.close(own)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the process, the last writer, has ended
        return b""
