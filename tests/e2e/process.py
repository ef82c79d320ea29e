"""`watcher …` as a process, with its log to read when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process


class WatcherProcess:
    """Lives of `python -m watcher …`, one at a time. Standard error is in `log`, standard output in `out`."""

    def __init__(self, directory: Path, environment: Mapping[str, str], name: str = "watcher") -> None:
        self.directory = directory
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **environment}
        self.log = directory / f"{name}.log"
        self.out = directory / f"{name}.out"
        self._process: Process | None = None

    async def start(self, *arguments: str, stdin: bytes | None = None) -> None:
        """`stdin`: what it finds there; without, it is what the tests have."""
        with self.log.open("ab") as log, self.out.open("ab") as out:
            self._process = await anyio.open_process(
                [sys.executable, "-m", "watcher", *arguments],
                cwd=self.directory,
                env=self.environment,
                stdout=out,
                stderr=log,
                stdin=None if stdin is None else -1,
            )
        if stdin is not None and self._process.stdin is not None:
            await self._process.stdin.send(stdin)
            await self._process.stdin.aclose()

    async def run(self, *arguments: str, stdin: bytes | None = None, seconds: float = 30.0) -> int:
        """A whole life. Returns its exit code; negative: the signal that ended it."""
        await self.start(*arguments, stdin=stdin)
        try:
            return await self.wait(seconds)
        finally:
            await self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

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
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            await self._process.aclose()

    async def until_logged(self, event: str, times: int = 1, seconds: float = 25.0) -> dict[str, Any]:
        """Wait for a line of the log by its event name, for its `times`th. Returns the line."""
        with anyio.move_on_after(seconds):
            while not self.ended or len(self.lines(event)) >= times:
                if len(found := self.lines(event)) >= times:
                    return found[times - 1]
                await anyio.sleep(0.05)
        raise AssertionError(f"no {event} in the log\n{self.words()[-6000:]}")

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The lines of the log, all or those of one event."""
        told = [json.loads(line) for line in self.words().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in told if event in ("", line["event"])]

    def words(self) -> str:
        return self.log.read_text(errors="replace")
