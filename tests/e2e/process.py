"""`watcher run` as a process, with its log to read when something goes wrong."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.abc import Process


class WatcherProcess:
    """One life of `python -m watcher …`. Its standard error is in `log`."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **environment}
        self.log = directory / "watcher.log"
        self._process: Process | None = None

    async def start(self, *arguments: str) -> None:
        with self.log.open("ab") as log:
            self._process = await anyio.open_process(
                [sys.executable, "-m", "watcher", *arguments], cwd=self.directory, env=self.environment, stdout=log, stderr=log, stdin=None
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self, seconds: float = 30.0) -> int:
        assert self._process is not None
        with anyio.fail_after(seconds):
            return await self._process.wait()

    async def kill(self) -> None:
        """As a machine that loses power would end it."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._process.aclose()

    def words(self) -> str:
        return self.log.read_text(errors="replace")
