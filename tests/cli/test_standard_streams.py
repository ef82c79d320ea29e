"""Standard streams that the caller has closed, as `watcher tasks >&-` does."""

# ruff: noqa: ASYNC240 - nothing else runs in the loop while a test looks at a file

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import IO

import anyio
import pytest

from tests.cli.conftest import recorded
from tests.e2e.scene import ENDLESS, RUN, configure, service
from tests.process import PYTHON, completed, process
from tests.queries.recorded import dead_letter
from watcher.simulator import Scenario, simulator

pytestmark = pytest.mark.process

ALL = "<&- >&- 2>&-"
COMMANDS = {
    "--version": 0,
    "--help": 0,
    "config check w.yaml": 0,
    "config show --config w.yaml": 0,
    "config schema": 0,
    "tasks --config w.yaml": 0,
    "dead-letters list --config w.yaml": 0,
    "dead-letters show 1 --config w.yaml --json": 0,
    "dead-letters purge --all --config w.yaml": 64,
    "dead-letters retry --all --config w.yaml": 0,
    "explain abc/none --config w.yaml": 69,
    "events --config w.yaml": 0,
    "events --json --config w.yaml --cursor-file place": 0,
    "forget abc/none --config w.yaml": 0,
    "submit abc/t1 --config w.yaml": 0,
    "run --config w.yaml": 0,
    "run --config none.yaml": 78,
    "watch abc/missing": 78,
    "no-such-command": 64,
}
"""Commands with the exit code of each, as with open streams."""


CASES = [(command, ALL) for command in COMMANDS] + [
    (command, stream) for command in ("tasks --config w.yaml", "run --config w.yaml", "no-such-command") for stream in ALL.split()
]


def closed(redirections: str, *arguments: str) -> list[str]:
    """The command line of the watcher in a shell that closes streams."""
    return ["sh", "-c", f'exec "$@" {redirections}', "sh", PYTHON, "-m", "watcher", *arguments]


@pytest.fixture
def set_up(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    recorded(dead_letters=[dead_letter("1111aaaa1111aaaa")])
    return here


@pytest.mark.parametrize(("command", "streams"), CASES)
def test_a_closed_stream_changes_no_exit_code(set_up: Path, monkeypatch: pytest.MonkeyPatch, command: str, streams: str) -> None:
    """Every command ends with the exit code that it has with open streams, and prints no traceback."""
    if command.startswith("watch"):
        monkeypatch.setenv("AWS_PROFILE", "none")
    done = completed(closed(streams, *command.split()), capture_output=True, text=True)
    assert (done.returncode, "Traceback" in done.stdout + done.stderr) == (COMMANDS[command], False), done.stderr


def test_no_input_comes_from_a_closed_stdin(set_up: Path) -> None:
    """A closed stdin is an empty one, for `submit -` and for a source that reads it."""
    assert completed(closed("<&-", "submit", "-", "--config", "w.yaml"), capture_output=True).returncode == 64
    (set_up / "w.yaml").write_text((set_up / "w.yaml").read_text().replace("tasks.txt", "'-'"))
    assert completed(closed("<&-", "run", "--config", "w.yaml"), capture_output=True).returncode == 0


async def test_events_for_a_closed_stdout_go_nowhere_else(set_up: Path) -> None:
    """A sink that writes to a closed stdout is unhealthy and keeps its events, and no other file gets them."""
    (set_up / "w.db").unlink()
    async with simulator(Scenario(durations=ENDLESS)) as sim:
        configure(set_up, sinks=[{"type": "jsonl", "name": "out", "path": "-"}], store={"path": "w.db"}, logs={"format": "json"})
        (set_up / "tasks.txt").write_text("abc/t1\n")
        environment = {**service(set_up, sim).environment}
        with process(closed(">&-", *RUN), stderr=subprocess.PIPE, env=environment) as run:
            assert run.stderr is not None
            line = await anyio.to_thread.run_sync(partial(_first, run.stderr, b'"sink:out"'))
    assert b"unavailable: stdout_closed" in line
    files = [file.name for file in set_up.iterdir() if b'"specversion"' in file.read_bytes()]
    assert {name.split("-")[0] for name in files} == {"w.db"}


def _first(lines: IO[bytes], text: bytes) -> bytes:
    """The first line with this text."""
    return next(line for line in lines if text in line)
