"""Send events to an SQS queue: the event is the message body, and message attributes hold the values to filter by.

On a FIFO queue each task is a message group, so its events stay in order, and the id of the event removes repeats
within the five minutes that SQS remembers ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO_SUFFIX, QueueUrl, queue_region
from watcher.model import Event
from watcher.ports import Outcome
from watcher.section import Name, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need


class SqsSinkSettings(Section):
    """Events to an SQS queue."""

    type: Literal["sqs"] = "sqs"
    """An SQS queue, standard or FIFO."""
    name: Name = "sqs"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    queue_url: QueueUrl
    """The URL of the queue. One that ends in .fifo is a FIFO queue."""


class SqsSink:
    """Sends events to an SQS queue with `SendMessageBatch`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: SqsSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._queue_url = settings.queue_url
        self._region = queue_region(settings.queue_url)
        self._fifo = settings.queue_url.endswith(FIFO_SUFFIX)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Return the kind of queue and the number of messages that wait in it."""
        params = {"QueueUrl": self._queue_url, "AttributeNames": ["ApproximateNumberOfMessages"]}
        reply = await self._aws.call("sqs", "get_queue_attributes", params, region=self._region)
        waiting = reply.get("Attributes", {}).get("ApproximateNumberOfMessages", "?")
        return f"{'FIFO' if self._fifo else 'standard'} queue, {waiting} waiting"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Call `SendMessageBatch` once, or more often if the events are too large for one call."""
        entries = [batches.message_entry(event, body="MessageBody", fifo=self._fifo) for event in events]
        return await batches.send_all(entries, batches.MAX_MESSAGE_BYTES, self._send_batch)

    async def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        params = {"QueueUrl": self._queue_url, "Entries": batches.with_ids(entries)}
        reply = await self._aws.call("sqs", "send_message_batch", params, region=self._region)
        return batches.outcomes_by_id(reply, len(entries))
