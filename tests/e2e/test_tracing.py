"""Spans of a real process: they reach a collector, and the watcher also works without a collector."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.log_events import STARTED
from tests.e2e.scene import QUIET, RUN, check_events, configure, ends, events, free_port, plain_lines, service, tasks, together, until
from tests.otlp import collector
from watcher.simulator import simulator

pytestmark = pytest.mark.process

TRACE_ID, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def a_trace_from_the_message_to_the_sink(directory: Path) -> None:
    """The spans of intake, poll, commit, and delivery are children of the sender's span, and each event has its context."""
    (ref,) = refs = tasks(1)
    names = dict(zip(("VoiceConnectorId", "SpeakerSearchTaskId"), ref.params, strict=True))
    configure(directory)
    (directory / "tasks.txt").write_text(json.dumps({**names, "traceparent": f"00-{TRACE_ID}-{SENDER}-01"}))
    async with simulator(QUIET) as sim, collector() as received:
        watcher = service(directory, sim, OTEL_EXPORTER_OTLP_ENDPOINT=received.url, OTEL_RESOURCE_ATTRIBUTES="team=voice")
        assert await watcher.run(*RUN) == 0, watcher.text()
        check_events(events(directory / "events.jsonl"), refs, sim)
    assert {event["traceparent"] for event in events(directory / "events.jsonl")} == {f"00-{TRACE_ID}-{SENDER}-01"}
    spans = [(span.name, span.trace_id.hex(), span.parent_span_id.hex()) for span in received.spans]
    wanted = ("process lines", "chime-sdk-voice.GetSpeakerSearchTask", "commit", "send jsonl")
    assert set(spans) == {(name, TRACE_ID, SENDER) for name in wanted}
    assert received.paths == {"/v1/traces"}
    (resource,) = {tuple(sorted(each.items())) for each in received.resources}
    assert {"service.name": "speaker-search-watcher", "team": "voice"}.items() <= dict(resource).items()
    assert not [line for line in watcher.lines() if line["level"] not in ("info", "warning") or line["logger"].startswith("opentelemetry")]


async def a_collector_that_does_not_answer(directory: Path) -> None:
    """Every event is delivered, and the process ends while the exporter still waits for the answer, which it would do for an hour."""
    refs = tasks(2)
    configure(directory)
    (directory / "tasks.txt").write_text(plain_lines(refs))
    async with simulator(QUIET) as sim, collector() as received:
        received.stalled = True
        watcher = service(directory, sim, OTEL_EXPORTER_OTLP_ENDPOINT=received.url, OTEL_EXPORTER_OTLP_TIMEOUT="3600")
        assert await watcher.run(*RUN) == 0, watcher.text()
        check_events(events(directory / "events.jsonl"), refs, sim)
        assert received.spans, "the exporter waits for an answer"
    assert not [line for line in watcher.lines() if line["logger"].startswith(("opentelemetry", "urllib3"))]


async def a_collector_that_is_not_there(directory: Path) -> None:
    """The log has one line about it, without a traceback, and the watcher runs until SIGTERM."""
    refs = tasks(2)
    os.mkfifo(directory / "tasks.txt")
    configure(directory)
    async with simulator(QUIET) as sim:
        fast = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        watcher = service(directory, sim, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}", **fast)
        with watcher.running(*RUN):
            await watcher.until_logged(STARTED)
            with (directory / "tasks.txt").open("w") as pipe:
                pipe.write(plain_lines(refs))
            await until(lambda: len(ends(directory / "events.jsonl")) == 2, watcher)
            await watcher.until_logged("spans_lost")
            watcher.send(signal.SIGTERM)
            assert await watcher.wait() == 143
        check_events(events(directory / "events.jsonl"), refs, sim)
    assert not [line for line in watcher.lines() if line["logger"].startswith(("opentelemetry", "urllib3"))]
    assert "Traceback" not in watcher.text()


async def test_tracing(tmp_path: Path) -> None:
    """A collector that works, one that never answers, and none."""
    await together(tmp_path, a_trace_from_the_message_to_the_sink, a_collector_that_does_not_answer, a_collector_that_is_not_there)
