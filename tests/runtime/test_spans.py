"""The spans of a watcher on virtual time: which there are, in which trace, and what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.runtime.conftest import MakeWorld, World, key
from watcher.core.polling.pending_entry import PendingEntry
from watcher.errors import Unavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef, Watch
from watcher.observe.tracing_setup import tracing_to
from watcher.ports import Delivered, Rejected, Retry

pytestmark = pytest.mark.looptime(noop_cycles=0)

TRACE_ID, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SENDER}-01"
NOT_SAMPLED = PARENT[:-2] + "00"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALL = "chime-sdk-voice.GetSpeakerSearchTask"
PEERS = {"queue": {"messaging.system": "aws_sqs", "messaging.destination.name": "tasks"}, "inbox": {"messaging.system": "aws.sns"}}


async def spans_of(w: World, peers: Any = PEERS) -> Sequence[ReadableSpan]:
    """Run a watcher to its end, and return its spans in the order of their ends."""
    exporter = InMemorySpanExporter()
    tracing = tracing_to(exporter, peers, SimpleSpanProcessor)
    w.tracer = tracing.tracer
    async with w.watcher() as watcher:
        await watcher.run()
    return exporter.get_finished_spans()


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str | None]:
    """The trace, and the parent."""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", None if span.parent is None else f"{span.parent.span_id:016x}"


def linked(span: ReadableSpan) -> set[str]:
    return {f"{link.context.trace_id:032x}" for link in span.links}


async def test_all_work_on_a_task_is_in_the_trace_of_its_message(world: MakeWorld) -> None:
    """Intake, polls, commits, and deliveries are children of the span of the sender."""
    w = world(partial=0)
    w.submit("task-1", traceparent=PARENT, tracestate="congo=t61rcWkgMzE")
    spans = await spans_of(w)
    assert {span.name for span in spans} == {"process tasks", CALL, "commit", "send inbox"}
    assert {ids(span) for span in spans} == {(TRACE_ID, SENDER)}
    assert {span.context.trace_state.get("congo") for span in spans if span.context} == {"t61rcWkgMzE"}


async def test_the_attributes_of_the_spans(world: MakeWorld) -> None:
    """Each span says what was done and with what result, in the words of the metrics and of the semantic conventions."""
    w = world(partial=0)
    w.submit("task-1", traceparent=PARENT)
    spans = await spans_of(w)
    (process,) = named(spans, "process tasks")
    poll, commit, send = (named(spans, name)[-1] for name in (CALL, "commit", "send inbox"))
    message = {"messaging.message.id": "queue-1", "messaging.message.body.size": facts(process)["messaging.message.body.size"]}
    operation = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    assert facts(process) == {**PEERS["queue"], **message, **operation, "watcher.source": "queue", "watcher.tasks": 1}
    about = {"watcher.kind": "speaker-search", "watcher.tasks": 1, "watcher.task": key("task-1")}
    assert facts(poll) == {
        **about,
        "rpc.system": "aws-api",
        "rpc.service": "chime-sdk-voice",
        "rpc.method": "GetSpeakerSearchTask",
        "http.response.status_code": 200,
        "watcher.outcome": "terminal",
        "watcher.poll.reason": "cadence",
        "watcher.status": "SUCCEEDED",
    }
    assert facts(commit) == {**about, "watcher.events": 1}
    operation = {"messaging.operation.name": "send", "messaging.operation.type": "send", "messaging.batch.message_count": 1}
    assert facts(send) == {**PEERS["inbox"], **operation, "watcher.sink": "inbox", "watcher.events": 1, "watcher.outcome": "delivered"}
    kinds = [span.kind for span in (process, poll, commit, send)]
    assert kinds == [SpanKind.CONSUMER, SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER]
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}


@pytest.mark.parametrize(("tasks", "method"), [(1, "GetQueryExecution"), (2, "BatchGetQueryExecution")])
async def test_the_span_of_a_call_names_the_operation_that_is_called(tasks: int, method: str) -> None:
    """A kind may have one operation for one task, and another one for several."""
    exporter, refs = InMemorySpanExporter(), [TaskRef("athena-query", (f"q{n}",)) for n in range(tasks)]
    entries = [PendingEntry(Watch(ref, "w", 0.0, 60.0), 0.0, 0.0, 0.0, "new") for ref in refs]
    with tracing_to(exporter, PEERS, SimpleSpanProcessor).tracer.poll(builtin_catalog()["athena-query"], entries):
        pass
    (span,) = exporter.get_finished_spans()
    assert (span.name, facts(span)["rpc.method"]) == (f"athena.{method}", method)


async def test_a_message_without_a_context_starts_a_trace(world: MakeWorld) -> None:
    """Its intake is the root, all further work on its task is below it, and the events carry its context to their consumers."""
    w = world()
    w.submit("task-1", "task-2")
    spans = await spans_of(w, {})
    roots = {ids(span)[0]: span for span in named(spans, "process queue")}
    assert len(roots) == 2
    assert all(ids(span)[1] is None for span in roots.values())
    for span in spans:
        if "watcher.task" in facts(span):
            trace, parent = ids(span)
            assert parent == f"{roots[trace].context.span_id:016x}"  # type: ignore[union-attr]
    assert {event["traceparent"][3:35] for event in w.inbox.bodies} == set(roots)


async def test_a_trace_that_is_not_sampled_has_no_spans(world: MakeWorld) -> None:
    """The decision of the sender holds, and its events carry the context on."""
    w = world()
    w.submit("task-1", traceparent=NOT_SAMPLED)
    assert await spans_of(w) == ()
    assert {event["traceparent"] for event in w.inbox.bodies} == {NOT_SAMPLED}


async def test_work_on_several_traces_is_linked_to_them(world: MakeWorld) -> None:
    """A message whose tasks have several contexts, and a batch of their events, have traces of their own with links."""
    w = world(durations="queue=fixed(1),run=fixed(1)")
    tasks = [{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": name, "traceparent": c} for name, c in (("a", PARENT), ("b", OTHER))]
    w.queue.put(json.dumps(tasks))
    spans = await spans_of(w)
    (process,) = named(spans, "process tasks")
    both = {TRACE_ID, OTHER[3:35]}
    assert (linked(process), ids(process)[1]) == (both, None)
    batches = [span for span in named(spans, "send inbox") if facts(span)["watcher.events"] == 2]
    assert all((linked(span), ids(span)[1]) == (both, None) for span in batches)
    assert {ids(span)[0] for span in named(spans, CALL)} == both


async def test_a_task_without_a_context_beside_others_with_one(world: MakeWorld) -> None:
    """It is in the trace of its message, below the span of the intake."""
    w = world(partial=0)
    tasks = [
        {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": name, **more} for name, more in (("a", {"traceparent": PARENT}), ("b", {}))
    ]
    w.queue.put(json.dumps(tasks))
    spans = await spans_of(w)
    (process,) = named(spans, "process tasks")
    assert ids(process) == (TRACE_ID, SENDER)
    polls = {facts(span)["watcher.task"]: ids(span) for span in named(spans, CALL)}
    assert polls == {key("a"): (TRACE_ID, SENDER), key("b"): (TRACE_ID, f"{process.context.span_id:016x}")}  # type: ignore[union-attr]


async def test_errors_are_shown(world: MakeWorld) -> None:
    """An invalid message, a failed call, and what a sink did not accept are errors, with the codes of the log and of the metrics."""
    w = world(partial=0, faults={"429": 0.5})
    answers = iter([Retry(Unavailable("503")), Rejected("http_422", "event")])
    w.inbox.answer = lambda event: next(answers, Delivered())
    w.submit("task-1", traceparent=PARENT)
    w.queue.put("nonsense", trace=OTHER)
    spans = await spans_of(w)
    invalid = next(span for span in named(spans, "process tasks") if ids(span)[0] == OTHER[3:35])
    assert (facts(invalid)["error.type"], invalid.status.status_code) == ("parse", StatusCode.ERROR)
    throttled = next(span for span in named(spans, CALL) if span.status.status_code is StatusCode.ERROR)
    assert (facts(throttled)["watcher.outcome"], "watcher.status" in facts(throttled)) == ("throttled", False)
    first, second = named(spans, "send inbox")[:2]
    assert [(facts(each)["watcher.outcome"], facts(each)["error.type"]) for each in (first, second)] == [
        ("retried", "503"),
        ("refused", "http_422"),
    ]


async def test_a_sink_that_raises_is_an_error(world: MakeWorld) -> None:
    """The code of the exception is the type of the error, and its text is nowhere."""
    w = world()
    failures = iter([Unavailable("ECONNRESET", "canary")])

    def fail(event: Any) -> Delivered:
        if (error := next(failures, None)) is not None:
            raise error
        return Delivered()

    w.inbox.answer = fail
    w.submit("task-1")
    spans = await spans_of(w)
    failed = named(spans, "send inbox")[0]
    assert (facts(failed)["error.type"], failed.status.status_code) == ("ECONNRESET", StatusCode.ERROR)
    assert "canary" not in json.dumps([span.to_json() for span in spans])


async def test_spans_hold_no_personal_data(world: MakeWorld) -> None:
    """Neither results nor profiles nor the context of a message is in a span."""
    w = world(partial=0)
    w.submit("task-1", context={"caller": "canary"}, traceparent=PARENT)
    spans = await spans_of(w)
    matches = [match for event in w.inbox.bodies for match in (event["data"]["result"] or {}).get("matches", [])]
    assert matches
    text = json.dumps([span.to_json() for span in spans])
    assert "canary" not in text
    assert not [match for match in matches if match["voice_profile_id"] in text]
