"""When the variables of OpenTelemetry turn tracing on, what prevents it, and what a failing collector causes."""

from __future__ import annotations

import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from tests.process import PYTHON, completed
from watcher import __version__
from watcher.config.peers import peers_of
from watcher.config.settings import Settings
from watcher.kinds.catalog import builtin_catalog
from watcher.observe import tracing_setup
from watcher.observe.span_export import REPORT_S, ReportingExporter
from watcher.observe.tracing import NO_TRACER
from watcher.observe.tracing_setup import SERVICE_NAME, Tracing, is_requested, start_tracing, tracing_to

KIND = builtin_catalog().default
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine that runs the tests."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "requested"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, True),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
    ],
)
def test_an_exporter_or_an_endpoint_turns_tracing_on(variables: Mapping[str, str], requested: bool) -> None:
    """Nothing else does, and the two variables that turn it off have priority."""
    assert is_requested(variables) is requested


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "otlp"),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp,console"}, "otlp"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "http://"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, "http://"),
    ],
)
def test_variables_that_cannot_be_used_are_one_line_of_the_log(variables: Mapping[str, str], hint: str) -> None:
    """The watcher runs without tracing, and the hint says what to set."""
    with capture_logs() as logs:
        tracing = start_tracing(variables, {})
    assert tracing.tracer is NO_TRACER
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("tracing_unavailable", "warning")
    assert hint in line["hint"]


