"""`python -m tests.apicheck --tools build/apicheck/bin`: schemathesis against a real watcher with a simulated service.

A watcher without tokens gets most of the requests. Another one, with the store in memory, gets them with a token of each role and
without any. The exit code is 1 if a check fails, if there were fewer than `LEAST` requests, or if a watcher did not stay ready.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.apicheck.streams import check_streams
from tests.e2e.scene import RUN, configure, free_port, ready, service, until_async, until_ready
from tests.process import WatcherProcess
from watcher.simulator import Scenario, simulator

LEAST = 2000
READ, WRITE = "reads-0123456789", "writes-0123456789"
TOKENS = [{"name": "r", "role": "read", "token": READ}, {"name": "w", "role": "write", "token": WRITE}]
SKIPPED = {
    "ignored_auth": "without tokens in the configuration, no request needs one; the runs with tokens cover the rest",
    "allow_header_conformance": "HEAD is answered wherever there is GET, and a path may fit two templates",
    "positive_data_acceptance": "a cursor, an id, and a message are more than their schemas can say",
}
"""Checks of schemathesis that do not apply, and why."""


@dataclass(frozen=True)
class Target:
    """A running watcher."""

    url: str
    process: WatcherProcess
    known: str
    """What exists, by the name of the path parameter, as JSON."""


@asynccontextmanager
async def running(directory: Path, token: str | None = None, **sections: Any) -> AsyncIterator[Target]:
    """A watcher with some tasks and a dead letter. `token` is one with the role write."""
    directory.mkdir()  # noqa: ASYNC240 - nothing else runs yet
    os.mkfifo(directory / "tasks.txt")
    port, source = free_port(), os.open(directory / "tasks.txt", os.O_RDWR)
    url = f"http://127.0.0.1:{port}"
    api = {"listen": f"127.0.0.1:{port}", "tokens": [] if token is None else TOKENS}
    configure(directory, api=api, **sections)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with simulator(Scenario(seed=1, quota=200)) as sim, httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as client:
        process = service(directory, sim)
        try:
            with process.running(*RUN):
                await until_ready(url, True, process)
                os.write(source, b"abc123/stuck-1\nabc123/partial-1\nvoice-tone/abc123/task-2\n{\nno task\n")
                yield Target(url, process, await until_async(lambda: _known(client), process))
                is_ready, components = await ready(url)
                assert is_ready, components
        finally:
            os.close(source)


async def _known(client: httpx.AsyncClient) -> str:
    """The keys and ids in the store, when all of them are there."""
    tasks = (await client.get("/v1/tasks")).json()["tasks"]
    letters = (await client.get("/v1/dead-letters")).json()["dead_letters"]
    if len(tasks) < 3 or len(letters) < 2:
        return ""
    return json.dumps({"key": [task["key"] for task in tasks], "id": [letter["id"] for letter in letters]})


async def check(tools: Path, target: Target, examples: int, token: str | None = None) -> int:
    """Run schemathesis. Returns the number of requests. Raises AssertionError with its report if a check fails."""
    command = [str(tools / "schemathesis"), "run", f"{target.url}/openapi.json", "--checks", "all", "--exclude-checks", ",".join(SKIPPED)]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(examples), "--seed", "1", "--no-shrink", "--warnings", "off"]
    command += ["--suppress-health-check", "all", "--request-timeout", "60", "--continue-on-failure", "-H", "Accept: application/json"]
    command += [] if token is None else ["-H", f"Authorization: Bearer {token}"]
    environment = {**os.environ, "WATCHER_API_CHECK_KNOWN": target.known, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("hooks.py"))}
    done = await anyio.run_process(command, cwd=target.process.directory, env=environment, check=False, stderr=None)
    report = done.stdout.decode()
    assert done.returncode == 0, report
    count = re.search(r"(\d+) generated", report)
    assert count, report
    return int(count[1])


async def check_document(tools: Path, url: str, file: Path) -> None:
    """Raise an error unless the document is valid as OpenAPI 3.1."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        content = (await client.get("/openapi.json")).content
    await anyio.Path(file).write_bytes(content)
    await anyio.run_process([str(tools / "openapi-spec-validator"), str(file)])


async def main(tools: Path, examples: int) -> int:
    """Run all. Returns the exit code."""
    counts: dict[str, int] = {}

    async def without_tokens(directory: Path) -> None:
        async with running(directory) as target:
            await check_document(tools, target.url, directory / "openapi.json")
            counts["streams"] = await check_streams(target.url)
            counts["without tokens in the configuration"] = await check(tools, target, examples)

    async def with_tokens(directory: Path) -> None:
        async with running(directory, WRITE, store={"type": "memory"}) as target:
            counts["with a write token"] = await check(tools, target, examples // 2, WRITE)
            counts["with a read token"] = await check(tools, target, examples // 5, READ)
            counts["without the token that is needed"] = await check(tools, target, examples // 5)

    with tempfile.TemporaryDirectory(prefix="watcher-api-check-") as name:
        async with anyio.create_task_group() as group:
            group.start_soon(without_tokens, Path(name, "open"))
            group.start_soon(with_tokens, Path(name, "closed"))
    for what, count in counts.items():
        print(f"api-check: {what}: {count} requests")
    total = sum(counts.values())
    print(f"api-check: {total} requests; none was answered with a server error, or with anything that is not documented")
    return 0 if total >= LEAST else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.apicheck", description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="the directory with schemathesis and openapi-spec-validator")
    parser.add_argument("--examples", type=int, default=40, help="requests for each operation in the longest run, beside the fixed ones")
    options = parser.parse_args()
    sys.exit(anyio.run(main, options.tools.absolute(), options.examples))
