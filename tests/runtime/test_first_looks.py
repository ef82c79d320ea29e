"""When a task is looked at for the first time, while calls are scarce: as late as it pays, but never too late."""

from __future__ import annotations

import json

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, World, key
from watcher.core.polling.cadence import FIRST_LOOK_S
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

pytestmark = pytest.mark.looptime(noop_cycles=0)

SCARCE = ServiceSettings(pace=PaceSettings(rate=5), watch=WatchSettings(not_found_grace=60))
BUSY_S = 120
"""Seconds after which the watcher knows the tasks, and calls have a price."""


def start(w: World, name: str) -> None:
    """Start a task at the service. One that was never started begins with the first call about it."""
    w.service.tasks.find(SIMULATED_KINDS["speaker-search"], "abc123", name, w.wall())


async def keep_busy(w: World) -> None:
    """Tasks that want more calls than there are: one more every half of a second, each in the queue for 4 s and running for 20 s."""
    for number in range(10_000):
        start(w, f"task-{number}")
        w.submit(f"task-{number}")
        await anyio.sleep(0.5)


def scarce(world: MakeWorld) -> World:
    return world(settings=SCARCE, finite=False, durations="queue=fixed(4),run=fixed(20)", partial=0, stopped=0, failed=0)


async def test_a_first_look_that_would_show_nothing_new_is_saved(world: MakeWorld) -> None:
    """Of tasks that are submitted right after their start, most are not looked at while they are in their first status."""
    w = scarce(world)
    async with w.running(), anyio.create_task_group() as feeding:
        feeding.start_soon(keep_busy, w)
        await anyio.sleep(BUSY_S)
        seen = len(w.inbox.events)
        await anyio.sleep(60)
        feeding.cancel_scope.cancel()
    first = [data["to"] for data in (json.loads(event.body)["data"] for event in w.inbox.events[seen:]) if data["from"] is None]
    assert len(first) > 100
    assert first.count("IN_PROGRESS") > 0.7 * len(first)


async def test_a_message_that_names_an_end_makes_the_first_look_go_at_once(world: MakeWorld) -> None:
    """What it says is not believed, and cannot be left unchecked until a look at a new task pays."""
    w = scarce(world)
    async with w.running(), anyio.create_task_group() as feeding:
        feeding.start_soon(keep_busy, w)
        await anyio.sleep(BUSY_S)
        start(w, "named")
        w.queue.put(
            json.dumps(
                {
                    "SpeakerSearchTask": {
                        "SpeakerSearchTaskId": "named",
                        "SpeakerSearchTaskStatus": "SUCCEEDED",
                        "CallDetails": {"VoiceConnectorId": "abc123"},
                    }
                }
            )
        )
        await anyio.sleep(3)  # a receive that finds nothing takes two
        assert [body["data"]["to"] for body in w.inbox.of(key("named"))] == ["IN_QUEUE"]
        feeding.cancel_scope.cancel()


async def test_a_missing_task_is_noticed_although_its_first_look_waits(world: MakeWorld) -> None:
    """While calls are scarce, its watch ends within the grace and a minute after the submission."""
    w = scarce(world)
    async with w.running(), anyio.create_task_group() as feeding:
        feeding.start_soon(keep_busy, w)
        await anyio.sleep(BUSY_S)
        w.submit("missing-1")
        await anyio.sleep(SCARCE.watch.not_found_grace + FIRST_LOOK_S)
        feeding.cancel_scope.cancel()
    assert [body["data"]["reason"] for body in w.inbox.of(key("missing-1"))] == ["not_found"]


async def test_a_first_look_is_never_later_than_the_deadline(world: MakeWorld) -> None:
    """A watch with a short deadline of its own ends at that time, although a look at its task does not pay yet."""
    w = world(settings=SCARCE, finite=False, durations="queue=fixed(12),run=fixed(20)", partial=0, stopped=0, failed=0)
    async with w.running() as watcher, anyio.create_task_group() as feeding:
        feeding.start_soon(keep_busy, w)
        await anyio.sleep(BUSY_S)
        start(w, "short")
        w.submit("short", deadline_s=4)
        while key("short") not in watcher.loops.pollers:  # noqa: ASYNC110 - what is observed has no event
            await anyio.sleep(0.1)
        await anyio.sleep(6)
        feeding.cancel_scope.cancel()
    assert [body["data"].get("reason") for body in w.inbox.of(key("short"))][-1:] == ["deadline"]
