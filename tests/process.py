"""Starts and ends every process of the tests.

A process belongs to a `with` block. However the block ends, the process is killed and reaped, and its pipes are closed, so that no other
test meets it. Waits end when their condition holds or the process has ended; `HANG_S` ends only a wait that would never end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

HANG_S = 600.0
"""Seconds after which a wait counts as a hang. The longest wait takes less than a tenth of it on a slow, busy machine."""
POLL_S = 0.05
"""Seconds between two looks at something that another process changes."""
PYTHON = sys.executable


@contextmanager
def process(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process; kill and reap it, and close its pipes, when the block ends. `options` are those of `subprocess.Popen`."""
    started = subprocess.Popen(command, **options)
    try:
        yield started
    finally:
        started.kill()
        for pipe in (started.stdin, started.stdout, started.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):  # the process ended before it had read all of its input
                    pipe.close()
        started.wait()


def completed(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run a process to its end. `options` are those of `subprocess.run`; the exit code is the caller's to check."""
    return subprocess.run(command, timeout=HANG_S, **{"check": False, **options})


def runs(pid: int) -> bool:
    """Whether a process runs. A zombie has ended; it is gone when its parent, which may be slow, has seen that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class WatcherProcess:
    """`python -m watcher …`, started any number of times, one process at a time.

    All of them append standard error to `log` and standard output to `out`.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], name: str = "watcher") -> None:
        self.directory = directory
        self.environment = {**{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "OTEL_"))}, **environment}
        self.log = directory / f"{name}.log"
        self.out = directory / f"{name}.out"
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self, *arguments: str, stdin: bytes | None = None) -> Iterator[None]:
        """Start it with these arguments; the end of the block kills it, as a machine that loses power would.

        `stdin` is what a pipe at its standard input holds, less than the 64 KiB that a pipe takes at once. Without, there is nothing.
        """
        command = [PYTHON, "-m", "watcher", *arguments]
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        with (
            self.log.open("ab") as log,
            self.out.open("ab") as out,
            process(command, cwd=self.directory, env=self.environment, stdin=source, stdout=out, stderr=log) as self._process,
        ):
            if stdin is not None and self._process.stdin is not None:
                self._process.stdin.write(stdin)
                self._process.stdin.close()
            yield

    async def run(self, *arguments: str, stdin: bytes | None = None) -> int:
        """Run it to its end. Returns the exit code; a negative one is the signal that ended it."""
        with self.running(*arguments, stdin=stdin):
            return await self.wait()

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether no process runs."""
        return self._process is None or self._process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def wait(self, limit_s: float = HANG_S) -> int:
        """Wait until it ends. Returns the exit code; a negative one is the signal that ended it."""
        assert self._process is not None
        with anyio.move_on_after(limit_s):
            while not self.ended:  # noqa: ASYNC110 - a process that ends sets no event
                await anyio.sleep(POLL_S)
        code = self._process.poll()
        assert code is not None, f"it does not end\n{self.text()[-6000:]}"
        return code

    async def until_logged(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for the `times`th line of the log with this event name. Returns the line."""
        with anyio.move_on_after(HANG_S):
            while True:
                ended = self.ended  # read first: a process logs nothing after its end
                if len(found := self.lines(event)) >= times:
                    return found[times - 1]
                if ended:
                    break
                await anyio.sleep(POLL_S)
        raise AssertionError(f"no {event} in the log\n{self.text()[-6000:]}")

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The whole lines of the log, all or those with one event name."""
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if event in ("", line["event"])]

    def text(self) -> str:
        """The log as it stands; empty before the first start."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
