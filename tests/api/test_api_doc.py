"""docs/api.md: its requests work on a real watcher, and its tables are complete."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.api.running import api_of
from tests.apicheck.__main__ import WRITE, Target, running
from tests.pages import ROOT, blocks, first_column
from tests.process import HANG_S, process
from tests.runtime.conftest import MakeWorld
from watcher.api import connections, event_routes, event_stream, request_body, settings

PAGE = ROOT / "docs" / "api.md"
ELSEWHERE = {"GET /", "GET /openapi.json"}
"""Paths that are not in the OpenAPI document."""


def commands() -> Iterator[tuple[str, str]]:
    """Each command of the page, with the output that the page shows."""
    for block in blocks(PAGE, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip()


def test_the_limits_are_those_of_the_code() -> None:
    """The limits of the page are the constants and defaults of the code."""
    section = PAGE.read_text().split("## Limits")[1].split("\n## ")[0]
    assert request_body.MAX_BODY == 1024 * 1024
    assert f"| {connections.REQUEST_S:.0f} s |" in section
    assert f"| {connections.IDLE_S} s |" in section
    assert f"| {connections.MAX_CONNECTIONS}. " in section
    assert f"`api.max_readers` ({settings.ApiSettings().max_readers})" in section
    assert f"| `wait` | {event_routes.MAX_WAIT_S:.0f} s |" in section
    assert f"After {event_stream.HEARTBEAT_S:.0f} s" in PAGE.read_text()


async def test_each_path_is_in_the_table(world: MakeWorld) -> None:
    """The table lists the operations of the OpenAPI document, the page at `/`, and the documents, each with its role."""
    w = world(finite=False)
    paths = api_of(w, w.watcher()).server.api.openapi()["paths"]
    operations = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert {name for row in first_column(PAGE, "## All paths") for name in row} == operations | ELSEWHERE


@pytest.mark.process
async def test_the_requests_of_the_page_work(tmp_path: Path) -> None:
    """Each curl command succeeds on a watcher with tokens, in the order of the page, and prints what the page shows."""
    if shutil.which("curl") is None:
        if os.environ.get("CI"):
            pytest.fail("cannot find curl")
        pytest.skip("cannot find curl")
    async with running(tmp_path / "watcher", WRITE) as target:
        for command, output in commands():
            await anyio.to_thread.run_sync(check_command, target, command, output)


def check_command(target: Target, command: str, output: str) -> None:
    """Run a command against a watcher. A stream is read up to its first event."""
    environment = {**os.environ, "TOKEN": WRITE, "no_proxy": "*"}
    bearer = "" if "Authorization" in command else f" -H 'Authorization: Bearer {WRITE}'"
    line = command.replace("curl ", f"curl -sS{bearer} ", 1).replace("http://127.0.0.1:8080", target.url)
    if " -N " not in line:
        failing = "" if output.startswith('{"type"') else " --fail-with-body"
        done = subprocess.run(["sh", "-c", line + failing], env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert output in ("", done.stdout.strip()), command
        return
    with process(["sh", "-c", f"exec {line}"], env=environment, stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        assert any(read.startswith("data: {") for read in stream.stdout), command
