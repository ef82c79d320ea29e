"""Events to an SQS queue: the event is the body, what one filters by stands in the message attributes.

On a FIFO queue each task is a group, so its events keep their order, and the event's id removes repeats within the five
minutes that SQS remembers. One attempt each, no waiting: that is the runtime's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO, QueueUrl
from watcher.adapters.aws.session import AwsClients
from watcher.model import Event
from watcher.ports import Outcome
from watcher.section import Name, Section


class SqsSinkSettings(Section):
    """Events to an SQS queue."""

    type: Literal["sqs"] = "sqs"
    """An SQS queue, standard or FIFO."""
    name: Name = "sqs"
    """Its cursor, its metrics and its dead letters go by this name; a new name begins with the next event."""
    queue_url: QueueUrl
    """The URL of the queue; one that ends in .fifo is a FIFO queue."""


class SqsSink:
    """Delivers events to an SQS queue with `SendMessageBatch`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: SqsSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._queue_url = settings.queue_url
        self._fifo = settings.queue_url.endswith(FIFO)
        self._aws = aws

    async def open(self) -> None:
        """Nothing to do: the client is made at the first call, so that credentials which are not there yet delay only this sink."""

    async def close(self) -> None:
        """Nothing to do: clients belong to `AwsClients`."""

    async def check(self) -> str:
        """The kind of queue and how many messages wait in it."""
        params = {"QueueUrl": self._queue_url, "AttributeNames": ["ApproximateNumberOfMessages"]}
        reply = await self._aws.call("sqs", "get_queue_attributes", params)
        waiting = reply.get("Attributes", {}).get("ApproximateNumberOfMessages", "?")
        return f"{'FIFO' if self._fifo else 'standard'} queue, {waiting} waiting"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One `SendMessageBatch`, more only where the events are too large to go together."""
        entries = [batches.message(event, body="MessageBody", fifo=self._fifo) for event in events]
        return await batches.deliver(entries, batches.MAX_MESSAGE_BYTES, self._post)

    async def _post(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        params = {"QueueUrl": self._queue_url, "Entries": batches.numbered(entries)}
        reply = await self._aws.call("sqs", "send_message_batch", params)
        return batches.outcomes(reply, len(entries))
