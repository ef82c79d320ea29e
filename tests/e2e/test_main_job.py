"""The main job with real parts: moto as SQS and EventBridge, the simulator as the voice service, and kill -9 in the middle."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.moto_server import environment, plain_client
from watcher.model import TaskRef
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

TASKS, POISON = 300, 20
CONNECTOR = "abcdefghij0123456789a"

BAD: Sequence[bytes | str] = (
    "not json",
    "null",
    "42",
    '{"VoiceConnectorId": "abc"',
    '{"a": 1, "a": 2}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": ".."}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": ""}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": 5}',
    '{"VoiceConnectorId": "abc"}',
    '{"kind": "cat-search", "voice_connector_id": "abc", "speaker_search_task_id": "t"}',
    '{"version": 99, "VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t"}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t", "region": "mars-1"}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t", "deadline_s": "soon"}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "t", "deadline_s": NaN}',
    "[" * 5000 + "]" * 5000,
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "x?operation=stop"}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "a/../b"}',
    '{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "' + "x" * 257 + '"}',
    '{"n": ' + "9" * 5000 + "}",
    '"just a string"',
)


def message(n: int, ref: TaskRef) -> str:
    """One task in one of the forms a message may have."""
    connector, task = ref.params
    own = {"kind": "speaker-search", "voice_connector_id": connector, "speaker_search_task_id": task, "context": {"n": n}}
    pascal = {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}
    reply = {
        "SpeakerSearchTask": {
            "SpeakerSearchTaskId": task,
            "SpeakerSearchTaskStatus": "IN_QUEUE",
            "CallDetails": {"VoiceConnectorId": connector},
        }
    }
    sns = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(own)}
    bridge = {"version": "0", "id": "e", "detail-type": "started", "source": "app", "detail": reply}
    cloud = {"specversion": "1.0", "id": "c", "source": "/app", "type": "started", "data": pascal}
    forms: tuple[Any, ...] = (own, pascal, reply, sns, bridge, cloud, [own], "bom")
    form = forms[n % len(forms)]
    return "\ufeff" + json.dumps(own) if form == "bom" else json.dumps(form)


async def test_nothing_is_lost_or_told_twice_over_two_kills(moto_url: str, tmp_path: Path) -> None:
    """300 tasks in all message forms and 20 poison messages, faults, a small quota, kill -9 twice: each task's transitions
    arrive on the bus in order with the right end, nothing twice under another id, and 20 dead letters are left."""
    scenario = Scenario(
        seed=11,
        quota=20,
        durations=parse_durations("queue=exponential(1),run=2+exponential(4)"),
        faults={"429": 0.02, "500": 0.02, "503": 0.02, "reset": 0.02},
    )
    refs = [TaskRef("speaker-search", (CONNECTOR, f"task-{n:04d}")) for n in range(TASKS)]
    async with simulator(scenario) as sim:
        inbox, outbox = await anyio.to_thread.run_sync(_aws, moto_url, refs)
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": sim.url, **_keys(sim)})
        (tmp_path / "watcher.yaml").write_text(_configuration(inbox))
        for seconds in (6.0, 9.0):
            await watcher.start("run", "--config", "watcher.yaml")
            await anyio.sleep(seconds)
            await watcher.kill()
        await watcher.start("run", "--config", "watcher.yaml")
        arrived = await _arrive(moto_url, outbox, watcher)
        await watcher.kill()
        letters = await _dead_letters(watcher)
        _check_events(arrived, refs, sim)
        assert len(letters) == POISON, sorted(letter["reason"] for letter in letters)
        assert sim.stats.outcomes["ThrottledClientException"] > 0, "the run was not vacuous: faults fired"
        assert await anyio.to_thread.run_sync(_left, moto_url, inbox) == 0, "every input was acknowledged"


def _keys(sim: Simulator) -> dict[str, str]:
    return {name: value for name, value in sim.environment.items() if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def _configuration(inbox: str) -> str:
    return json.dumps(
        {
            "sources": [{"type": "sqs", "queue_url": inbox, "wait": 2, "visibility": 10}],
            "store": {"type": "sqlite", "path": "watcher.db"},
            "sinks": [{"type": "eventbridge", "bus": "calls"}],
        }
    )


def _aws(url: str, refs: Sequence[TaskRef]) -> tuple[str, str]:
    """A queue with the messages in it, and a bus whose events land in another queue. Returns both queues."""
    sqs, events = plain_client("sqs", url), plain_client("events", url)
    inbox = sqs.create_queue(QueueName="tasks")["QueueUrl"]
    outbox = sqs.create_queue(QueueName="events")["QueueUrl"]
    bus = events.create_event_bus(Name="calls")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="calls", EventPattern=json.dumps({"source": ["watcher"]}))
    queue = bus.replace(":events:", ":sqs:").replace("event-bus/calls", "events")
    events.put_targets(Rule="all", EventBusName="calls", Targets=[{"Id": "queue", "Arn": queue}])
    bodies = [message(n, ref) for n, ref in enumerate(refs)]
    for n, bad in enumerate(BAD):
        bodies.insert(n * 15, str(bad))
    for n in range(0, len(bodies), 10):
        entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[n : n + 10])]
        sqs.send_message_batch(QueueUrl=inbox, Entries=entries)
    return inbox, outbox


async def _arrive(url: str, queue: str, watcher: WatcherProcess) -> list[dict[str, Any]]:
    """What came out of the bus, in its order, until every task has ended and nothing more comes."""
    arrived: list[dict[str, Any]] = []
    with anyio.move_on_after(150):
        quiet = 0
        while quiet < 3:
            fresh = await anyio.to_thread.run_sync(_receive, url, queue)
            arrived += fresh
            ended = {event["subject"] for event in arrived if event["data"]["terminal"]}
            quiet = quiet + 1 if len(ended) == TASKS and not fresh else 0
            await anyio.sleep(0 if fresh else 0.5)
    ended = {event["subject"] for event in arrived if event["data"]["terminal"]}
    assert len(ended) == TASKS, f"{len(ended)} ended\n{watcher.words()[-6000:]}"
    return arrived


def _receive(url: str, queue: str) -> list[dict[str, Any]]:
    sqs = plain_client("sqs", url)
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    for one in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=one["ReceiptHandle"])
    return [json.loads(one["Body"])["detail"] for one in messages]


def _left(url: str, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = plain_client("sqs", url).get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


async def _dead_letters(watcher: WatcherProcess) -> list[dict[str, Any]]:
    import sys

    command = [sys.executable, "-m", "watcher", "dead-letters", "list", "--config", "watcher.yaml", "--json"]
    done = await anyio.run_process(command, cwd=watcher.directory, env=watcher.environment)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _check_events(arrived: Sequence[dict[str, Any]], refs: Sequence[TaskRef], sim: Simulator) -> None:
    by_task: dict[str, list[dict[str, Any]]] = defaultdict(list)
    ids: dict[str, Any] = {}
    for event in arrived:
        assert ids.setdefault(event["id"], event) == event, "a repeat carries the same id and says the same"
        if event not in by_task[event["subject"]]:
            by_task[event["subject"]].append(event)
    assert set(by_task) == {ref.key for ref in refs}, "no event for a task nobody submitted"
    for ref in refs:
        events = by_task[ref.key]
        assert [int(e["sequence"]) for e in events] == list(range(1, len(events) + 1)), ref.key
        assert [e["data"]["terminal"] for e in events] == [False] * (len(events) - 1) + [True]
        told = [e["data"]["to"] for e in events if e["type"] == "watcher.task.transition.v1"]
        truth = [status for status, _ in sim.truth(ref)]
        assert told[-1] in (truth[-1], "PARTIAL_SUCCESS"), ref.key
        assert [s for s in truth if s in told] == told, f"{ref.key}: {told} out of {truth}"
