"""A reader of `watcher demo --serve`: it follows the events as the guide of the demo says, and resumes from its cursor."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from tests.process import HANG_S, POLL_S, WatcherProcess, process

PAGE = re.compile(r"^  (http://127\.0\.0\.1:\d+)/$", re.MULTILINE)
WITHOUT_PROXY = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@dataclass
class Received:
    """What a reader has received over several connections, as text."""

    connections: list[str] = field(default_factory=list)

    def frames(self) -> list[dict[str, str]]:
        """The complete frames: `id`, `data`, or both."""
        found = []
        for text in self.connections:
            for frame in text.split("\n\n")[:-1]:
                found.append(dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":")))
        return found

    def events(self) -> list[dict[str, Any]]:
        """The events in the order in which they came."""
        return [json.loads(frame["data"]) for frame in self.frames() if "data" in frame]

    def last_id(self) -> str | None:
        """The cursor of the reader: the last id."""
        return next((frame["id"] for frame in reversed(self.frames()) if "id" in frame), None)

    def ended(self) -> set[str]:
        """The tasks whose last event came."""
        return {event["subject"] for event in self.events() if event["data"]["terminal"]}


Follow = Callable[[WatcherProcess, str, Received], AbstractAsyncContextManager[None]]
"""Follows the events while the block runs. Takes the process and the URL of its page."""


@asynccontextmanager
async def by_httpx(watcher: WatcherProcess, url: str, received: Received) -> AsyncIterator[None]:
    """Follow with httpx, until the connection or the block ends."""
    resumed = {"Last-Event-ID": last} if (last := received.last_id()) else {}
    received.connections.append("")

    async def read() -> None:
        headers = {"Accept": "text/event-stream", **resumed}
        async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
            try:
                async with client.stream("GET", f"{url}/v1/events", headers=headers) as response:
                    assert response.status_code == 200
                    async for text in response.aiter_text():
                        received.connections[-1] += text
            except httpx.TransportError:
                return  # the process was killed

    async with anyio.create_task_group() as reader:
        reader.start_soon(read)
        yield
        reader.cancel_scope.cancel()


@asynccontextmanager
async def by_curl(watcher: WatcherProcess, url: str, received: Received) -> AsyncIterator[None]:
    """Follow with the commands that the demo prints."""
    first, resume = (command for command in printed_commands(watcher) if command[0] == "curl" and "-N" in command)
    last = received.last_id()
    command = first if last is None else [word.replace("Last-Event-ID: ID", f"Last-Event-ID: {last}") for word in resume]
    assert command[-1] == f"{url}/v1/events"
    received.connections.append("")
    out = watcher.directory / f"curl-{len(received.connections)}.out"

    async def read() -> None:
        while True:
            received.connections[-1] = out.read_text()
            await anyio.sleep(POLL_S)

    with out.open("wb") as stdout, process([*command, "--silent"], stdout=stdout, env=WITHOUT_PROXY):
        async with anyio.create_task_group() as reader:
            reader.start_soon(read)
            yield
            reader.cancel_scope.cancel()
    received.connections[-1] = out.read_text()


def printed_commands(watcher: WatcherProcess) -> list[list[str]]:
    """The commands of the newest guide, as a shell reads them."""
    guide = watcher.out.read_text().rpartition("Open the page")[2].replace("\\\n", "")
    return [shlex.split(line) for line in guide.splitlines() if line.startswith("  ") and not PAGE.match(line)]
