"""What identifies a person is in the events, where the configuration allows it, and nowhere else."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.log_events import EVENT_REJECTED, INPUT_REJECTED
from tests.e2e.scene import (
    CONNECTOR,
    RUN,
    configure,
    ends,
    events,
    free_port,
    get,
    plain_lines,
    service,
    tasks,
    together,
    until,
    webhook_receiver,
)
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = [pytest.mark.process, pytest.mark.slow]

MARK = "CANARY"
PERSONAL = ("TransactionId", "VoiceProfileId", "StatusMessage", "PhoneNumber")
FAULTS = ("429", "500", "403", "401", "revoked", "half", "truncated", "wrong-id", "html", "garbage", "stale", "reset")


async def results_full(directory: Path) -> None:
    """With `results: full` the mark is in events only."""
    await check(directory, "full")
    assert any(MARK in json.dumps(event) for event in events(directory / "events.jsonl"))


async def results_none(directory: Path) -> None:
    """With `results: none` it is nowhere."""
    await check(directory, "none")
    assert not any(MARK in json.dumps(event) for event in events(directory / "events.jsonl"))


async def check(directory: Path, results: str) -> None:
    """Fails when the mark is in anything but the events."""
    for place, text in (await output(directory, results)).items():
        assert MARK not in text, f"{place}: {[line for line in text.splitlines() if MARK in line][:3]}"


async def test_personal_data_is_in_events_only(tmp_path: Path) -> None:
    """With every fault, invalid messages that hold names, a sink that rejects and the log at debug, the mark of every VoiceProfileId,
    TransactionId and StatusMessage is in no log line, metric, readiness page or list."""
    await together(tmp_path, results_full, results_none)


async def output(directory: Path, results: str) -> dict[str, str]:
    """All that a run prints, logs and serves beside its events, by where."""
    refs, listen = tasks(10), f"127.0.0.1:{free_port()}"
    task = {"VoiceConnectorId": CONNECTOR, "SpeakerSearchTaskId": "task-0000"}
    reply = {"SpeakerSearchTask": {**task, "CallDetails": {"VoiceConnectorId": CONNECTOR, "TransactionId": MARK}}}
    invalid = ({**dict.fromkeys(PERSONAL, MARK), "VoiceConnectorId": f"../{MARK}", "SpeakerSearchTaskId": MARK}, {MARK: MARK}, [MARK])
    lines = [json.dumps(message) for message in (reply, *invalid)]
    (directory / "tasks.txt").write_text(plain_lines(refs) + "\n".join([*lines, f"{MARK} {MARK}", f'{{"{MARK}": ']))
    os.mkfifo(directory / "open")  # a source that does not end
    lives = parse_durations("queue=fixed(0.2),run=2+exponential(1)")
    scenario = Scenario(seed=1, mark=MARK, partial=0, failed=0.4, durations=lives, faults=dict.fromkeys(FAULTS, 0.02))
    pages: dict[str, str] = {}
    async with simulator(scenario) as sim, webhook_receiver(422) as (port, _):
        configure(
            directory,
            sources=[{"type": "lines", "path": "tasks.txt"}, {"type": "lines", "name": "open", "path": "open"}],
            sinks=[{"type": "jsonl", "path": "events.jsonl"}, {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook"}],
            events={"results": results},
            api={"listen": listen},
            logs={"level": "debug"},
            limits={"retry_refused": 0},  # the receiver refuses every event, so there is nothing to compare one with
        )
        watcher = service(directory, sim)
        with watcher.running(*RUN):
            await until(lambda: len(ends(directory / "events.jsonl")) >= len(refs) // 2, watcher)
            await until(lambda: sim.stats.requests > sim.stats.outcomes["ok"], watcher)  # a fault was met
            await watcher.until_logged(EVENT_REJECTED)
            for path in ("metrics", "readyz", "healthz"):
                pages[path] = (await get(f"http://{listen}/{path}")).text
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143, watcher.text()[-6000:]
        for command in (["dead-letters", "list", "--json"], ["dead-letters", "list"], ["tasks", "--json"]):
            printed = service(directory, sim, "-".join(command))
            assert await printed.run(*command, "--config", "watcher.yaml") == 0, printed.text()
            assert printed.out.stat().st_size > 0
            pages[" ".join(command)] = printed.out.read_text() + printed.text()
    assert len(watcher.lines(INPUT_REJECTED)) == len(invalid) + 2
    return {**pages, "the log": watcher.text(), "stdout": watcher.out.read_text()}
