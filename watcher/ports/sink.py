"""Where events go, and what becomes of each one there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from watcher.errors import RemoteError
from watcher.model import Event, RefusalCause


@dataclass(frozen=True, slots=True)
class Delivered:
    """The sink holds the event durably."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The sink did not accept the event this time. `error` says why, and when to retry if the sink said so."""

    error: RemoteError
    called: bool = True
    """False: no call was made about the event, so it cannot have arrived. The error is that of a call about another event."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The sink refused the event, and sending it again unchanged would not help. `reason` is a code, such as `http_422`.

    The runtime decides whether the event becomes a dead letter with this reason, or whether the sink refuses everything
    at the moment: `core.delivery.refusals`. `cause` is what the adapter knows about that.
    """

    reason: str
    cause: RefusalCause = field(default="unknown", compare=False)


Outcome = Delivered | Retry | Rejected


class Sink(Protocol):
    """Where events go."""

    name: str
    max_batch: int
    """Most events in one `send`; no two are of the same task."""
    concurrency: int
    """How many `send` calls may run at once, never two with the same task."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Make one attempt. Returns an outcome for each event, in order.

        Raises a RemoteError when no event was accepted, and PeerGone when this process can never deliver to it again.
        """
        ...


@runtime_checkable
class LocalSink(Sink, Protocol):
    """A sink on this machine, whose `send` has no deadline of its own, because a write to a file cannot be given up."""

    writes_here: bool
    """True. A `send` that takes longer than 10 s makes the sink unhealthy."""


@runtime_checkable
class TokenSink(Sink, Protocol):
    """A sink that answers the task tokens of executions that wait for the end of a task.

    In a `send`, each event has one token or none; an event with several tokens is given several times. The last event of a task is
    the answer, any other one is a heartbeat. An event without a token is `Delivered`. A `send` that raises has made one call, about
    the first event with a token. A `Retry` for an event about which no call was made says so.
    """

    answers_task_tokens: bool
    """True."""
    heartbeat_s: float | None
    """Seconds between two heartbeats for each token; None: only events are heartbeats."""
    closed_reasons: Collection[str]
    """The reasons of a `Rejected` that can mean that the token was answered before."""

    async def heartbeat(self, tokens: Sequence[str]) -> Sequence[Outcome]:
        """Send a heartbeat for each token, because its task has not ended. Returns an outcome for each, and raises, as `send` does."""
        ...

    def may_have_arrived(self, error: RemoteError) -> bool:
        """Whether an answer may have arrived although the attempt ended with this error."""
        ...
