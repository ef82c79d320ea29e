"""State machines of moto that wait with `.waitForTaskToken` get their answers from a whole watcher, which shows their tokens nowhere."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from anyio.to_thread import run_sync

from tests.e2e.queues import Queue
from tests.e2e.scene import ENDLESS, RUN, configure, events, free_port, get, tasks, until, until_async
from tests.moto_server import environment, plain_client
from tests.process import WatcherProcess
from watcher.model import TaskRef
from watcher.simulator import Scenario, Simulator, simulator

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROLE = "arn:aws:iam::123456789012:role/states"
HEARTBEAT_SECONDS = 3600
"""moto refuses the heartbeats of a state without it, unlike AWS."""


@pytest.fixture
def interpreter(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """moto's server, which carries out state machines. Their calls to SQS go to the same server."""
    monkeypatch.setenv("MOTO_PORT", str(urlsplit(moto_url).port))
    setting = partial(httpx.post, f"{moto_url}/moto-api/config", trust_env=False)
    setting(json={"stepfunctions": {"execute_state_machine": True}}).raise_for_status()
    yield moto_url
    setting(json={"stepfunctions": {"execute_state_machine": False}}).raise_for_status()


class StateMachine:
    """One state that puts a task and its token into a queue, and waits."""

    def __init__(self, url: str, queue: Queue) -> None:
        self.client: Any = plain_client("stepfunctions", url)
        body = {"VoiceConnectorId.$": "$.connector", "SpeakerSearchTaskId.$": "$.task", "taskToken.$": "$$.Task.Token"}
        state = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "TimeoutSeconds": 2 * HEARTBEAT_SECONDS,
            "HeartbeatSeconds": HEARTBEAT_SECONDS,
            "Parameters": {"QueueUrl": queue.url, "MessageBody": body},
            "End": True,
        }
        definition = json.dumps({"StartAt": "Wait", "States": {"Wait": state}})
        self.arn = self.client.create_state_machine(name="calls", definition=definition, roleArn=ROLE)["stateMachineArn"]

    async def start(self, ref: TaskRef) -> str:
        """Start an execution that waits for this task. Returns its ARN."""
        given = json.dumps({"connector": ref.params[0], "task": ref.params[1]})
        reply = await run_sync(partial(self.client.start_execution, stateMachineArn=self.arn, name=uuid.uuid4().hex, input=given))
        return str(reply["executionArn"])

    async def execution(self, arn: str) -> dict[str, Any]:
        """How an execution stands."""
        return dict(await run_sync(partial(self.client.describe_execution, executionArn=arn)))

    async def end(self, arn: str, watcher: WatcherProcess) -> dict[str, Any]:
        """Wait until an execution has ended."""

        async def ended() -> dict[str, Any] | None:
            found = await self.execution(arn)
            return found if found["status"] != "RUNNING" else None

        return dict(await until_async(ended, watcher))


def stored_tokens(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as db:
        return [row[0] for row in db.execute("SELECT token FROM task_tokens WHERE token IS NOT NULL")]


async def shown(directory: Path, watcher: WatcherProcess, url: str, key: str) -> str:
    """All that the API and the commands show, with the body of the only dead letter."""
    paths = ("metrics", "readyz", "v1/tasks", f"v1/tasks/{key}", "v1/events?limit=100", "v1/dead-letters", "")
    pages = [(await get(f"{url}/{path}")).text for path in paths]
    (letter,) = (await get(f"{url}/v1/dead-letters")).json()["dead_letters"]
    pages.append((await get(f"{url}/v1/dead-letters/{letter['id']}")).text)
    assert "********" in pages[-1]
    for command in (["events", key, "--json"], ["dead-letters", "show", letter["id"]]):
        printer = WatcherProcess(directory, watcher.environment, "printer")
        assert await printer.run(*command, "--config", "watcher.yaml") == 0, printer.text()
        pages.append(printer.out.read_text() + printer.text())
    return "\n".join(pages)


def set_status(sim: Simulator, ref: TaskRef, status: str) -> None:
    task = sim.tasks.get(ref)
    assert task is not None
    task.set_status(status, time.time())


async def test_state_machines_get_their_answers(interpreter: str, tmp_path: Path) -> None:
    """A success has the data of the last event, a failure the status, also after SIGKILL; an execution that asks after the end is
    answered too, and no token is in a log line, an event, a metric, a list, or a page."""
    (good, bad), queue, listen = tasks(2), Queue(interpreter), f"127.0.0.1:{free_port()}"
    await queue.create()
    machine = await run_sync(StateMachine, interpreter, queue)
    configure(
        tmp_path,
        sources=[{"type": "sqs", "queue_url": queue.url, "wait": 1}],
        sinks=[{"type": "jsonl", "path": "events.jsonl"}, {"type": "stepfunctions", "heartbeat": 1}],
        api={"listen": listen},
        logs={"level": "debug"},
    )
    async with simulator(Scenario(partial=0, durations=ENDLESS)) as sim:
        watcher = WatcherProcess(tmp_path, {**environment(interpreter), **sim.environment})
        with watcher.running(*RUN):
            executions = [await machine.start(ref) for ref in (good, good, bad)]
            await queue.send(['{"VoiceConnectorId": "abc", "taskToken": "CANARY"}'])
            await until(lambda: sim.tasks.get(good) and sim.tasks.get(bad), watcher)
            await until_async(queue.is_empty, watcher)
        tokens = stored_tokens(tmp_path / "watcher.db")
        assert len(tokens) == 3
        set_status(sim, good, "SUCCEEDED")
        set_status(sim, bad, "FAILED")
        with watcher.running(*RUN):
            first, second, failure = [await machine.end(arn, watcher) for arn in executions]
            late = await machine.end(await machine.start(good), watcher)
            last = {event["subject"]: event["data"] for event in events(tmp_path / "events.jsonl")}
            for success in (first, second, late):
                assert (success["status"], json.loads(success["output"])) == ("SUCCEEDED", last[good.key])
            assert (failure["status"], failure["error"]) == ("FAILED", "FAILED")
            await until(lambda: stored_tokens(tmp_path / "watcher.db") == [], watcher)
            everything = await shown(tmp_path, watcher, f"http://{listen}", good.key)
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143, watcher.text()[-4000:]
    everything += watcher.text() + (tmp_path / "events.jsonl").read_text()
    assert not [token for token in [*tokens, "CANARY"] if token in everything]
