"""The interface through which the loops report spans to distributed tracing: intake, poll, commit, delivery.

If tracing is off, `NO_TRACER` is used: all of its spans are the same object, which does nothing. Only `open_telemetry.py` imports
OpenTelemetry. A tracer never raises and never waits, and spans contain only data that may appear in metrics and logs.
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
        """The entries of the message that are invalid."""
        ...


class Span(Protocol):
    """One operation, from the start of its `with` block to the end. An exception that leaves the block is the error of the span."""

    contexts: Sequence[str]
    """Of an intake: for each message, the trace context of its span, for the tasks that have no context of their own."""

    def __enter__(self) -> Span: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def polled(self, outcomes: Sequence[Observation | RemoteError], steps: Sequence[Step]) -> None:
        """Record the outcomes of a poll, and the steps that follow from them."""
        ...

    def sent(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of a delivery."""
        ...


class Tracer(Protocol):
    """Starts spans. `origin` and `sink` are names of the configuration."""

    def intake(self, origin: str, messages: Sequence[ReadMessage]) -> Span:
        """Start a span for each message, until it is acknowledged."""
        ...

    def poll(self, kind: Kind, entries: Sequence[PendingEntry]) -> Span:
        """Start a span for a call about these tasks."""
        ...

    def commit(self, kind: Kind, changes: Sequence[Change]) -> Span:
        """Start a span for one transaction that writes these changes."""
        ...

    def delivery(self, sink: str, events: Sequence[Event]) -> Span:
        """Start a span for one attempt to send a batch to a sink."""
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
