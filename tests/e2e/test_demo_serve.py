"""`watcher demo --serve` as a new reader uses it: follow the events, kill the process, start it again, resume from the cursor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from tests.e2e.demo_reader import PAGE, WITHOUT_PROXY, Follow, Received, by_curl, by_httpx, printed_commands
from tests.e2e.scene import TRANSITION, get, together, until, until_async
from tests.process import WatcherProcess, completed
from watcher.simulator.simulated_task import SimulatedTask, iso
from watcher.simulator.task_file import TaskFile

pytestmark = pytest.mark.process

STATE = "state"
SERVE = ("demo", "--serve", "--port", "0", "--state", STATE, "--tasks", "8")


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
    printed = watcher.out.read_text().replace(str(directory / STATE), "~/.local/state/watcher-demo")
    assert printed.endswith("Stopped. To continue from this state, run the same command again.\n")
    assert max(map(len, printed.splitlines())) <= 80
    assert received.events()[: len(stored)] == stored, "no gap, no repeat"
    check(received.events(), simulated_tasks(directory / STATE), restarted_at)
    return received


def simulated_tasks(state: Path) -> dict[str, SimulatedTask]:
    """The true history of the simulated tasks, by key."""
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
    """A reader that is implemented with httpx."""
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
    """Exit 74 with the option to use: for a second demo, a path that is no directory, and a directory with other files."""
    watcher = WatcherProcess(directory, {})
    (directory / STATE).mkdir()
    with TaskFile(directory / STATE / "simulator.db"):
        assert await watcher.run(*SERVE) == 74
    (directory / "file").touch()
    assert await watcher.run("demo", "--serve", "--port", "0", "--state", "file/state") == 74
    assert await watcher.run("demo", "--serve", "--port", "0", "--state", ".") == 74
    assert not (directory / "watcher.yaml").exists()
    assert watcher.text().count("--state") == 3
    assert "another process uses it" in watcher.text()
    assert "Traceback" not in watcher.text()


async def with_curl(directory: Path) -> None:
    """A reader that runs the printed commands, while the demo is killed repeatedly."""
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
        following = next(each for each in printed_commands(watcher) if "--cursor-file" in each)
        follower = WatcherProcess(directory, {}, "events")
        assert await follower.run(*following[1:], "--limit", "2") == 0, follower.text()
        assert len(follower.out.read_text().splitlines()) == 2
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


async def test_a_reader_resumes_after_a_kill(tmp_path: Path) -> None:
    """Over a kill and a restart, a reader that resumes from its cursor gets each stored event, and no id twice."""
    await together(tmp_path, one_kill)


async def test_what_is_in_use_is_named(tmp_path: Path) -> None:
    """A port or a state directory that cannot be used is named, with the option that chooses another one."""
    await together(tmp_path, a_port_in_use, a_state_in_use)


@pytest.mark.slow
@pytest.mark.usefixtures("curl")
async def test_the_printed_commands_work(tmp_path: Path) -> None:
    """The printed curl commands follow the events, resume after kills, and submit a task that the watcher reports."""
    await together(tmp_path, with_curl, a_task_by_curl)
