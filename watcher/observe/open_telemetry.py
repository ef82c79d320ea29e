"""The spans of the watcher in OpenTelemetry: their names, attributes, parents, and links. Imports the SDK, which is an extra.

Names and attributes follow the semantic conventions for messaging and for AWS clients; attributes that these do not define begin with
`watcher.`. No attribute contains a result, a status message, a body, a context, or an identifier of a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AttributeValue

from watcher.core.delivery.events import trace_of
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.trace_context import attributes_of
from watcher.errors import RemoteError
from watcher.kinds.kind import Kind
from watcher.model import Change, Event, Observation, Step, Watch
from watcher.observe.tracing import ReadMessage, Span
from watcher.ports import Delivered, Outcome, Rejected, Retry

MAX_LINKS = 128
"""Links of one span, the default limit of OpenTelemetry. A commit may have 500 tasks."""

Attributes = Mapping[str, AttributeValue]


class OpenTelemetryTracer:
    """Implements `Tracer`. `peers` are attributes of each source and sink, by its name, such as the system of a queue."""

    def __init__(self, tracer: trace.Tracer, peers: Mapping[str, Attributes]) -> None:
        self._tracer = tracer
        self._peers = peers

    def intake(self, origin: str, messages: Sequence[ReadMessage]) -> Span:
        """A span for each message, in the trace of its sender. If there is none, a new trace starts, and the tasks get its context."""
        peer = self._peers.get(origin, {})
        name = f"process {peer.get('messaging.destination.name', origin)}"
        started = [
            self._start(name, SpanKind.CONSUMER, _traces_of(each), {**peer, **_intake_attributes(origin, each)}) for each in messages
        ]
        for span, each in zip(started, messages, strict=True):
            if each.invalid:
                _fail(span, each.invalid[0].reason)
        return _Spans(started, [_context_text(span) for span in started])

    def poll(self, kind: Kind, entries: Sequence[PendingEntry]) -> Span:
        """A span in the trace of the task; a call about several tasks is linked to theirs."""
        method = "".join(word.capitalize() for word in kind.operation_for(len(entries)).split("_"))
        call: Attributes = {"rpc.system": "aws-api", "rpc.service": kind.service, "rpc.method": method}
        watches = [entry.watch for entry in entries]
        attributes = {**call, **_about(kind, watches), "watcher.poll.reason": entries[0].reason}
        return _Spans([self._start(f"{kind.service}.{method}", SpanKind.CLIENT, (each.trace for each in watches), attributes)])

    def commit(self, kind: Kind, changes: Sequence[Change]) -> Span:
        """A span in the trace of the task, or linked to those of several tasks."""
        watches = [each.watch for each in changes]
        attributes = {**_about(kind, watches), "watcher.events": sum(len(each.events) for each in changes)}
        return _Spans([self._start("commit", SpanKind.INTERNAL, (each.trace for each in watches), attributes)])

    def delivery(self, sink: str, events: Sequence[Event]) -> Span:
        """A span in the trace of the events, or linked to their traces if they have several."""
        peer = self._peers.get(sink, {})
        attributes: dict[str, AttributeValue] = {**peer, "watcher.sink": sink, "watcher.events": len(events)}
        kind = SpanKind.CLIENT
        if "messaging.system" in peer:
            kind = SpanKind.PRODUCER
            attributes |= {
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.batch.message_count": len(events),
            }
        name = f"send {peer.get('messaging.destination.name', sink)}"
        return _Spans([self._start(name, kind, (trace_of(event) for event in events), attributes)])

    def _start(self, name: str, kind: SpanKind, traces: Iterable[str | None], attributes: Attributes) -> trace.Span:
        """A child of the one trace context that all have; else the root of a trace of its own, with links to theirs."""
        parents = [_span_context(each) for each in dict.fromkeys(traces) if each]
        if len(parents) == 1:
            context = trace.set_span_in_context(NonRecordingSpan(parents[0]), Context())
            return self._tracer.start_span(name, context, kind, attributes)
        links = [Link(parent) for parent in parents[:MAX_LINKS]]
        return self._tracer.start_span(name, Context(), kind, attributes, links)


class _Spans:
    """Implements `Span`, over one span of OpenTelemetry or several."""

    def __init__(self, spans: Sequence[trace.Span], contexts: Sequence[str] = ()) -> None:
        self.contexts = contexts
        self._spans = spans

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for span in self._spans:
            if error is not None:
                _fail(span, error.code if isinstance(error, RemoteError) else type(error).__name__)
            span.end()

    def polled(self, outcomes: Sequence[Observation | RemoteError], steps: Sequence[Step]) -> None:
        """Set the reasons of the steps, and the error or the status."""
        (span,) = self._spans
        span.set_attribute("watcher.outcome", _counted(step.reason for step in steps))
        errors = [each for each in outcomes if isinstance(each, RemoteError)]
        code = errors[0].code if errors else "200"
        if code.isdecimal() and len(code) == 3:
            span.set_attribute("http.response.status_code", int(code))
        if errors:
            _fail(span, code)
        elif len(outcomes) == 1 and isinstance(outcomes[0], Observation):
            span.set_attribute("watcher.status", outcomes[0].status)

    def sent(self, outcomes: Sequence[Outcome]) -> None:
        """Set how many events have each outcome, and the first error."""
        (span,) = self._spans
        span.set_attribute("watcher.outcome", _counted(_OUTCOMES[type(each)] for each in outcomes))
        failed = next((each for each in outcomes if not isinstance(each, Delivered)), None)
        if isinstance(failed, Retry):
            _fail(span, failed.error.code)
        elif isinstance(failed, Rejected):
            _fail(span, failed.reason)


_OUTCOMES: Mapping[type[Outcome], str] = {Delivered: "delivered", Retry: "retried", Rejected: "refused"}
"""The outcomes, as in the metric `watcher_deliveries_total`."""


def _intake_attributes(origin: str, read: ReadMessage) -> Attributes:
    return {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": read.message.id,
        "messaging.message.body.size": len(read.message.body),
        "watcher.source": origin,
        "watcher.tasks": len(read.submitted),
    }


def _about(kind: Kind, watches: Sequence[Watch]) -> Attributes:
    """Return the attributes about tasks. The key of a task has its identifiers, which the log and `watcher explain` also show."""
    about: dict[str, AttributeValue] = {"watcher.kind": kind.name, "watcher.tasks": len(watches)}
    return about | {"watcher.task": watches[0].key} if len(watches) == 1 else about


def _traces_of(read: ReadMessage) -> Sequence[str | None]:
    return [each.trace for each in read.submitted] or [read.message.trace]


def _counted(words: Iterable[str]) -> str:
    """`delivered`, or `delivered=9 retried=1`."""
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else " ".join(f"{word}={count}" for word, count in sorted(counts.items()))


def _fail(span: trace.Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def _span_context(text: str) -> SpanContext:
    _, trace_id, span_id, flags = attributes_of(text)["traceparent"].split("-")
    state = TraceState.from_header([attributes_of(text).get("tracestate", "")])
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)), trace_state=state)


def _context_text(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
