"""AWS's own notifications: a reason to poll a watched task now, and a submission where the source says so."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, World, key
from watcher.query import DeadLetterQuery
from watcher.runtime.settings import ServiceSettings

pytestmark = pytest.mark.looptime(noop_cycles=0)


def notification(name: str, **event: Any) -> str:
    detail = {"voiceConnectorId": "abc123", "taskId": name, "detailStatus": "IdentificationSuccessful"}
    return json.dumps({"detail-type": "SpeakerSearchStatus", "source": "aws.chime", "region": "eu-west-1", "detail": detail, **event})


def outcomes(w: World, watcher: Any) -> dict[str, float]:
    """The inputs by outcome."""
    families = {family.name: family for family in watcher.metrics.registry.collect()}
    return {s.labels["outcome"]: s.value for s in families["watcher_inputs"].samples if s.value}


async def test_a_notification_about_an_unknown_task_is_ignored_and_counted(world: MakeWorld) -> None:
    """The task was not submitted, so nothing may be reported about it."""
    w = world(finite=False)
    w.queue.put(notification("t-1"))
    async with w.running() as watcher:
        await anyio.sleep(30)
        assert outcomes(w, watcher) == {"ignored": 1}
    assert w.service.stats.requests == 0
    assert len(w.queue) == 0


async def test_with_watch_notified_it_starts_a_watch(world: MakeWorld) -> None:
    """The task is reported to its end, and its message is acknowledged after that, because the store does not survive the process."""
    w = world(finite=False, durations="queue=fixed(1),run=fixed(40)")
    w.queue.watch_notified = True
    w.queue.put(notification("t-1"))
    w.queue.put(notification("t-1"))
    async with w.running() as watcher:
        await anyio.sleep(20)
        assert (len(w.queue), outcomes(w, watcher)) == (2, {"admitted": 1, "hint": 1})
        w.queue.put(notification("t-1"))
        await anyio.sleep(60)
        assert outcomes(w, watcher) == {"admitted": 1, "hint": 2}
        assert w.inbox.of(key("t-1"))[-1]["data"]["terminal"]
        w.queue.put(notification("t-1"))
        await anyio.sleep(60)
        assert outcomes(w, watcher) == {"admitted": 1, "hint": 2, "ended": 1}
    assert len(w.queue) == 0
    assert sum(body["data"]["from"] is None for body in w.inbox.bodies) == 1


async def test_a_submission_beside_the_notification_keeps_its_context(world: MakeWorld) -> None:
    """Of messages that come together, the notification counts last, although it came first."""
    w = world(finite=False)
    w.queue.watch_notified = True
    w.queue.put(notification("t-1"))
    w.submit("t-1", context={"call": 7})
    async with w.running():
        await anyio.sleep(60)
    assert {json.dumps(body["data"]["context"]) for body in w.inbox.bodies} == {'{"call": 7}'}


async def test_a_notification_of_another_region_starts_no_watch(world: MakeWorld) -> None:
    """The task could not be found here: the message is a dead letter."""
    w = world(finite=False, settings=ServiceSettings(region="us-west-2"))
    w.queue.watch_notified = True
    w.queue.put(notification("t-1"))
    async with w.running():
        await anyio.sleep(10)
    assert [letter.reason for letter in (await w.store.dead_letters(DeadLetterQuery())).items] == ["scope"]
    assert w.service.stats.requests == 0


async def test_what_requires_no_action_is_logged_once_by_its_name(world: MakeWorld) -> None:
    """All of it is counted and acknowledged: a broad rule fills neither the log nor the dead letters."""
    w = world(finite=False)
    record = {"detail-type": "AWS API Call via CloudTrail", "source": "aws.chime"}
    for _ in range(5):
        for name in ("GetVoiceToneAnalysisTask", "CreateAttendee"):
            w.queue.put(json.dumps({**record, "detail": {"eventName": name}}))
        w.queue.put(json.dumps({"Type": "UnsubscribeConfirmation"}))
    with capture_logs() as lines:
        async with w.running() as watcher:
            await anyio.sleep(10)
            assert outcomes(w, watcher) == {"ignored": 15}
    named = [line["what"] for line in lines if line["event"] == "input_ignored"]
    assert sorted(named) == [
        "CloudTrail record of CreateAttendee",
        "CloudTrail record of GetVoiceToneAnalysisTask",
        "SNS UnsubscribeConfirmation",
    ]
    assert len(w.queue) == 0
    assert (await w.store.dead_letters(DeadLetterQuery())).items == []


async def test_the_log_says_that_a_task_was_submitted_before(world: MakeWorld) -> None:
    """One line for each receive, with how many are watched and how many have ended, and what to do for one that has."""
    w = world(finite=False, durations="queue=fixed(0),run=fixed(5)")
    w.submit("t-1", "missing-2")
    with capture_logs() as lines:
        async with w.running():
            await anyio.sleep(3)
            w.submit("t-1")
            await anyio.sleep(200)
            w.submit("t-1", "missing-2", "t-3", "t-3")
            await anyio.sleep(10)
    found = [(line["known"], line["ended"], line["example"], line["end_reason"]) for line in lines if line["event"] == "submitted_again"]
    assert found == [(1, 0, key("t-1"), None), (1, 2, key("t-1"), "terminal")]
    open_ones, ended_ones = (line["hint"] for line in lines if line["event"] == "submitted_again")
    assert open_ones == "nothing: these tasks are watched"
    assert ended_ones.endswith(f"submit it after: watcher forget {key('t-1')}")


async def test_an_ignored_notification_is_logged_once(world: MakeWorld) -> None:
    """A notification about a task that is not watched is logged by its name, for the first of them only; the metric counts all."""
    w = world(finite=False)
    w.queue.put(notification("t-1"))
    w.queue.put(notification("t-2"))
    with capture_logs() as lines:
        async with w.running() as watcher:
            await anyio.sleep(30)
            assert outcomes(w, watcher) == {"ignored": 2}
    [line] = [line for line in lines if line["event"] == "input_ignored"]
    assert line["what"] == "notification about a task that is not watched"
    assert "watch_notified: true" in line["hint"]


async def test_a_reduced_deadline_is_logged(world: MakeWorld) -> None:
    """A message that requests more than the longest deadline is watched for the longest one, and one line for each receive says so."""
    w = world(finite=False)
    for name, days in (("t-1", 31), ("t-2", 30), ("t-3", 99)):
        w.queue.put(json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": name, "deadline_s": days * 86_400}))
    with capture_logs() as lines:
        async with w.running():
            await anyio.sleep(5)
    logged = [(line["tasks"], line["deadline_s"]) for line in lines if line["event"] == "deadline_reduced"]
    assert (sum(tasks for tasks, _ in logged), {seconds for _, seconds in logged}) == (2, {30 * 86_400.0})
