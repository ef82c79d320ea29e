"""The trace context of a message is in the events of its tasks, and its trace id in the log lines about them."""

from __future__ import annotations

import json

import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld, key
from watcher.errors import Unavailable
from watcher.ports import Delivered, Retry

pytestmark = pytest.mark.looptime(noop_cycles=0)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT, STATE = f"00-{TRACE_ID}-00f067aa0ba902b7-01", "congo=t61rcWkgMzE"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_each_event_has_the_context_of_its_message(world: MakeWorld) -> None:
    """Also one that comes beside the body; a context in the body counts before that one."""
    w = world()
    w.submit("in-the-body", traceparent=PARENT, tracestate=STATE)
    w.submit("none")
    for id_, members in (("beside", {}), ("both", {"traceparent": OTHER})):
        w.queue.put(json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": id_, **members}), trace=f"{PARENT} {STATE}")
    async with w.watcher() as watcher:
        await watcher.run()
    found = {
        name: {(e.get("traceparent"), e.get("tracestate")) for e in w.inbox.of(key(name))} for name in ("in-the-body", "beside", "both")
    }
    assert found == {"in-the-body": {(PARENT, STATE)}, "beside": {(PARENT, STATE)}, "both": {(OTHER, None)}}
    assert all("traceparent" not in e and "tracestate" not in e for e in w.inbox.of(key("none")))


async def test_lines_about_a_traced_task_have_its_trace_id(world: MakeWorld) -> None:
    """Lines about its events, about a repeated submission, about a reduced deadline, and about an invalid message."""
    w = world()
    answers = iter([Retry(Unavailable("503"))])
    w.inbox.answer = lambda event: next(answers, Delivered())
    w.submit("task-1", "task-1", traceparent=PARENT, deadline_s=1e9)
    w.queue.put("nonsense", trace=OTHER)
    with capture_logs() as logs:
        async with w.watcher() as watcher:
            await watcher.run()
    found = {line["event"]: line.get("trace_id") for line in logs}
    assert {name: found[name] for name in ("delivery_failed", "submitted_again", "deadline_reduced")} == {
        "delivery_failed": TRACE_ID,
        "submitted_again": TRACE_ID,
        "deadline_reduced": TRACE_ID,
    }
    assert found["input_rejected"] == OTHER[3:35]


async def test_lines_about_other_tasks_have_none(world: MakeWorld) -> None:
    """Without a context no line has the fact."""
    w = world()
    answers = iter([Retry(Unavailable("503"))])
    w.inbox.answer = lambda event: next(answers, Delivered())
    w.submit("task-1", "task-1", deadline_s=1e9)
    with capture_logs() as logs:
        async with w.watcher() as watcher:
            await watcher.run()
    assert {"delivery_failed", "submitted_again", "deadline_reduced"} <= {line["event"] for line in logs}
    assert not [line for line in logs if "trace_id" in line]
