"""The processes that the benchmark `process` compares. Each reads its tasks from stdin and writes a line to stdout for each status.

A process is measured from outside: a status counts as detected when the line about it arrives here.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Thread
from typing import Any

import anyio

from tests.e2e.scene import NO_FILES, configure
from tests.process import HANG_S, POLL_S, process
from watcher.simulator import Simulator
from watcher.simulator.simulated_task import SimulatedTask

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to learn the statuses of tasks: the loop in a retry mode of the SDK, or the watcher without one."""

    name: str
    retry_mode: str = ""
    rate: float | None = None
    """`pace.rate` of the watcher."""
    sends_status: bool = False
    """Whether a task is submitted with what the service replied to its start, status and timestamps, instead of its id alone."""

    def start(self, directory: Path) -> list[str]:
        """Write the configuration into `directory`, where the store is kept. Returns the command of the process."""
        if self.retry_mode:
            return [sys.executable, "-m", "tests.benchmarks.process_loop"]
        lines: dict[str, Any] = {"sources": [{"type": "lines"}], "sinks": [{"type": "jsonl"}]}
        store = {"type": "sqlite", "path": str(directory / "watcher.db")}
        file = configure(directory, **lines, store=store, cadence={}, pace={"rate": self.rate})
        return [sys.executable, "-m", "watcher", "run", str(file)]

    def line(self, task: SimulatedTask) -> str:
        """The line that submits a task, which has just been created."""
        if not self.sends_status:
            return f"{task.connector}/{task.task_id}\n"
        return json.dumps({task.kind.task_member: task.reply(task.created_at)}) + "\n"

    def sight(self, line: Mapping[str, Any]) -> tuple[str, str | None]:
        """The task that a line of the process is about, and the status that it reports."""
        if self.retry_mode:
            return line["task"], line["status"]
        return line["data"]["task"]["params"]["SpeakerSearchTaskId"], line["data"]["to"]


class Client:
    """A process that watches tasks of a simulated service of its own. It keeps what it learns in `directory`."""

    def __init__(self, way: Way, sim: Simulator, directory: Path) -> None:
        self.way = way
        self.sim = sim
        self._lines: list[tuple[float, bytes]] = []
        """What the process wrote to stdout, with the wall times at which the lines arrived."""
        self._directory = directory
        self._log = directory / "stderr.log"
        self._process: Popen[bytes] | None = None
        self._reader = Thread(target=self._read, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the process, and kill it at the end of the block if it runs then. Usable one time."""
        self._directory.mkdir(exist_ok=True)
        command, environment = self.way.start(self._directory), self._environment()
        with (
            self._log.open("wb") as log,
            process(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, stderr=log) as self._process,
        ):
            self._reader.start()
            try:
                yield
            finally:
                self._process.kill()  # else the reader waits for its end
                self._reader.join()

    async def until_started(self) -> None:
        """Wait until the process reads its stdin."""
        assert self._process is not None
        with anyio.fail_after(HANG_S):
            while b"started" not in self._log.read_bytes():
                if self._process.poll() is not None:
                    raise RuntimeError(f"{self.way.name} did not start\n{self._log.read_text()}")
                await anyio.sleep(POLL_S)

    def submit(self, task: SimulatedTask) -> None:
        """Write the line that submits a task."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(self.way.line(task).encode())
        self._process.stdin.flush()

    async def until_ended(self, within_s: float) -> bool:
        """Submit no more, and wait until the process has seen the end of each task. Returns whether it has; raises if it failed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        with anyio.move_on_after(within_s):
            while self._process.poll() is None:  # noqa: ASYNC110 - a process that ends sets no event
                await anyio.sleep(POLL_S)
        if self._process.returncode:
            raise RuntimeError(f"{self.way.name} ended with {self._process.returncode}\n{self._log.read_text()[-6000:]}")
        ended = self._process.returncode is not None
        if ended:
            self._reader.join()
        return ended

    def seen(self) -> dict[str, list[tuple[str, float]]]:
        """For each task id the statuses that were seen, each with the wall time at which its line arrived."""
        found: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for at, line in self._lines:
            if line.endswith(b"\n"):  # else a kill cut it off
                task, status = self.way.sight(json.loads(line))
                if status is not None:
                    found[task].append((status, at))
        return found

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not (name.startswith("AWS_") or name.lower().endswith("_proxy"))}
        mode = {"AWS_RETRY_MODE": self.way.retry_mode} if self.way.retry_mode else {}
        return {**own, **NO_FILES, **self.sim.environment, **mode}

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append((time.time(), line))
