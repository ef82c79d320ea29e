"""Put events into a Kinesis data stream: the event is the data of a record, and the key of its task is the partition key.

All events of a task go to the same Kinesis shard. `PutRecords` does not promise to keep the order of its records, but no two events of a
task are in one call, and the next one is sent after the previous one was accepted. So the events of a task are in order in the stream.
A repeat is a second record with the same `id` in its data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import StreamName, arn_region
from watcher.errors import Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry
from watcher.section import Name, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need

MAX_RECORDS = 500
"""Records in one call."""
MAX_BYTES = 5 * 1024 * 1024
"""Bytes of all records in one call, data and partition keys together."""
MAX_RECORD_BYTES = 1024 * 1024
"""Bytes of one record, with its partition key. A stream can be configured to accept more."""
MAX_PARTITION_KEY = 256
"""Characters of a partition key."""


class KinesisSinkSettings(Section):
    """Events to a Kinesis data stream."""

    type: Literal["kinesis"] = "kinesis"
    """A Kinesis data stream. The key of the task is the partition key."""
    name: Name = "kinesis"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    stream: StreamName
    """The name or the ARN of the stream."""


class KinesisSink:
    """Puts events into a stream with `PutRecords`."""

    max_batch = MAX_RECORDS
    concurrency = 2

    def __init__(self, settings: KinesisSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._stream = {"StreamARN" if settings.stream.startswith("arn:") else "StreamName": settings.stream}
        self._region = arn_region(settings.stream)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Return the state of the stream and the number of its open shards."""
        reply = await self._aws.call("kinesis", "describe_stream_summary", dict(self._stream), region=self._region)
        summary = reply.get("StreamDescriptionSummary", {})
        return f"stream {summary.get('StreamStatus', '?')}, open shards: {summary.get('OpenShardCount', '?')}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Call `PutRecords` once, or more often if the events are too large for one call."""
        return await batches.send_all([_entry(event) for event in events], MAX_BYTES, self._send_batch, most=MAX_RECORDS)

    async def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        reply = await self._aws.call("kinesis", "put_records", {**self._stream, "Records": list(entries)}, region=self._region)
        results = reply.get("Records") or ()
        if len(results) != len(entries):  # only the index connects a result to its record
            raise Unreadable("no_outcome")
        return [_outcome(result) for result in results]


def _entry(event: Event) -> batches.BatchEntry | Rejected:
    key = partition_key(event.key)
    size = len(event.body) + len(key)
    if size > MAX_RECORD_BYTES:
        return Rejected("size", "event")
    return batches.BatchEntry({"Data": event.body, "PartitionKey": key}, size)


def partition_key(key: str) -> str:
    """Return the partition key of a task: its key, which is percent-encoded, or the SHA-256 of its key if that is too long."""
    return key if len(key) <= MAX_PARTITION_KEY else hashlib.sha256(key.encode()).hexdigest()


def _outcome(result: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a record. An accepted one has a sequence number, a failed one an error code."""
    code = result.get("ErrorCode")
    if code:
        return batches.failed_entry(str(code))
    return Delivered() if result.get("SequenceNumber") else Retry(Unreadable("no_outcome"))
