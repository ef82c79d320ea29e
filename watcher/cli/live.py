"""What `watch` and `demo` share: a source of given tasks, and a sink that tells a person."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from watcher.errors import PeerGone
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Event, Message
from watcher.ports import Delivered, Outcome

STYLES = {"SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow", "PARTIAL_SUCCESS": "cyan"}


class Screen(Console):
    """Standard output for a person. When nobody reads it any more, that ends the command as any other error would."""

    def __init__(self) -> None:
        super().__init__(highlight=False)
        self.unread = False

    def on_broken_pipe(self) -> None:
        """Rich would leave with SystemExit, which no task group can bear."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself writes out what is left, at the end
        self.unread = True
        raise PeerGone  # without a word: who left needs none


class FixedSource:
    """A `Source` that holds what it is given and then ends."""

    name = "given"
    plain = True
    receivers = 1
    hold_s: float | None = None

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._left: list[Message] | None = [Message(f"given-{n}", body) for n, body in enumerate(bodies)]

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def check(self) -> str:
        """Says how many it holds."""
        return f"{len(self._left or ())} given"

    async def receive(self) -> Sequence[Message] | None:
        """All of them, once."""
        left, self._left = self._left, None
        return left

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Nothing keeps them."""
        return ()

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """They are ours anyway."""
        return ()


class ConsoleSink:
    """A `Sink` that prints a line for each event, and keeps the last word about each task."""

    name = "screen"
    max_batch = 100
    concurrency = 1

    def __init__(self, console: Console, clock: Callable[[], float], *, as_json: bool = False) -> None:
        self.events: list[dict[str, Any]] = []
        self.ends: dict[str, dict[str, Any]] = {}
        """The closing event of each task that has ended, by key."""
        self._console = console
        self._clock = clock
        self._began = clock()
        self._as_json = as_json

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def check(self) -> str:
        """A screen is always there."""
        return "screen"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Print them."""
        for event in events:
            body = json.loads(event.body)
            self.events.append(body)
            if body["data"]["terminal"]:
                self.ends[event.key] = body
            if self._as_json:
                self._console.out(event.body.decode(), highlight=False)
            else:
                self._console.print(line(body, self._clock() - self._began), soft_wrap=True)
        return [Delivered() for _ in events]


def line(body: dict[str, Any], elapsed_s: float) -> Text:
    """One event as a person reads it: when, which task, from where to where, how late."""
    data = body["data"]
    text = Text(f"{elapsed_s:6.1f} s  ", style="dim")
    text.append(body["subject"].partition("/")[2], style="default not dim")
    text.append("  ")
    if "reason" in data:
        text.append(f"watch ended: {data['reason']}", style="bold yellow")
        return text
    if body["type"].endswith("updated.v1"):
        text.append(f"{data['to']}, result changed", style=STYLES.get(data["to"], "default not dim"))
    else:
        text.append(f"{data['from'] or 'new'} → ", style="dim")
        text.append(data["to"], style=f"bold {STYLES.get(data['to'], 'default not dim')}")
    if data["detection_lag_s"] is not None and data["from"] is not None:
        text.append(f"  seen {data['detection_lag_s']:.1f} s later", style="dim")
    return text


def succeeded(body: dict[str, Any]) -> bool | None:
    """Whether a closing event means success; None where nobody could tell how the task ended."""
    data = body["data"]
    if data["to"] is None:
        return None
    kind = builtin_catalog().get(data["task"]["kind"])
    return kind is not None and kind.succeeded(data["to"])
