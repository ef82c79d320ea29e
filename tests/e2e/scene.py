"""What the end-to-end tests share: configurations, the events that came out, waits, ports, and what must hold of a run.

Task lives are data of the simulator, which runs in the test's own process. Where a test must act while tasks are open, it gives them
lives without end (`ENDLESS`) and ends them with `end_tasks`, so that the order of things does not depend on the speed of the machine.
"""

from __future__ import annotations

import json
import os
import random
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.process import HANG_S, POLL_S, WatcherProcess
from watcher.model import TaskRef
from watcher.simulator import Scenario, Simulator
from watcher.simulator.distributions import parse_durations

CONNECTOR = "abcdefghij0123456789a"
TRANSITION = "watcher.task.transition.v1"
NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
"""Keeps the AWS set-up of this machine out of the tests."""
QUIET = Scenario(partial=0, durations=parse_durations("queue=fixed(0.1),run=fixed(0.5)"))
"""No faults, and short task lives."""
ENDLESS = parse_durations("queue=exponential(0.5),run=never")
"""Lives of tasks that run until `end_tasks`."""


def tasks(count: int, name: str = "task") -> list[TaskRef]:
    """So many speaker searches."""
    return [TaskRef("speaker-search", (CONNECTOR, f"{name}-{n:04d}")) for n in range(count)]


def plain_lines(refs: Iterable[TaskRef]) -> str:
    """The tasks as lines of a file."""
    return "".join(f"{ref.params[0]}/{ref.params[1]}\n" for ref in refs)


def message(ref: TaskRef) -> str:
    """The task as a message for a queue."""
    return json.dumps({"VoiceConnectorId": ref.params[0], "SpeakerSearchTaskId": ref.params[1]})


def end_tasks(sim: Simulator, refs: Iterable[TaskRef]) -> None:
    """Stop these tasks now. Each must have been polled once; a call about it sees STOPPED from now on."""
    for ref in refs:
        task = sim.tasks.get(ref)
        assert task is not None, f"{ref.key} was never polled"
        task.stop(time.time())


def configure(directory: Path, **sections: Any) -> Path:
    """Write watcher.yaml: tasks.txt as the source, SQLite, events.jsonl as the sink, unless `sections` say otherwise."""
    settings: dict[str, Any] = {
        "sources": [{"type": "lines", "path": "tasks.txt"}],
        "store": {"type": "sqlite", "path": "watcher.db"},
        "sinks": [{"type": "jsonl", "path": "events.jsonl"}],
        "cadence": {"type": "fixed", "every": 0.5},
    }
    file = directory / "watcher.yaml"
    file.write_text(json.dumps({**settings, **sections}))
    return file


def service(directory: Path, sim: Simulator, name: str = "watcher", **more: str) -> WatcherProcess:
    """A process whose AWS is the simulator."""
    return WatcherProcess(directory, {**NO_FILES, **sim.environment, **more}, name)


RUN = ("run", "--config", "watcher.yaml")


async def dead_letters(watcher: WatcherProcess) -> list[dict[str, Any]]:
    """What `watcher dead-letters list` prints about the store of this watcher."""
    lister = WatcherProcess(watcher.directory, watcher.environment, "dead-letters")
    assert await lister.run("dead-letters", "list", "--config", "watcher.yaml", "--json") == 0, lister.text()
    found: list[dict[str, Any]] = json.loads(lister.out.read_text())
    return found


def events(file: Path) -> list[dict[str, Any]]:
    """The events in a file of lines. A line that a kill cut off is skipped: its event is sent again."""
    found = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def ends(file: Path) -> set[str]:
    """The keys of the tasks whose last event is in the file."""
    return {event["subject"] for event in events(file) if event["data"]["terminal"]}


