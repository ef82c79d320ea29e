"""Prints the events of `watcher events` on stdout, and then stores the cursor after them, so that no event is left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from watcher.cli.cursor_file import CursorFile
from watcher.cli.task_lines import DATE_WIDTH, TaskNames, observed_line

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.adapters.api_client import SentEvent


class EventPrinter:
    """Prints at most `limit` events: as JSON, one event on each line, or as lines for a person. `file` stores the last cursor.

    On a terminal, lines fit its width, and tasks have short names.
    """

    def __init__(self, *, as_json: bool, limit: int | None, file: CursorFile | None) -> None:
        self.cursor: str | None = None
        """The last cursor. All events before it were printed."""
        self._as_json = as_json
        self._left = limit
        self._file = file
        self._out: TextIO | None = sys.stdout  # None: the caller has closed it
        self._screen = None if as_json or self._out is None or not self._out.isatty() else _screen()
        self._names = None if self._screen is None else TaskNames(self._screen.width, time_width=DATE_WIDTH)

    @property
    def done(self) -> bool:
        """Whether the limit is reached."""
        return self._left == 0

    def show(self, batch: Sequence[SentEvent]) -> None:
        """Print the events of a batch, flush them, and then store the cursor. Raises BrokenPipeError and other OSErrors."""
        cursor = self.cursor
        for each in batch:
            if each.data is not None:
                if self.done:
                    break
                self._print(each.data)
                self._left = None if self._left is None else self._left - 1
            cursor = each.cursor or cursor
        if self._out is not None:
            self._out.flush()
        self.cursor = cursor
        if self._file is not None and cursor is not None:
            self._file.save(cursor)

    def _print(self, data: str) -> None:
        if self._as_json:
            self._write(data)
            return
        line = observed_line(json.loads(data), self._names)
        if self._screen is None:
            self._write(line.plain.rstrip().replace("→", "->"))  # a program that reads it may support only ASCII
        else:
            line.truncate(self._screen.width, overflow="ellipsis")
            self._screen.print(line, soft_wrap=True)

    def _write(self, line: str) -> None:
        if self._out is not None:
            self._out.write(f"{line}\n")


def _screen() -> Console:
    from watcher.cli.live import Screen

    return Screen()
