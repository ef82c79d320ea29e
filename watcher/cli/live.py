"""What `watcher watch` and `watcher demo` share: a source with given tasks, and a sink that prints events for a person."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from watcher.cli.task_lines import TaskNames, event_line
from watcher.errors import PeerGone
from watcher.kinds.catalog import Catalog
from watcher.model import Event, Message
from watcher.ports import Delivered, Outcome

UNLIMITED = 1_000_000
"""Columns of what is no terminal."""


class Screen(Console):
    """Standard output for a person. Raises PeerGone when its reader has closed it.

    On a terminal, lines fit its width. Elsewhere no line is broken or shortened, as `tables.py` has it: what reads it may look for
    whole lines.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False)
        if not self.file.isatty():
            self.width = UNLIMITED
        self.closed_by_reader = False

    def on_broken_pipe(self) -> None:
        """Replaces the SystemExit of rich, which would cancel the tasks of the event loop without a reason."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the rest that Python flushes at exit
        self.closed_by_reader = True
        raise PeerGone


class FixedSource:
    """A `Source` that returns the given messages, and is then exhausted."""

    name = "given"
    plain = True
    watch_notified = False
    receivers = 1
    hold_s: float | None = None

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._left: list[Message] | None = [Message(f"given-{n}", body) for n, body in enumerate(bodies)]

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def check(self) -> str:
        """Return the number of messages that are left."""
        return f"{len(self._left or ())} messages left"

    async def receive(self) -> Sequence[Message] | None:
        """Return all messages at the first call, then None."""
        left, self._left = self._left, None
        return left

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Do nothing: no message comes again."""
        return ()

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Do nothing: a message stays ours until the process ends."""
        return ()


class ConsoleSink:
    """A `Sink` that shows each event, and keeps all events. `clock` returns seconds.

    It prints a line for each event, or its JSON. With `rows`, it prints only the last event of a task, and `rows` has the others.
    With `kinds`, the lines name the kind of each task. Elsewhere than on a terminal, each line has the whole key of its task.
    """

    name = "screen"
    max_batch = 100
    concurrency = 1

    def __init__(self, console: Console, clock: Callable[[], float], *, as_json: bool = False, kinds: bool = False) -> None:
        self.events: list[dict[str, Any]] = []
        self.ends: dict[str, dict[str, Any]] = {}
        """The last event of each task that has ended, by key."""
        self.names = TaskNames(console.width, kinds=kinds) if console.file.isatty() else None
        """The short names of the tasks; None: lines have whole keys."""
        self.rows: dict[str, Text] | None = None
        """The line of each open task, by key, in the order of the last events. None: every line is printed."""
        self._console = console
        self._clock = clock
        self._started_at = clock()
        self._as_json = as_json

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def check(self) -> str:
        """Do nothing."""
        return "screen"

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started_at

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Show the events."""
        for event in events:
            body = json.loads(event.body)
            self.events.append(body)
            if body["data"]["terminal"]:
                self.ends[event.key] = body
            if self._as_json:
                self._console.out(event.body.decode(), highlight=False)
            else:
                self._show(event.key, event_line(body, self.elapsed_s, self.names))
        return [Delivered() for _ in events]

    def _show(self, key: str, line: Text) -> None:
        line.truncate(self._console.width, overflow="ellipsis")
        if self.rows is not None:
            self.rows.pop(key, None)  # its place is after the others
            if key not in self.ends:
                self.rows[key] = line
                return
        self._console.print(line, soft_wrap=True)


def succeeded(body: dict[str, Any], catalog: Catalog) -> bool | None:
    """Whether the last event of a task reports success. None: the watch ended, but how the task ended is unknown."""
    data = body["data"]
    if data["to"] is None:
        return None
    kind = catalog.get(data["task"]["kind"])
    return kind is not None and kind.succeeded(data["to"])
