"""The main job with real parts: moto as SQS and EventBridge, the simulator as the voice service, and SIGKILL in the middle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from tests.e2e.queues import Queue
from tests.e2e.scene import RUN, check_events, configure, dead_letters, tasks, until, until_async
from tests.moto_server import environment, plain_client
from tests.process import HANG_S, POLL_S, WatcherProcess
from watcher.model import TaskRef
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

INVALID: Sequence[str] = (
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


def in_some_form(n: int, ref: TaskRef) -> str:
    """The task in one of the forms that a message may have."""
    connector, task = ref.params
    own = {"kind": "speaker-search", "voice_connector_id": connector, "speaker_search_task_id": task, "context": {"n": n}}
    pascal = {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}
    search = {"SpeakerSearchTaskId": task, "SpeakerSearchTaskStatus": "IN_QUEUE", "CallDetails": {"VoiceConnectorId": connector}}
    reply = {"SpeakerSearchTask": search}
    sns = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(own)}
    bridge = {"version": "0", "id": "e", "detail-type": "started", "source": "app", "detail": reply}
    cloud = {"specversion": "1.0", "id": "c", "source": "/app", "type": "started", "data": pascal}
    forms: tuple[Any, ...] = (own, pascal, reply, sns, bridge, cloud, [own], "bom")
    form = forms[n % len(forms)]
    return "\ufeff" + json.dumps(own) if form == "bom" else json.dumps(form)


@pytest.mark.parametrize("count", [40, pytest.param(300, marks=pytest.mark.long)])
async def test_nothing_is_lost_over_two_kills(moto_url: str, tmp_path: Path, count: int) -> None:
    """Tasks in all message forms between invalid messages, faults, a small quota, two kills: each task's transitions arrive on the bus
    in order with the right end, a repeat has the same id, every message is acknowledged, and each invalid one is a dead letter."""
    scenario = Scenario(
        seed=11,
        quota=20,
        durations=parse_durations("queue=exponential(1),run=2+exponential(4)"),
        faults={"429": 0.02, "500": 0.02, "503": 0.02, "reset": 0.02},
    )
    refs, inbox, outbox = tasks(count), Queue(moto_url), Queue(moto_url, "events")
    await connect_bus(moto_url, outbox)
    await inbox.create()
    await inbox.send(interleaved(refs))
    configure(
        tmp_path,
        sources=[{"type": "sqs", "queue_url": inbox.url, "wait": 2, "visibility": 10}],
        sinks=[{"type": "eventbridge", "bus": "calls"}],
        cadence={"type": "accrual"},
    )
    async with simulator(scenario) as sim:
        keys = {name: value for name, value in sim.environment.items() if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        watcher = WatcherProcess(tmp_path, {**environment(moto_url), "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": sim.url, **keys})
        for share in (0.1, 0.3):  # of the tasks: there are no more calls than that, so the others are not polled yet
            with watcher.running(*RUN):
                await until(lambda share=share: sim.stats.requests >= share * count, watcher)
        assert len(sim.tasks) < count, "killed in the middle"
        with watcher.running(*RUN):
            arrived = await all_events(outbox, watcher, count)
            await until_async(inbox.is_empty, watcher)
        check_events(arrived, refs, sim)
        letters = await dead_letters(watcher)
        assert len(letters) == len(INVALID), sorted(letter["reason"] for letter in letters)
        assert faults_of(sim), "some call failed"


def interleaved(refs: Sequence[TaskRef]) -> list[str]:
    """A message for each task, with the invalid ones evenly between them."""
    bodies = [in_some_form(n, ref) for n, ref in enumerate(refs)]
    step = len(refs) // len(INVALID) + 1
    for n, invalid in enumerate(INVALID):
        bodies.insert(n * step, invalid)
    return bodies


def faults_of(sim: Simulator) -> int:
    """How many calls the simulator did not answer with a task."""
    return sim.stats.requests - sim.stats.outcomes["ok"]


async def connect_bus(url: str, queue: Queue) -> None:
    """Make an event bus whose events go to the queue."""
    await queue.create()

    def connect() -> None:
        bridge = plain_client("events", url)
        bus = bridge.create_event_bus(Name="calls")["EventBusArn"]
        arn = bus.replace(":events:", ":sqs:").replace("event-bus/calls", queue.name)
        bridge.put_rule(Name="all", EventBusName="calls", EventPattern=json.dumps({"source": ["watcher"]}))
        bridge.put_targets(Rule="all", EventBusName="calls", Targets=[{"Id": "queue", "Arn": arn}])

    await run_sync(connect)


async def all_events(queue: Queue, watcher: WatcherProcess, count: int) -> list[dict[str, Any]]:
    """What came out of the bus, in its order, until so many tasks have ended. Fails when nothing comes for `HANG_S`."""
    arrived: list[dict[str, Any]] = []
    ended: set[str] = set()
    while len(ended) < count:
        fresh: list[str] = []
        with anyio.move_on_after(HANG_S):
            while not (fresh := await queue.receive()) and not watcher.ended:  # noqa: ASYNC110 - the queue is at another server
                await anyio.sleep(POLL_S)
        assert fresh, f"{len(ended)} of {count} ended\n{watcher.text()[-6000:]}"
        arrived += [json.loads(body)["detail"] for body in fresh]
        ended = {event["subject"] for event in arrived if event["data"]["terminal"]}
    return arrived
