"""Messages into an SQS queue, for those who submit tasks. One attempt each; what was not taken is handed back with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO, QueueUrl
from watcher.adapters.aws.session import AwsClients
from watcher.ports import Outcome, Rejected

__all__ = ["Outgoing", "Queue", "QueueUrl"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, and the key of a task in it: on a FIFO queue messages about the same task keep their order."""

    body: str
    key: str


class Queue:
    """Sends with `SendMessageBatch`. The clients belong to whoever made `aws`."""

    def __init__(self, url: str, aws: AwsClients) -> None:
        self._url = url
        self._aws = aws

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outcome]:
        """An outcome for each, in order, in as few calls as the service allows. Raises a RemoteError when none was taken."""
        return await batches.deliver([self._entry(message) for message in messages], batches.MAX_MESSAGE_BYTES, self._post)

    def _entry(self, message: Outgoing) -> batches.BatchEntry | Rejected:
        wire = {"MessageBody": message.body}
        if self._url.endswith(FIFO):
            once = hashlib.sha256(message.body.encode()).hexdigest()
            wire |= {"MessageGroupId": batches.group_id(message.key), "MessageDeduplicationId": once}
        size = len(message.body.encode())
        return Rejected("size") if size > batches.MAX_MESSAGE_BYTES else batches.BatchEntry(wire, size)

    async def _post(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        reply = await self._aws.call("sqs", "send_message_batch", {"QueueUrl": self._url, "Entries": batches.numbered(entries)})
        return batches.outcomes(reply, len(entries))
