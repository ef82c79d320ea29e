"""What the end-to-end tests share: a configuration, the events that came out, and what must hold of them."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx

from tests.e2e.process import WatcherProcess
from watcher.model import TaskRef
from watcher.simulator import Simulator

CONNECTOR = "abcdefghij0123456789a"
TRANSITION = "watcher.task.transition.v1"
NO_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
"""Nothing of this machine's AWS set-up takes part."""


def tasks(count: int, name: str = "task") -> list[TaskRef]:
    return [TaskRef("speaker-search", (CONNECTOR, f"{name}-{n:04d}")) for n in range(count)]


def plain_lines(refs: Iterable[TaskRef]) -> str:
    return "".join(f"{ref.params[0]}/{ref.params[1]}\n" for ref in refs)


def configure(directory: Path, **sections: Any) -> Path:
    """watcher.yaml: lines of tasks.txt in, SQLite, lines of events.jsonl out, unless `sections` say otherwise."""
    settings: dict[str, Any] = {
        "sources": [{"type": "lines", "path": "tasks.txt"}],
        "store": {"type": "sqlite", "path": "watcher.db"},
        "sinks": [{"type": "jsonl", "path": "events.jsonl"}],
    }
    file = directory / "watcher.yaml"
    file.write_text(json.dumps({**settings, **sections}))
    return file


def service(directory: Path, sim: Simulator, name: str = "watcher", **more: str) -> WatcherProcess:
    """A process whose AWS is the simulator."""
    return WatcherProcess(directory, {**NO_FILES, **sim.environment, **more}, name)


def events(file: Path) -> list[dict[str, Any]]:
    """The events in a file of lines; a line that a kill broke off is no event: it is sent again."""
    told = []
    for line in file.read_bytes().splitlines() if file.exists() else ():
        try:
            told.append(json.loads(line))
        except ValueError:
            continue
    return told


def ends(file: Path) -> set[str]:
    return {event["subject"] for event in events(file) if event["data"]["terminal"]}


def check_story(told: Sequence[Mapping[str, Any]], refs: Iterable[TaskRef], sim: Simulator) -> None:
    """I1 to I4: everything told, nothing invented, in order from 1 with one end, repeats identical."""
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    ids: dict[str, Any] = {}
    for event in told:
        assert ids.setdefault(event["id"], event) == event, "a repeat carries the same id and says the same"
        if event not in by_task[event["subject"]]:
            by_task[event["subject"]].append(event)
    named = {ref.key: ref for ref in refs}
    assert set(by_task) == set(named), "an event for each task, and for no other"
    for key, story in by_task.items():
        assert [int(event["sequence"]) for event in story] == list(range(1, len(story) + 1)), key
        assert [event["data"]["terminal"] for event in story] == [False] * (len(story) - 1) + [True], key
        said = [event["data"]["to"] for event in story if event["type"] == TRANSITION]
        truth = [status for status, _ in sim.truth(named[key])]
        assert said[-1] in (truth[-1], "PARTIAL_SUCCESS"), key
        assert [status for status in truth if status in said] == said, f"{key}: {said} out of {truth}"


async def together(directory: Path, *scenes: Callable[[Path], Awaitable[None]]) -> None:
    """Play scenes at the same time, each in a directory of its own: processes wait more than they work."""
    async with anyio.create_task_group() as stage:
        for scene in scenes:
            own = directory / scene.__name__
            own.mkdir()
            stage.start_soon(scene, own, name=scene.__name__)


async def until(what: Callable[[], Any], watcher: WatcherProcess, seconds: float = 30.0) -> Any:
    """Wait for `what` to be true, and return it; with the log in the message if it never is."""
    found = None
    with anyio.move_on_after(seconds):
        while not (found := what()):  # noqa: ASYNC110 - another process makes it true, and rings no bell
            await anyio.sleep(0.05)
    assert found, watcher.words()[-6000:]
    return found


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def ready(url: str) -> tuple[bool, dict[str, Any]]:
    """What /readyz says: whether ready, and the components."""
    answer = await get(f"{url}/readyz")
    told = answer.json()
    assert answer.status_code == (200 if told["ok"] else 503)
    return told["ok"], told["components"]


async def until_ready(url: str, wanted: bool, watcher: WatcherProcess, seconds: float = 30.0) -> dict[str, Any]:
    """Wait until /readyz says so. Returns the components."""
    with anyio.move_on_after(seconds):
        while True:
            try:
                is_ready, components = await ready(url)
                if is_ready == wanted:
                    return components
            except httpx.TransportError:
                assert not watcher.ended, watcher.words()
            await anyio.sleep(0.1)
    raise AssertionError(f"never {'ready' if wanted else 'not ready'}\n{watcher.words()[-6000:]}")


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
