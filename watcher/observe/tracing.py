"""Where the loops report their work to distributed tracing, as spans: intake, poll, commit, delivery.

`NO_TRACER` is used while nothing requests tracing: a span is then one object that does nothing, made once. Only
`open_telemetry.py` imports OpenTelemetry. A tracer never raises, never waits, and sees no more than the metrics and the log may.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from watcher.core.polling.pending_entry import PendingEntry
from watcher.errors import InvalidInput, RemoteError
from watcher.kinds.kind import Kind
from watcher.model import Change, Event, Message, Observation, Step, Submission
from watcher.ports import Outcome


class ReadMessage(Protocol):
    """A message and what was found in it."""

    @property
    def message(self) -> Message:
        """The message as it was received."""
        ...

    @property
    def submitted(self) -> Sequence[Submission]:
        """The tasks that it submits."""
        ...

    @property
    def invalid(self) -> Sequence[InvalidInput]:
        """What is wrong with it."""
        ...


class Span(Protocol):
    """One piece of work, from the start of its `with` block to the end. An exception that leaves the block is its error."""

    contexts: Sequence[str]
    """Of an intake: for each message, the trace context of its span, for the tasks that have no context of their own."""

    def __enter__(self) -> Span: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def polled(self, outcomes: Sequence[Observation | RemoteError], steps: Sequence[Step]) -> None:
        """The poll has these outcomes, and they led to these steps."""
        ...

    def sent(self, outcomes: Sequence[Outcome]) -> None:
        """The sink gave these outcomes."""
        ...


class Tracer(Protocol):
    """Starts spans. `origin` and `sink` are names of the configuration."""

    def intake(self, origin: str, messages: Sequence[ReadMessage]) -> Span:
        """Messages are admitted and acknowledged: a span for each."""
        ...

    def poll(self, kind: Kind, entries: Sequence[PendingEntry]) -> Span:
        """A call is made about these tasks."""
        ...

    def commit(self, kind: Kind, changes: Sequence[Change]) -> Span:
        """Changes are written in one transaction."""
        ...

    def delivery(self, sink: str, events: Sequence[Event]) -> Span:
        """A batch is sent to a sink, in one attempt."""
        ...


class _NoSpan:
    """Implements `Span`. Does nothing."""

    contexts: Sequence[str] = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None: ...

    def polled(self, outcomes: Sequence[Observation | RemoteError], steps: Sequence[Step]) -> None: ...

    def sent(self, outcomes: Sequence[Outcome]) -> None: ...


_NO_SPAN = _NoSpan()


class NoTracer:
    """Implements `Tracer`. Its spans do nothing and are always the same object."""

    def intake(self, origin: str, messages: Sequence[ReadMessage]) -> Span:
        """Do nothing."""
        return _NO_SPAN

    def poll(self, kind: Kind, entries: Sequence[PendingEntry]) -> Span:
        """Do nothing."""
        return _NO_SPAN

    def commit(self, kind: Kind, changes: Sequence[Change]) -> Span:
        """Do nothing."""
        return _NO_SPAN

    def delivery(self, sink: str, events: Sequence[Event]) -> Span:
        """Do nothing."""
        return _NO_SPAN


NO_TRACER = NoTracer()
