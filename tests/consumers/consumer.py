"""A consumer of docs/consuming.md as a process, and the work that it has done so far."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.pages import ROOT
from tests.process import HANG_S, POLL_S, PYTHON, process

PAGE = ROOT / "docs" / "consuming.md"
MAX_LINES = 30
MODULES = "/usr/share/nodejs"
"""Where Debian has the modules of Node.js."""


class Done(NamedTuple):
    """One piece of work: a status of a task that an event reported."""

    task: str
    sequence: str
    status: str | None


def code_of(way: str, language: str) -> str:
    """The consumer on the page for this way and language."""
    [code] = re.findall(rf"<!-- consumer: {way} {language} -->\n+```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(code)


def find_node(*modules: str) -> str:
    """The path of Node.js. Skips the test where it, or one of the modules, is missing; fails it where CI=true."""
    node = shutil.which("node") or shutil.which("nodejs")
    script = f"for (const name of {json.dumps(modules)}) require.resolve(name)"
    if node is not None and subprocess.run([node, "-e", script], env=_node_environment(), capture_output=True, check=False).returncode == 0:
        return node
    missing = f"Node.js {'with ' + ', '.join(modules) if modules else ''} is missing (Debian: nodejs, node-aws4)"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def _node_environment() -> dict[str, str]:
    return {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, (os.environ.get("NODE_PATH"), MODULES)))}


class Consumer:
    """Runs the code of the page in a directory of its own, any number of times."""

    def __init__(self, way: str, language: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory / f"{way}-{language}"
        self.directory.mkdir()
        file = self.directory / f"consumer.{'py' if language == 'python' else 'js'}"
        file.write_text(code_of(way, language))
        node = find_node(*(("aws4",) if way == "sqs" else ())) if language == "javascript" else ""
        self._command = [PYTHON, "-u", file.name] if language == "python" else [node, file.name]
        self._environment = {**_node_environment(), **environment}
        self._log = self.directory / "log"
        self._process: subprocess.Popen[Any] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the end of the block, which kills it."""
        with (
            self._log.open("ab") as log,
            process(self._command, cwd=self.directory, env=self._environment, stdout=log, stderr=log) as self._process,
        ):
            yield

    def run_until(self, count: int) -> None:
        """Run it until it has done so much work, then kill it, as a loss of power does."""
        with self.running():
            self.wait_for(count)

    def wait_for(self, count: int) -> None:
        """Wait until it has done so much work in all."""
        while len(self.done()) < count:
            assert self._process is not None
            assert self._process.poll() is None, self.log()
            time.sleep(POLL_S / 5)

    def wait_for_port(self, url: str) -> None:
        """Wait until it accepts connections."""
        while True:
            try:
                httpx.head(url, trust_env=False)
            except httpx.ConnectError:
                assert self._process is not None
                assert self._process.poll() is None, self.log()
                time.sleep(POLL_S)
            else:
                return

    def forget_cursor(self) -> None:
        """Make it begin with the first event again, at its next start."""
        if (file := self.directory / "consumer.jsonl").exists():
            file.write_text(f"{file.read_text()}\n{{}}")
            return
        with closing(sqlite3.connect(self.directory / "consumer.db")) as db, db:
            db.execute("DELETE FROM progress")

    def exit_code(self) -> int:
        """Wait until it ends, and return its exit code."""
        assert self._process is not None
        return self._process.wait(HANG_S)

    def done(self) -> list[Done]:
        """The work so far, in the order in which it was committed."""
        if (file := self.directory / "consumer.jsonl").exists():
            entries = [entry for line in file.read_text().splitlines() if (entry := _parsed(line))]
            return [Done(each["task"], each["sequence"], each["status"]) for each in entries if "task" in each]
        return self._rows()

    def _rows(self) -> list[Done]:
        file = self.directory / "consumer.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=HANG_S)) as db:
            try:
                return [Done(*row) for row in db.execute("SELECT task, sequence, status FROM work ORDER BY n")]
            except sqlite3.OperationalError:  # the table is not there yet
                return []

    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")


def _parsed(line: str) -> Any:
    """The JSON value of a line, None for one that is not complete yet."""
    try:
        return json.loads(line)
    except ValueError:
        return None
