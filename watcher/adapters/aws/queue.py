"""Send messages with tasks to an SQS queue, for `watcher submit`. Each message is sent at most once; see `batches`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO_SUFFIX, queue_region
from watcher.ports import Outcome, Rejected

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which checking a queue URL does not need


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message body, and the key of a task in it. A FIFO queue keeps messages with the same key in order."""

    body: str
    key: str


class Queue:
    """Sends messages with `SendMessageBatch`. The caller opens and closes `aws`."""

    def __init__(self, url: str, aws: AwsClients) -> None:
        self._url = url
        self._region = queue_region(url)
        self._aws = aws

    async def send(self, messages: Sequence[OutgoingMessage]) -> Sequence[Outcome]:
        """Return an outcome for each message, in order. Raises a RemoteError if no message was delivered."""
        return await batches.send_all([self._entry(message) for message in messages], batches.MAX_MESSAGE_BYTES, self._send_batch)

    def _entry(self, message: OutgoingMessage) -> batches.BatchEntry | Rejected:
        fields = {"MessageBody": message.body}
        if self._url.endswith(FIFO_SUFFIX):
            deduplication_id = hashlib.sha256(message.body.encode()).hexdigest()
            fields |= {"MessageGroupId": batches.group_id(message.key), "MessageDeduplicationId": deduplication_id}
        size = len(message.body.encode())
        return Rejected("size", "event") if size > batches.MAX_MESSAGE_BYTES else batches.BatchEntry(fields, size)

    async def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        params = {"QueueUrl": self._url, "Entries": batches.with_ids(entries)}
        reply = await self._aws.call("sqs", "send_message_batch", params, region=self._region)
        return batches.outcomes_by_id(reply, len(entries))