@pytest.mark.parametrize("module", ["opentelemetry.sdk.trace.export", "opentelemetry.exporter.otlp.proto.http.trace_exporter"])
def test_without_the_extra_the_log_says_what_to_install(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """The watcher runs without tracing."""
    monkeypatch.setitem(sys.modules, module, None)
    with capture_logs() as logs:
        assert start_tracing(ENDPOINT, {}).tracer is NO_TRACER
    assert [(line["event"], "pip install '.[tracing]'" in line["hint"]) for line in logs] == [("tracing_unavailable", True)]


@pytest.mark.process
@pytest.mark.parametrize("variables", [{}, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"}])
def test_without_the_variables_no_sdk_is_imported(variables: Mapping[str, str]) -> None:
    """Neither the SDK nor the exporter is imported. FastAPI itself imports the API of OpenTelemetry."""
    script = f"""
import sys
import watcher.cli.service_process
from watcher.observe.tracing import NO_TRACER
from watcher.observe.tracing_setup import start_tracing
assert start_tracing({dict(variables)}, {{}}).tracer is NO_TRACER
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "watcher.observe.open_telemetry"))])
"""
    assert completed([PYTHON, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_without_tracing_a_span_is_always_the_same_object() -> None:
    """The hooks of the loops allocate nothing that stays, and do not look at their arguments."""
    spans = [NO_TRACER.intake("q", ()), NO_TRACER.poll(KIND, ()), NO_TRACER.commit(KIND, ()), NO_TRACER.delivery("s", ())]
    assert len({id(span) for span in spans}) == 1
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        for _ in range(1000):
            with NO_TRACER.poll(KIND, ()) as span:
                span.polled((), ())
        after = tracemalloc.take_snapshot().compare_to(before, "filename")
    finally:
        tracemalloc.stop()
    assert [stat for stat in after if "observe/tracing.py" in stat.traceback[0].filename and stat.count_diff > 0] == []


def resource(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[str, Any]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter = InMemorySpanExporter()
    with tracing_to(exporter, {}, SimpleSpanProcessor).tracer.commit(KIND, ()):
        pass
    (span,) = exporter.get_finished_spans()
    return dict(span.resource.attributes)


def test_the_service_has_a_name_and_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process has an id of its own."""
    found = resource(monkeypatch)
    assert (found["service.name"], found["service.version"]) == (SERVICE_NAME, __version__)
    assert found["service.instance.id"] != resource(monkeypatch)["service.instance.id"]


@pytest.mark.parametrize("variables", [{"OTEL_SERVICE_NAME": "mine"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine,a=b"}])
def test_the_variables_name_the_service(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """A name in the variables replaces the default."""
    found = resource(monkeypatch, **variables)
    assert (found["service.name"], found["service.version"]) == ("mine", __version__)


class FailingExporter(SpanExporter):
    """Fails as long as `error` is set."""

    def __init__(self) -> None:
        self.error: Exception | SpanExportResult | None = SpanExportResult.FAILURE
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if isinstance(self.error, Exception):
            raise self.error
        return self.error or SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.closed = True


def test_lost_spans_are_one_line_in_ten_minutes() -> None:
    """The next line counts what was lost since the last one. An exception of the exporter counts as a failure, without its text."""
    now = 0.0
    inner = FailingExporter()
    exporter = ReportingExporter(inner, lambda: now)
    with capture_logs() as logs:
        for failure in (SpanExportResult.FAILURE, ValueError("canary"), SpanExportResult.FAILURE):
            inner.error = failure
            assert exporter.export([None, None]) is SpanExportResult.FAILURE  # type: ignore[list-item]
        inner.error = None
        assert exporter.export([None]) is SpanExportResult.SUCCESS  # type: ignore[list-item]
        now, inner.error = REPORT_S, SpanExportResult.FAILURE
        exporter.export([None])  # type: ignore[list-item]
    assert [(line["event"], line["spans"]) for line in logs] == [("spans_lost", 2), ("spans_lost", 5)]
    assert "canary" not in json.dumps(logs)
    exporter.shutdown()
    assert inner.closed


def test_the_end_waits_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shutdown that never returns does not keep the process from ending: its thread is a daemon."""
    monkeypatch.setattr(tracing_setup, "FLUSH_S", 0.01)
    release, threads = threading.Event(), []

    def hang() -> None:
        threads.append(threading.current_thread())
        release.wait()

    Tracing(shutdown=hang).close()
    assert [(thread.daemon, thread.is_alive()) for thread in threads] == [(True, True)]
    release.set()
    threads[0].join()


def test_peers_are_named_without_secrets() -> None:
    """Queues, topics, and hosts have names; paths, accounts, and files do not appear."""
    sources = [
        {"type": "sqs", "queue_url": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks.fifo"},
        {"type": "lines", "path": "canary"},
    ]
    sinks = [
        {"type": "sqs", "name": "out", "queue_url": "https://sqs.us-east-1.amazonaws.com/111122223333/events"},
        {"type": "sns", "topic_arn": "arn:aws:sns:us-east-1:111122223333:calls"},
        {"type": "eventbridge"},
        {"type": "kinesis", "stream": "arn:aws:kinesis:us-east-1:111122223333:stream/calls"},
        {"type": "lambda", "function": "arn:aws:lambda:us-east-1:111122223333:function:calls:live"},
        {"type": "stepfunctions"},
        {"type": "webhook", "url": "https://example.com/canary?token=canary"},
        {"type": "jsonl", "path": "canary"},
    ]
    peers = peers_of(Settings(sources=sources, sinks=sinks))  # type: ignore[arg-type]
    assert peers == {
        "sqs": {"messaging.system": "aws_sqs", "messaging.destination.name": "tasks.fifo"},
        "lines": {},
        "out": {"messaging.system": "aws_sqs", "messaging.destination.name": "events"},
        "sns": {"messaging.system": "aws.sns", "messaging.destination.name": "calls"},
        "eventbridge": {"rpc.system": "aws-api", "rpc.service": "EventBridge", "rpc.method": "PutEvents"},
        "kinesis": {"rpc.system": "aws-api", "rpc.service": "Kinesis", "rpc.method": "PutRecords"},
        "lambda": {"faas.invoked_provider": "aws", "faas.invoked_name": "calls"},
        "stepfunctions": {"rpc.system": "aws-api", "rpc.service": "SFN"},
        "webhook": {"http.request.method": "POST", "server.address": "example.com"},
        "jsonl": {},
    }
