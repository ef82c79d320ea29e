"""The browser of this machine, driven by Playwright. Without one its tests are skipped; with CI=true they fail: nothing was tested."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""The programs that are looked for, in this order."""


def chromium() -> str:
    """The path of the browser. Skips the test, or fails it with CI=true, where there is none."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        missing = "no Chromium is installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """A browser for the length of the block. Its sandbox does not work as root, and /dev/shm is small in a container."""
    path = chromium()
    async with async_playwright() as driver:
        started = await driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
        try:
            yield started
        finally:
            await started.close()
