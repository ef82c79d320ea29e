"""What a kind of the configuration declares as private is in the events only where the configuration allows it, and nowhere else."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from tests.scripted_aws import ScriptedAws, scripted_aws  # noqa: F401  the fixture
from watcher.app import build
from watcher.config import parse

CANARY, MESSAGE = "CANARY-OWNER", "CANARY-MESSAGE"
CONFIG = """
sources: [{type: lines, path: tasks.txt}]
store: {type: sqlite, path: w.db}
sinks: [{type: jsonl, path: events.jsonl}]
pace: {rate: 1000}
cadence: {type: fixed, every: 200ms, min_gap: 50ms}
kinds:
  - name: exports
    service: logs
    operation: describe_export_tasks
    params: {taskId: {}}
    task: exportTasks[0]
    status: status.code
    message: status.message
    created: executionInfo.creationTime
    result: "{owner: taskName, bucket: destination}"
    private: [owner]
    statuses: {PENDING: open, RUNNING: open, COMPLETED: succeeded, FAILED: failed, PENDING_CANCEL: open, CANCELLED: failed}
"""


def reply(status: str) -> dict[str, Any]:
    """A reply of the service, with a person in the result and in the message."""
    task = {"taskId": "e-1", "taskName": CANARY, "destination": "logs", "status": {"code": status, "message": MESSAGE}}
    return {"exportTasks": [{**task, "executionInfo": {"creationTime": int(time.time() * 1000) - 5000}}]}


async def outcome(results: str) -> tuple[list[dict[str, Any]], str]:
    """The events of a task, and what the process logs and measures beside them."""
    with capture_logs() as logs:
        async with build(parse(f"{CONFIG}events: {{results: {results}}}\n", "w.yaml", {})) as app:
            await app.run()
        measured = generate_latest(app.metrics.registry).decode()
    return _events(), measured + repr(logs)


def _events() -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in Path("events.jsonl").read_text().splitlines()]


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of the kind in the file of the source, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.txt").write_text('{"kind": "exports", "taskId": "e-1"}\n')


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize(("results", "owner"), [("full", CANARY), ("hashed", "sha256:"), ("count", None), ("none", "absent")])
async def test_a_private_value_is_hidden(
    scripted_aws: ScriptedAws,  # noqa: F811  the fixture
    results: str,
    owner: str | None,
) -> None:
    """With `hashed` and `count`, the events of such a kind have the other members of its result; with `none` they have no result."""
    scripted_aws.answer(reply("RUNNING"))
    scripted_aws.answer({"__type": "InternalFailure", "message": CANARY}, status=500)
    scripted_aws.answer(reply("COMPLETED"))
    events, elsewhere = await outcome(results)
    last = [event for event in events if event["to"] == "COMPLETED"][-1]
    shown = last.get("result")
    assert shown is None if owner == "absent" else shown["bucket"] == "logs"
    assert owner == "absent" or (shown["owner"] is None if owner is None else shown["owner"].startswith(owner))
    assert (CANARY in json.dumps(events)) == (MESSAGE in json.dumps(events)) == (results == "full")
    assert CANARY not in elsewhere
    assert MESSAGE not in elsewhere
    assert "exports" in elsewhere, "the metrics and the log were read"
