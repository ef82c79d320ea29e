"""Events to an EventBridge bus: `Source` is `watcher`, `DetailType` the type of the event, `Detail` the event.

EventBridge answers 200 also for entries it did not take, and names them by nothing but their place in the reply. It
keeps no order and drops no repeats: `sequence` and `id` of the event are there for that. One attempt each, no waiting:
that is the runtime's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import BusName
from watcher.adapters.aws.errors import classify
from watcher.adapters.aws.session import AwsClients
from watcher.errors import Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Section

SOURCE = "watcher"
"""What rules match under `source`."""

MAX_BYTES = 240 * 1024
"""Of all the entries of one call; the service's own limit is 256 KiB, and it counts differently in different places."""

TIME_BYTES = 14
"""What EventBridge counts for `Time`."""

RETRYABLE = frozenset({"InternalFailure", "ThrottlingException"})
"""By the documentation of PutEvents; every other code of an entry is for good."""


class EventBridgeSinkSettings(Section):
    """Events to an EventBridge bus."""

    type: Literal["eventbridge"] = "eventbridge"
    """An EventBridge bus."""
    name: Name = "eventbridge"
    """Its cursor, its metrics and its dead letters go by this name; a new name begins with the next event."""
    bus: BusName = "default"
    """The name or the ARN of the bus; every account has one called default."""


class EventBridgeSink:
    """Delivers events to an EventBridge bus with `PutEvents`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: EventBridgeSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._bus = settings.bus
        self._aws = aws

    async def open(self) -> None:
        """Nothing to do: the client is made at the first call, so that credentials which are not there yet delay only this sink."""

    async def close(self) -> None:
        """Nothing to do: clients belong to `AwsClients`."""

    async def check(self) -> str:
        """The bus by its name."""
        reply = await self._aws.call("events", "describe_event_bus", {"Name": self._bus})
        return f"bus {reply.get('Name', self._bus)}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One `PutEvents`, more only where the events are too large to go together."""
        return await batches.deliver([self._entry(event) for event in events], MAX_BYTES, self._post)

    def _entry(self, event: Event) -> batches.BatchEntry | Rejected:
        size = TIME_BYTES + len(SOURCE) + len(event.type) + len(event.body)
        if size > MAX_BYTES:
            return Rejected("size")
        wire = {
            "Time": datetime.fromtimestamp(event.at, UTC),
            "Source": SOURCE,
            "DetailType": event.type,
            "Detail": event.body.decode(),
            "EventBusName": self._bus,
        }
        return batches.BatchEntry(wire, size)

    async def _post(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        reply = await self._aws.call("events", "put_events", {"Entries": list(entries)})
        results = reply.get("Entries") or ()
        if len(results) != len(entries):  # nothing but the place says which entry is meant
            raise Unreadable("no_outcome")
        return [_outcome(result) for result in results]


def _outcome(result: Mapping[str, Any]) -> Outcome:
    """Taken is what got an id; a failed entry has a code in its place."""
    code = result.get("ErrorCode")
    if code:
        error = classify(code, 400)
        return Retry(error) if code in RETRYABLE else Rejected(error.code)
    return Delivered() if result.get("EventId") else Retry(Unreadable("no_outcome"))
