"""Logs spans that cannot be exported, at most one line in ten minutes; the SDK would log every attempt. Imports the SDK, an extra."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger("watcher.tracing")

REPORT_S = 600.0
"""Seconds between two lines about spans that are lost."""
HINT = "check the collector and OTEL_EXPORTER_OTLP_ENDPOINT; the watcher works without a collector"


class ReportingExporter(SpanExporter):
    """An exporter whose failures are one line of the log in ten minutes. `clock` returns monotonic seconds."""

    def __init__(self, exporter: SpanExporter, clock: Callable[[], float]) -> None:
        self._exporter = exporter
        self._clock = clock
        self._lost = 0
        self._reported_at: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Make one export. Raises nothing."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, it must not end the thread of the exporter; the spans are reported as lost
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self._report(len(spans))
        return result

    def shutdown(self) -> None:
        """Close the exporter."""
        self._exporter.shutdown()

    def _report(self, lost: int) -> None:
        self._lost += lost
        now = self._clock()
        if self._reported_at is None or now - self._reported_at >= REPORT_S:
            log.warning("spans_lost", spans=self._lost, hint=HINT)
            self._lost, self._reported_at = 0, now
