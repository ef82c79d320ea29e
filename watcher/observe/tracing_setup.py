"""Sets up tracing from the standard variables of OpenTelemetry (`OTEL_*`), or leaves it off.

Tracing never prevents the watcher from running: if tracing cannot start, the log has one line. The exporter uses a separate thread
and a bounded queue, and the end of the process waits at most `FLUSH_S` for it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from watcher import __version__
from watcher.observe.tracing import NO_TRACER, Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

log = structlog.get_logger("watcher.tracing")

SERVICE_NAME = "speaker-search-watcher"
"""The `service.name` of the spans, unless a variable sets another one."""
FLUSH_S = 1.5
"""The maximum time to send the last spans, in seconds. After its stop deadline, a process has two seconds left."""
INSTALL = "install the watcher with its extra: pip install '.[tracing]'; the image includes it"


class Tracing:
    """A tracer and its exporter. `close` sends the last spans."""

    def __init__(self, tracer: Tracer = NO_TRACER, shutdown: Callable[[], None] | None = None) -> None:
        self.tracer = tracer
        self._shutdown = shutdown

    def close(self) -> None:
        """Send the remaining spans, for at most `FLUSH_S`. Spans that the collector does not accept until then are lost."""
        if self._shutdown is not None:
            thread = threading.Thread(target=self._shutdown, name="end of tracing", daemon=True)
            thread.start()
            thread.join(FLUSH_S)


def start_tracing(environment: Mapping[str, str], peers: Mapping[str, Mapping[str, str]]) -> Tracing:
    """Start tracing as the variables request. `peers` are attributes of each source and sink, by its name. Raises nothing."""
    if not is_requested(environment):
        return Tracing()
    if obstacle := _obstacle(environment):
        log.warning("tracing_unavailable", reason=obstacle[0], hint=obstacle[1])
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        return tracing_to(OTLPSpanExporter(), peers, BatchSpanProcessor)
    except ImportError:
        log.warning("tracing_unavailable", reason="OpenTelemetry is not installed", hint=INSTALL)
    except Exception:
        log.warning(
            "tracing_unavailable", reason="the exporter cannot be set up", hint="check the OTEL_* variables of this process", exc_info=True
        )
    return Tracing()


def is_requested(environment: Mapping[str, str]) -> bool:
    """Whether the variables request traces: an exporter or an endpoint is set, and nothing turns tracing off."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    return bool(exporter or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def tracing_to(exporter: SpanExporter, peers: Mapping[str, Mapping[str, str]], processor: Callable[[SpanExporter], Any]) -> Tracing:
    """Tracing that sends its spans to an exporter. The provider is not global, so libraries add no spans of their own."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    from watcher.observe.open_telemetry import OpenTelemetryTracer
    from watcher.observe.span_export import ReportingExporter

    named = OTELResourceDetector().detect().attributes
    own = {"service.name": SERVICE_NAME, "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    resource = Resource.create({name: value for name, value in own.items() if name not in named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor(ReportingExporter(exporter, time.monotonic)))
    return Tracing(OpenTelemetryTracer(provider.get_tracer("watcher", __version__), peers), provider.shutdown)


def _obstacle(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable that the watcher does not support, and what to do about it."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp"):
        return "OTEL_TRACES_EXPORTER is not otlp", "set it to otlp, or to none to turn tracing off"
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol and protocol.strip().lower() != "http/protobuf":
        return (
            "the OTLP protocol is not http/protobuf",
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the endpoint of that protocol (port 4318)",
        )
    endpoint = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint and not _is_url(endpoint):
        return "the OTLP endpoint is not a URL", "expected http:// or https:// with a host, such as http://collector:4318"
    return None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
