"""What a kind of the configuration declares as private is in the events only where the configuration allows it, and nowhere else."""

from __future__ import annotations

import builtins
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from tests.scripted_aws import ScriptedAws, scripted_aws  # noqa: F401  the fixture
from watcher.app import build
from watcher.config import parse
from watcher.observe.logs import LogSettings, configure
from watcher.observe.tracing_setup import tracing_to

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


def reply(status: str, /, **changed: Any) -> dict[str, Any]:
    """A reply of the service, with a person in the result and in the message. `changed` are other members of the task."""
    task = {"taskId": "e-1", "taskName": CANARY, "destination": "logs", "status": {"code": status, "message": MESSAGE}}
    return {"exportTasks": [{**task, "executionInfo": {"creationTime": int(time.time() * 1000) - 5000}, **changed}]}


async def outcome(results: str) -> tuple[list[dict[str, Any]], str]:
    """The events of a task, and what the process logs and measures beside them."""
    with capture_logs() as logs:
        async with build(parse(f"{CONFIG}events: {{results: {results}}}\n", "w.yaml", {})) as app:
            await app.run()
        measured = generate_latest(app.metrics.registry).decode()
    return _events(), measured + repr(logs)


def _events() -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in Path("events.jsonl").read_text().splitlines()]


def _stored() -> str:
    return b"".join(file.read_bytes() for file in Path().glob("w.db*")).decode("latin-1")


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


DAMAGED: dict[str, Callable[[ScriptedAws], None]] = {
    "text for the list": lambda aws: aws.answer({"exportTasks": CANARY}),
    "text for the task": lambda aws: aws.answer({"exportTasks": [CANARY]}),
    "text for a structure": lambda aws: aws.answer(reply("RUNNING", executionInfo=CANARY)),
    "structure for the status": lambda aws: aws.answer(reply("RUNNING", status={"code": {CANARY: 1}, "message": MESSAGE})),
    "structure for the result": lambda aws: aws.answer(reply("RUNNING", taskName={CANARY: [CANARY]})),
    "text for a time": lambda aws: aws.answer(reply("RUNNING", executionInfo={"creationTime": CANARY})),
    "another task": lambda aws: aws.answer(reply("RUNNING", taskId=CANARY)),
    "no JSON": lambda aws: aws.answer_text(f"<html>{CANARY}</html>", content_type="text/html"),
    "an error": lambda aws: aws.answer({"__type": "ServiceUnavailableException", "message": CANARY}, status=503),
    "an error of a proxy": lambda aws: aws.answer_text(f"<html>{CANARY}</html>", content_type="text/html", status=418),
}
"""By what is wrong, an answer that has a person where no one expects it."""
EXCEPTIONS = re.compile(
    "|".join(rf"\b{name}\b" for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, Exception))
)


@pytest.mark.usefixtures("submitted")
@pytest.mark.parametrize("damage", DAMAGED.values(), ids=list(DAMAGED))
async def test_a_damaged_reply_shows_nothing_of_a_person(
    scripted_aws: ScriptedAws,  # noqa: F811  the fixture
    damage: Callable[[ScriptedAws], None],
) -> None:
    """Neither spans, logs at debug, metrics, readiness, events, nor the store have it; what is wrong is named without a Python class."""
    log, spans, conditions = io.StringIO(), InMemorySpanExporter(), ""
    configure(LogSettings(level="debug", format="json"), log)

    async def look() -> None:
        nonlocal conditions
        conditions += repr(app.watcher.health.ready())

    scripted_aws.before_answer = look
    damage(scripted_aws)
    scripted_aws.answer(reply("RUNNING"))
    scripted_aws.answer({"__type": "InvalidParameterException", "message": CANARY}, status=400)
    tracer = tracing_to(spans, {}, SimpleSpanProcessor).tracer
    async with build(parse(f"{CONFIG}events: {{results: hashed}}\n", "w.yaml", {}), tracer=tracer) as app:
        await app.run()
        await look()
    traced = json.dumps([span.to_json() for span in spans.get_finished_spans()])
    texts = {"log": log.getvalue(), "metrics": generate_latest(app.metrics.registry).decode(), "readiness": conditions}
    texts |= {"spans": traced, "events": json.dumps(_events()), "store": _stored()}
    assert len(scripted_aws.requests) >= 2, "the damaged reply was read, and the task was polled again"
    assert [name for name, text in texts.items() if CANARY in text or MESSAGE in text] == []
    assert all("exports" in text for name, text in texts.items() if name not in ("log", "readiness"))
    assert [found[0] for name in ("log", "readiness", "spans") for found in EXCEPTIONS.finditer(texts[name])] == []
