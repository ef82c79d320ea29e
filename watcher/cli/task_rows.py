"""One updating row for each open task at the bottom of a terminal. A task that has ended is printed above them, and stays there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from watcher.cli.tables import counted, wrapped

SPARE_LINES = 4
"""Lines of the screen that the rows leave free: for the status, and for what is printed above."""


def can_update(screen: Console) -> bool:
    """Whether rows on this screen can be updated: it is a terminal, and neither NO_COLOR nor TERM=dumb asks for plain lines."""
    return screen.file.isatty() and screen.is_terminal and not screen.is_dumb_terminal and not os.environ.get("NO_COLOR")


class TaskRows:
    """The rows, the status below them, and advice below that, while the block runs. All are read for each refresh."""

    def __init__(
        self,
        screen: Console,
        rows: Callable[[], Mapping[str, Text]],
        status: Callable[[], str],
        advice: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._screen = screen
        self._rows = rows
        self._status = status
        self._advice = advice
        self._shown: list[str] = []
        self._live = Live(console=screen, get_renderable=self._render, auto_refresh=False, transient=True)

    def __enter__(self) -> TaskRows:
        self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def refresh(self) -> None:
        """Draw the rows as they are now, if they are not what is on the screen: a screen that is drawn often flickers."""
        shown = [*(row.plain for row in self._rows().values()), self._status(), self._advice() or ""]
        if shown != self._shown:
            self._shown = shown
            self._live.refresh()

    def _render(self) -> Group:
        """The newest rows that fit on the screen, the number of the others, and the status."""
        rows = list(self._rows().values())
        advice = wrapped(self._advice() or "", self._screen.width).splitlines()
        room = max(1, self._screen.height - SPARE_LINES - len(advice))
        hidden = max(0, len(rows) - room)
        lines = rows[hidden:] if hidden else rows
        more = [Text(counted(hidden, "more open task"), style="dim")] if hidden else []
        for line in lines:
            line.truncate(self._screen.width, overflow="ellipsis")
        status = Text(self._status(), style="dim", no_wrap=True, overflow="ellipsis")
        return Group(*more, *lines, status, *(Text(line, style="yellow", no_wrap=True, overflow="ellipsis") for line in advice))
