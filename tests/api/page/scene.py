"""A watcher that polls the simulator, in the event loop of the test, and pages of a real browser that show it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import axe_playwright_python
import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.scene import NO_FILES
from tests.process import HANG_S
from watcher.api import store_parts
from watcher.app import App, build
from watcher.config import parse
from watcher.model import TaskRef
from watcher.observe.history import History
from watcher.simulator import Simulator

expect.set_options(timeout=HANG_S * 1000)

CANARY = "canary"
"""In every result and message of the simulator, and in every context, so that a test can search for it."""
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
LOST = "Failed to load resource"
"""What the browser itself writes to its console when a request has no answer, or one with an error."""
FAST = {"type": "fixed", "every": 0.2}


class Scene:
    """The directory, the tasks, and the configuration of one watcher."""

    def __init__(self, directory: Path, sim: Simulator, listen: str = "127.0.0.1:0", **sections: Any) -> None:
        self.sim = sim
        self._pipe = directory / "tasks"
        os.mkfifo(self._pipe)
        self._tasks = os.open(self._pipe, os.O_RDWR)
        settings = {
            "sources": [{"type": "lines", "path": str(self._pipe)}],
            "store": {"type": "sqlite", "path": str(directory / "watcher.db")},
            "sinks": [{"type": "jsonl", "name": "events", "path": str(directory / "events.jsonl")}],
            "api": {"listen": listen},
            "cadence": FAST,
            "pace": {"rate": 200, "burst": 20},
            "limits": {"stop_deadline": 5},
        }
        self._settings = parse(json.dumps(settings | sections), "watcher.yaml", {})

    def submit(self, refs: Iterable[TaskRef]) -> None:
        """Send these tasks to the source, each with a context."""
        for ref in refs:
            names = ("VoiceConnectorId", "SpeakerSearchTaskId")
            line = {**dict(zip(names, ref.params, strict=True)), "context": {"call": f"{CANARY}-context"}}
            os.write(self._tasks, json.dumps(line).encode() + b"\n")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[App]:
        """The watcher runs for the length of the block, and then stops as after SIGTERM."""
        async with build(self._settings) as app, anyio.create_task_group() as group:
            group.start_soon(app.run)
            yield app
            app.stop()

    def close(self) -> None:
        """Close the source."""
        os.close(self._tasks)


@asynccontextmanager
async def scene(directory: Path, sim: Simulator, **sections: Any) -> AsyncIterator[Scene]:
    """A scene whose AWS is the simulator."""
    found = Scene(directory, sim, **sections)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**NO_FILES, **sim.environment}.items():
            patch.setenv(name, value)
        patch.setattr(History, "every_s", 0.5)
        patch.setattr(store_parts, "EVERY_S", 0.2)
        try:
            yield found
        finally:
            found.close()


def url(app: App) -> str:
    """The address of the page."""
    assert app.http is not None
    return app.http.url


@asynccontextmanager
async def opened(browser: Browser, address: str, *, allowed: Sequence[str] = (), **options: Any) -> AsyncIterator[Page]:
    """A page of a new browser profile. When the block ends, the console has no error and no warning but the allowed ones.

    A violation of the content security policy is one of these errors.
    """
    context = await browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
    page = await context.new_page()
    written: list[str] = []
    page.on("console", lambda message: written.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: written.append(str(error)))
    await page.goto(address)
    yield page
    await context.close()
    assert [text for text in written if not text.startswith(tuple(allowed))] == []


async def violations(page: Page) -> list[str]:
    """What axe finds wrong on the page as it is: the rule, and the first elements that break it."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE.read_text("utf-8"))
    found = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {[node['target'] for node in each['nodes'][:3]]}" for each in found["violations"]]


async def check_layout(page: Page) -> None:
    """The page breaks no rule of axe, and is not wider than the window."""
    assert await violations(page) == []
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