def check_events(found: Sequence[Mapping[str, Any]], refs: Iterable[TaskRef], sim: Simulator) -> None:
    """Check delivery: every task, no other task, per task in order from 1 with one end, true statuses, and equal repeats."""
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    ids: dict[str, Any] = {}
    for event in found:
        assert ids.setdefault(event["id"], event) == event, "a repeat is the same event under the same id"
        if event not in by_task[event["subject"]]:
            by_task[event["subject"]].append(event)
    named = {ref.key: ref for ref in refs}
    assert set(by_task) == set(named), "events for each task, and for no other"
    for key, of_task in by_task.items():
        assert [int(event["sequence"]) for event in of_task] == list(range(1, len(of_task) + 1)), key
        assert [event["data"]["terminal"] for event in of_task] == [False] * (len(of_task) - 1) + [True], key
        statuses = [event["data"]["to"] for event in of_task if event["type"] == TRANSITION]
        truth = [status for status, _ in sim.truth(named[key])]
        assert statuses[-1] in (truth[-1], "PARTIAL_SUCCESS"), key
        assert [status for status in truth if status in statuses] == statuses, f"{key}: {statuses} out of {truth}"


async def together(directory: Path, *scenes: Callable[[Path], Awaitable[None]]) -> None:
    """Run scenes at the same time, each in a directory of its own: their processes wait more than they compute."""
    async with anyio.create_task_group() as group:
        for scene in scenes:
            own = directory / scene.__name__
            own.mkdir()
            group.start_soon(scene, own, name=scene.__name__)


async def until(condition: Callable[[], Any], watcher: WatcherProcess) -> Any:
    """Wait until the condition is true, and return its value. Fails with the log once the watcher has ended without it."""

    async def holds() -> Any:
        return condition()

    return await until_async(holds, watcher)


async def until_async(condition: Callable[[], Awaitable[Any]], watcher: WatcherProcess) -> Any:
    """Like `until`, for a condition that has to be awaited."""
    with anyio.move_on_after(HANG_S):
        while True:
            ended = watcher.ended  # read first: what the process did before its end may make the condition true
            if found := await condition():
                return found
            if ended:
                break
            await anyio.sleep(POLL_S)
    raise AssertionError(f"the condition never holds\n{watcher.text()[-6000:]}")


async def get(url: str) -> httpx.Response:
    """The reply to a GET request."""
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
        return await client.get(url)


async def until_metric(url: str, sample: str, watcher: WatcherProcess, least: float = 1) -> str:
    """Wait until /metrics shows at least this value for a sample, which is written as there. Returns the page."""

    async def reached() -> str:
        try:
            page = (await get(f"{url}/metrics")).text
        except httpx.TransportError:
            return ""  # not listening yet
        values = [float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(f"{sample} ")]
        return page if any(value >= least for value in values) else ""

    return str(await until_async(reached, watcher))


async def ready(url: str) -> tuple[bool, dict[str, Any]]:
    """What /readyz says: whether the watcher is ready, and its components."""
    answer = await get(f"{url}/readyz")
    content = answer.json()
    assert answer.status_code == (200 if content["ok"] else 503)
    return content["ok"], content["components"]


async def until_ready(url: str, wanted: bool, watcher: WatcherProcess) -> dict[str, Any]:
    """Wait until /readyz says so. Returns the components."""
    components: dict[str, Any] = {}

    async def as_wanted() -> bool:
        nonlocal components
        try:
            is_ready, components = await ready(url)
        except httpx.TransportError:
            return False  # not listening yet
        return is_ready == wanted

    await until_async(as_wanted, watcher)
    return components


def free_port() -> int:
    """A port on which nothing listens, below those that the system hands out to connections, so that it stays free."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@asynccontextmanager
async def webhook_receiver(status: int, listener: socket.socket | None = None) -> AsyncIterator[tuple[int, list[str]]]:
    """A receiver of webhooks that answers each with `status`. Yields its port and the ids of the events it gets, as they come.

    `listener` is a bound socket on which to listen.
    """
    import asyncio

    ids: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            body = await reader.readexactly(int(fields["content-length"]))
            echo = b"" if status == 204 else body
            writer.write(b"HTTP/1.1 %d Status\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(echo), echo))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            ids.append(fields["webhook-id"])
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the watcher ended in the middle of a request
        finally:
            writer.transport.abort()  # nothing of a connection that broke may be left

    place: dict[str, Any] = {"host": "127.0.0.1", "port": 0} if listener is None else {"sock": listener}
    async with await asyncio.start_server(answer, **place) as server:
        yield server.sockets[0].getsockname()[1], ids
