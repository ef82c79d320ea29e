"""Prints the events of `watcher events` on stdout, and then keeps the cursor after them: what is kept was printed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from watcher.cli.cursor_file import CursorFile
from watcher.cli.task_lines import DATE_WIDTH, TaskNames, observed_line

if TYPE_CHECKING:
    from rich.console import Console

    from watcher.adapters.watcher_api import SentEvent

WIDE = 120
"""Columns of a line that no terminal limits."""


class EventPrinter:
    """Prints at most `limit` events: as JSON, one event on each line, or as lines for a person. `file` keeps the last cursor."""

    def __init__(self, *, as_json: bool, limit: int | None, file: CursorFile | None) -> None:
        self.cursor: str | None = None
        """The last cursor; what comes before it was printed."""
        self._as_json = as_json
        self._left = limit
        self._file = file
        self._screen = None if as_json or not sys.stdout.isatty() else _screen()
        width = WIDE if self._screen is None else shutil.get_terminal_size().columns
        self._names = TaskNames(width, kinds=True, time_width=DATE_WIDTH)

    @property
    def done(self) -> bool:
        """Whether the limit is reached."""
        return self._left == 0

    def show(self, batch: Sequence[SentEvent]) -> None:
        """Print the events of a batch, flush them, and then keep the cursor. Raises BrokenPipeError and other OSErrors."""
        cursor = self.cursor
        for each in batch:
            if each.data is not None:
                if self.done:
                    break
                self._print(each.data)
                self._left = None if self._left is None else self._left - 1
            cursor = each.cursor or cursor
        sys.stdout.flush()
        self.cursor = cursor
        if self._file is not None and cursor is not None:
            self._file.save(cursor)

    def _print(self, data: str) -> None:
        if self._as_json:
            sys.stdout.write(f"{data}\n")
            return
        line = observed_line(json.loads(data), self._names)
        if self._screen is None:
            sys.stdout.write(f"{line.plain.rstrip()}\n")
        else:
            self._screen.print(line, soft_wrap=True)


def _screen() -> Console:
    from watcher.cli.live import Screen

    return Screen()
