"""`watcher demo --serve` as a new subscriber uses it: follow the events, kill the process, start it again, resume with the last id."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.scene import TRANSITION, get, together, until, until_async
from tests.process import HANG_S, WatcherProcess, completed, process
from watcher.simulator.simulated_task import SimulatedTask, iso
from watcher.simulator.task_file import TaskFile

pytestmark = pytest.mark.process

STATE = "state"
SERVE = ("demo", "--serve", "--port", "0", "--state", STATE, "--tasks", "8")
PAGE = re.compile(r"^  (http://127\.0\.0\.1:\d+)/$", re.MULTILINE)
WITHOUT_PROXY = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@dataclass
class Received:
    """What a subscriber has received over several connections, as text."""

    connections: list[str] = field(default_factory=list)

    def frames(self) -> list[dict[str, str]]:
        """The complete frames: `id`, `data`, or both."""
        found = []
        for text in self.connections:
            for frame in text.split("\n\n")[:-1]:
                found.append(dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":")))
        return found

    def events(self) -> list[dict[str, Any]]:
        """The events in the order in which they came."""
        return [json.loads(frame["data"]) for frame in self.frames() if "data" in frame]

    def last_id(self) -> str | None:
        """The id that a subscriber remembers."""
        return next((frame["id"] for frame in reversed(self.frames()) if "id" in frame), None)

    def ended(self) -> set[str]:
        """The tasks whose last event came."""
        return {event["subject"] for event in self.events() if event["data"]["terminal"]}


Follow = Callable[[WatcherProcess, str, Received], AbstractAsyncContextManager[None]]
"""Follows the events while the block runs. Takes the process and the URL of its page."""


@asynccontextmanager
async def by_httpx(watcher: WatcherProcess, url: str, received: Received) -> AsyncIterator[None]:
    """Follow with a client of our own, until the connection or the block ends."""
    resumed = {"Last-Event-ID": last} if (last := received.last_id()) else {}
    received.connections.append("")

    async def read() -> None:
        headers = {"Accept": "text/event-stream", **resumed}
        async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
            try:
                async with client.stream("GET", f"{url}/v1/events", headers=headers) as response:
                    assert response.status_code == 200
                    async for text in response.aiter_text():
                        received.connections[-1] += text
            except httpx.TransportError:
                return  # the process was killed

    async with anyio.create_task_group() as reader:
        reader.start_soon(read)
        yield
        reader.cancel_scope.cancel()


@asynccontextmanager
async def by_curl(watcher: WatcherProcess, url: str, received: Received) -> AsyncIterator[None]:
    """Follow with the commands that the demo prints."""
    first, resume = (command for command in printed_commands(watcher) if command[0] == "curl" and "-N" in command)
    last = received.last_id()
    command = first if last is None else [word.replace("Last-Event-ID: ID", f"Last-Event-ID: {last}") for word in resume]
    assert command[-1] == f"{url}/v1/events"
    received.connections.append("")
    out = watcher.directory / f"curl-{len(received.connections)}.out"

    async def read() -> None:
        while True:
            received.connections[-1] = out.read_text()
            await anyio.sleep(0.05)

    with out.open("wb") as stdout, process([*command, "--silent"], stdout=stdout, env=WITHOUT_PROXY):
        async with anyio.create_task_group() as reader:
            reader.start_soon(read)
            yield
            reader.cancel_scope.cancel()
    received.connections[-1] = out.read_text()


def printed_commands(watcher: WatcherProcess) -> list[list[str]]:
    """The commands of the newest guide, as a shell reads them."""
    guide = watcher.out.read_text().rpartition("Open the page")[2].replace("\\\n", "")
    return [shlex.split(line) for line in guide.splitlines() if line.startswith("  ") and not PAGE.match(line)]


async def pages(url: str) -> list[dict[str, Any]]:
    """All stored events, from the JSON pages."""
    found: list[dict[str, Any]] = []
    after = "start"
    while new := (page := (await get(f"{url}/v1/events?limit=1000&after={after}")).json())["events"]:
        found += new
        after = page["next"]
    return found


async def started(watcher: WatcherProcess, times: int) -> str:
    """Wait until the demo has printed its guide so many times. Returns the URL of the last one."""

    def guides() -> list[str]:
        return PAGE.findall(watcher.out.read_text())

    await until(lambda: len(guides()) >= times and watcher.out.read_text().endswith("\n\n"), watcher)
    return guides()[-1]


async def subscribe(directory: Path, follow: Follow, kills: int, rng: Random) -> Received:
    """Kill the demo this many times while its events are followed, let the open tasks end, and stop it with SIGINT."""
    watcher, received = WatcherProcess(directory, {}), Received()
    for number in range(kills):
        with watcher.running(*SERVE):
            url, wanted = await started(watcher, number + 1), len(received.events()) + 4
            async with follow(watcher, url, received):
                await until(lambda wanted=wanted: len(received.events()) >= wanted, watcher)
                await anyio.sleep(rng.uniform(0, 1))
                watcher.send(signal.SIGKILL)
                await watcher.wait()
    restarted_at = time.time()
    interrupted = {event["subject"] for event in received.events()} - received.ended()
    assert interrupted, "killed with open tasks"
    with watcher.running(*SERVE):
        url = await started(watcher, kills + 1)
        assert (await get(f"{url}/")).headers["content-type"].startswith("text/html")
        async with follow(watcher, url, received):
            await until(lambda: interrupted <= received.ended(), watcher)
            stored = await pages(url)
            await until(lambda: len(received.events()) >= len(stored), watcher)
            watcher.send(signal.SIGINT)
            assert await watcher.wait() == 130, watcher.text()
    assert watcher.text() == "", "stderr is empty"
    assert watcher.out.read_text().endswith("Stopped. The same command goes on from here.\n")
    assert received.events()[: len(stored)] == stored, "no gap, no repeat"
    check(received.events(), simulated_tasks(directory / STATE), restarted_at)
    return received


def simulated_tasks(state: Path) -> dict[str, SimulatedTask]:
    """What happened to the tasks in truth, by key."""
    with TaskFile(state / "simulator.db") as file:
        return {f"{task.kind.name}/{task.connector}/{task.task_id}": task for task in file.load(time.time())}


def check(found: list[dict[str, Any]], simulated: dict[str, SimulatedTask], restarted_at: float) -> None:
    """Each event comes under one id, numbered from 1 for each task, with true statuses and times. No earlier search is missing."""
    assert len({event["id"] for event in found}) == len(found)
    assert {event["type"] for event in found} == {TRANSITION}, "no watch ended without an answer of the service"
    by_task: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in found:
        by_task[event["subject"]].append(event)
    for key, events in by_task.items():
        assert [int(event["sequence"]) for event in events] == list(range(1, len(events) + 1)), key
        changes = [(event["data"]["to"], event["data"]["updated_at"]) for event in events]
        truth = [(status, iso(at)) for status, at in simulated[key].truth()]
        assert [change for change in truth if change in changes] == changes, f"{key}: {changes} out of {truth}"
    assert {key for key, task in simulated.items() if task.created_at < restarted_at} <= set(by_task)


async def one_kill(directory: Path) -> None:
    """A subscriber with a client of its own."""
    await subscribe(directory, by_httpx, 1, Random(1))


async def a_port_in_use(directory: Path) -> None:
    """Exit 69 with the option to use."""
    watcher = WatcherProcess(directory, {})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert await watcher.run("demo", "--serve", "--state", STATE, "--port", str(port)) == 69
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use." in watcher.text()
    assert "--port" in watcher.text()
    assert "Traceback" not in watcher.text()


async def a_state_in_use(directory: Path) -> None:
    """Exit 74 with the option to use, for a second demo and for a path that is no directory."""
    watcher = WatcherProcess(directory, {})
    (directory / STATE).mkdir()
    with TaskFile(directory / STATE / "simulator.db"):
        assert await watcher.run(*SERVE) == 74
    (directory / "file").touch()
    assert await watcher.run("demo", "--serve", "--port", "0", "--state", "file/state") == 74
    assert watcher.text().count("--state") == 2
    assert "another process uses it" in watcher.text()
    assert "Traceback" not in watcher.text()


async def with_curl(directory: Path) -> None:
    """A subscriber who pastes what the demo prints, while it is killed again and again."""
    await subscribe(directory, by_curl, 4, Random(3))


async def a_task_by_curl(directory: Path) -> None:
    """The command that submits a task starts a watch, which reports the end that the id decides; other commands read the store."""
    watcher = WatcherProcess(directory, {})
    with watcher.running(*SERVE):
        url = await started(watcher, 1)
        (command,) = (each for each in printed_commands(watcher) if each[0] == "curl" and "-N" not in each)
        reply = await anyio.to_thread.run_sync(lambda: completed(command, capture_output=True, env=WITHOUT_PROXY))
        (task,) = json.loads(reply.stdout)["tasks"]
        assert task == {"outcome": "admitted", "key": "speaker-search/abc123/failed-1"}
        (listing,) = (each for each in printed_commands(watcher) if each[:2] == ["watcher", "tasks"])
        lister = WatcherProcess(directory, {}, "tasks")
        assert await lister.run(*listing[1:]) == 0
        assert task["key"] in lister.out.read_text()

        async def end() -> Any:
            return [event for event in await pages(url) if event["subject"] == task["key"] and event["data"]["to"] == "FAILED"]

        await until_async(end, watcher)


@pytest.fixture
def curl() -> str:
    """The path of curl. Skips the test, or fails it with CI=true, where there is none."""
    path = shutil.which("curl")
    if path is None:
        missing = "curl is not installed (Debian: apt-get install curl)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path


async def test_a_subscriber_resumes_after_a_kill(tmp_path: Path) -> None:
    """Over a kill and a restart, a subscriber that resumes with its last id gets each stored event, none of them twice."""
    await together(tmp_path, one_kill)


async def test_what_is_in_use_is_named(tmp_path: Path) -> None:
    """A port or a state directory that cannot be used is named, with the option that chooses another one."""
    await together(tmp_path, a_port_in_use, a_state_in_use)


@pytest.mark.slow
@pytest.mark.usefixtures("curl")
async def test_the_printed_commands_work(tmp_path: Path) -> None:
    """curl follows and resumes over kills by the printed commands, and submits a task that the watcher reports."""
    await together(tmp_path, with_curl, a_task_by_curl)
