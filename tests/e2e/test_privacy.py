"""What identifies a person is in the events, where they are to hold it, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.scene import CONNECTOR, configure, ends, events, free_port, get, plain_lines, service, tasks, until
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

MARK = "CANARY"
PERSONAL = ("TransactionId", "VoiceProfileId", "StatusMessage", "PhoneNumber")
FAULTS = ("429", "500", "403", "401", "revoked", "half", "truncated", "wrong-id", "html", "garbage", "stale", "reset")


async def test_nobody_is_named_outside_the_events(tmp_path: Path) -> None:
    """With every fault, poison that names persons, a sink that refuses and the log at debug: the mark that every VoiceProfileId,
    TransactionId and StatusMessage carries is in no log line, metric, readiness or list; in events it is as configured."""

    async def one(results: str) -> None:
        directory = tmp_path / results
        directory.mkdir()
        for place, text in (await _written(directory, results)).items():
            assert MARK not in text, f"{place}: {[line for line in text.splitlines() if MARK in line][:3]}"
        marked = [event for event in events(directory / "events.jsonl") if MARK in json.dumps(event)]
        assert bool(marked) == (results == "full")

    async with anyio.create_task_group() as runs:
        runs.start_soon(one, "full")
        runs.start_soon(one, "none")


async def _written(directory: Path, results: str) -> dict[str, str]:
    """Whatever a whole run says beside its events, by where it says so."""
    refs, port, hook = tasks(10), free_port(), free_port()
    task = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": "task-0000"}
    reply = {"SpeakerSearchTask": {**task, "CallDetails": {"VoiceConnectorId": CONNECTOR, "TransactionId": MARK}}}
    poison = ({**dict.fromkeys(PERSONAL, MARK), "VoiceConnectorId": f"../{MARK}", "SpeakerSearchTaskId": MARK}, {MARK: MARK}, [MARK])
    lines = [json.dumps(message) for message in (reply, *poison)]
    (directory / "tasks.txt").write_text(plain_lines(refs) + "\n".join([*lines, f"{MARK} {MARK}", f'{{"{MARK}": ']))
    os.mkfifo(directory / "open")  # so that it does not end by itself
    configure(
        directory,
        sources=[{"type": "lines", "path": "tasks.txt"}, {"type": "lines", "name": "open", "path": "open"}],
        sinks=[{"type": "jsonl", "path": "events.jsonl"}, {"type": "webhook", "url": f"http://127.0.0.1:{hook}/hook"}],
        events={"results": results},
        api={"listen": f"127.0.0.1:{port}"},
        logs={"level": "debug"},
        cadence={"type": "fixed", "every": 0.5},
    )
    lives = parse_durations("queue=fixed(0.2),run=2+exponential(1)")
    scenario = Scenario(seed=1, mark=MARK, partial=0, failed=0.4, durations=lives, faults=dict.fromkeys(FAULTS, 0.02))
    said: dict[str, str] = {}
    async with simulator(scenario) as sim, refusing(hook):
        watcher = service(directory, sim)
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            await until(lambda: len(ends(directory / "events.jsonl")) >= len(refs) // 2, watcher, 60)
            for path in ("metrics", "readyz", "healthz"):
                said[path] = (await get(f"http://127.0.0.1:{port}/{path}")).text
            watcher.send(signal.SIGTERM)
            assert await watcher.wait(25) == 143, watcher.words()[-6000:]
        finally:
            await watcher.kill()
        for command in (["dead-letters", "list", "--json"], ["dead-letters", "list"], ["tasks", "--json"]):
            printed = service(directory, sim, "-".join(command))
            assert await printed.run(*command, "--config", "watcher.yaml") == 0, printed.words()
            assert printed.out.stat().st_size > 0
            said[" ".join(command)] = printed.out.read_text() + printed.words()
    assert len(watcher.lines("input_rejected")) == len(poison) + 2
    assert watcher.lines("event_refused"), "the sink refused"
    assert sum(sim.stats.outcomes.values()) > sim.stats.outcomes["ok"], "faults fired"
    return {**said, "the log": watcher.words(), "stdout": watcher.out.read_text()}


@asynccontextmanager
async def refusing(port: int) -> AsyncIterator[None]:
    """A receiver that never takes an event."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head: Any = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.splitlines() if line.startswith("content-length: "))
        body = await reader.readexactly(int(length.partition(": ")[2]))
        writer.write(b"HTTP/1.1 422 No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield
