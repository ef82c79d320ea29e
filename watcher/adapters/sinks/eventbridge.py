"""Put events on an EventBridge bus: `Source` is `watcher`, `DetailType` the type of the event, `Detail` the event.

EventBridge returns status 200 also for entries it did not accept, and identifies them only by their index in the reply.
It neither keeps the order nor drops repeats: consumers use `sequence` and `id` of the event for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import BusName, arn_region
from watcher.errors import Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need

SOURCE = "watcher"
"""The value of `source` that rules match."""

MAX_BYTES = 240 * 1024
"""Bytes of all entries in one call. The limit of the service is 256 KiB, but its parts count the size differently."""

TIME_BYTES = 14
"""Bytes that EventBridge counts for `Time`."""


class EventBridgeSinkSettings(Section):
    """Events to an EventBridge bus."""

    type: Literal["eventbridge"] = "eventbridge"
    """An EventBridge bus."""
    name: Name = "eventbridge"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    bus: BusName = "default"
    """The name or the ARN of the bus. Every account has one called default."""


class EventBridgeSink:
    """Puts events on an EventBridge bus with `PutEvents`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: EventBridgeSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._bus = settings.bus
        self._region = arn_region(settings.bus)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Return the name of the bus."""
        reply = await self._aws.call("events", "describe_event_bus", {"Name": self._bus}, region=self._region)
        return f"bus {reply.get('Name', self._bus)}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Call `PutEvents` once, or more often if the events are too large for one call."""
        return await batches.send_all([self._entry(event) for event in events], MAX_BYTES, self._send_batch)

    def _entry(self, event: Event) -> batches.BatchEntry | Rejected:
        size = TIME_BYTES + len(SOURCE) + len(event.type) + len(event.body)
        if size > MAX_BYTES:
            return Rejected("size", "event")
        fields = {
            "Time": datetime.fromtimestamp(event.at, UTC),
            "Source": SOURCE,
            "DetailType": event.type,
            "Detail": event.body.decode(),
            "EventBusName": self._bus,
        }
        return batches.BatchEntry(fields, size)

    async def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        reply = await self._aws.call("events", "put_events", {"Entries": list(entries)}, region=self._region)
        results = reply.get("Entries") or ()
        if len(results) != len(entries):  # only the index connects a result to its entry
            raise Unreadable("no_outcome")
        return [_outcome(result) for result in results]


def _outcome(result: Mapping[str, Any]) -> Outcome:
    """Return the outcome of an entry. An accepted one has an id, a failed one an error code."""
    code = result.get("ErrorCode")
    if code:
        return batches.failed_entry(str(code))
    return Delivered() if result.get("EventId") else Retry(Unreadable("no_outcome"))
