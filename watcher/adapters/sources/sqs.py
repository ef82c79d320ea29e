"""Receive tasks from an SQS queue, standard or FIFO.

SQS hides a received message from other receivers for the `visibility` time, and delivers it again unless it was deleted
or its time was extended. Only `ack` deletes messages. The one wait in this module is the long poll of SQS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO_SUFFIX, QueueUrl, queue_region
from watcher.core.intake.strict_json import MAX_BODY
from watcher.core.trace_context import of_message_attributes
from watcher.errors import Unreadable
from watcher.model import Message
from watcher.ports import Rejected
from watcher.section import Name, Seconds, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need


class SqsSourceSettings(Section):
    """Tasks from an SQS queue."""

    type: Literal["sqs"] = "sqs"
    """An SQS queue, standard or FIFO."""
    name: Name = "sqs"
    """The name of this source in its metrics and dead letters."""
    queue_url: QueueUrl
    """The URL of the queue. One that ends in .fifo is a FIFO queue."""
    receivers: int = Field(default=2, ge=1, le=32)
    """The number of long polls at the same time, each for up to ten messages. With two, one waits for messages while
    those of the other are processed."""
    wait: Seconds = Field(default=20, ge=1, le=20, multiple_of=1)
    """How long a long poll waits for a message, in whole seconds. 20 s is the maximum of SQS and needs the fewest calls."""
    visibility: Seconds = Field(default=120, ge=1, le=43_200, multiple_of=1)
    """How long a received message is hidden from other receivers, in whole seconds up to 12 h. Messages of a killed process
    are delivered again after this time. With the memory store, the watcher extends it until the watch ends."""
    watch_notified: bool = False
    """Whether a notification of AWS about a task that was not submitted starts a watch of that task. Without it, such a
    notification is ignored, and one about a watched task makes the watcher poll the task at once."""


class SqsSource:
    """Receives with `ReceiveMessage`, acknowledges with `DeleteMessageBatch`, extends with `ChangeMessageVisibilityBatch`."""

    plain = False
    hold_s: float | None

    def __init__(self, settings: SqsSourceSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self.receivers = settings.receivers
        self.hold_s = settings.visibility
        self.watch_notified = settings.watch_notified
        self._wait = int(settings.wait)
        self._visibility = int(settings.visibility)
        self._queue_url = settings.queue_url
        self._region = queue_region(settings.queue_url)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this source."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Return the kind of queue, the number of waiting messages, and the number of messages that a receiver holds."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        reply = await self._call("get_queue_attributes", AttributeNames=names)
        waiting, held = (reply.get("Attributes", {}).get(name, "?") for name in names)
        return f"{'FIFO' if self._queue_url.endswith(FIFO_SUFFIX) else 'standard'} queue, {waiting} waiting, {held} held"

    async def receive(self) -> Sequence[Message]:
        """Make one long poll for up to ten messages."""
        reply = await self._call(
            "receive_message",
            timeout=self._wait + self._aws.call_deadline,
            MaxNumberOfMessages=batches.MAX_ENTRIES,
            MessageAttributeNames=["traceparent", "tracestate"],
            WaitTimeSeconds=self._wait,
            VisibilityTimeout=self._visibility,
        )
        return _messages(reply)

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Delete messages. For a receipt that is too old SQS reports success without deleting: the message comes again."""
        failed: list[Message] = []
        for batch in batches.in_batches(messages):
            entries = [{"ReceiptHandle": message.receipt} for message in batch]
            reply = await self._call("delete_message_batch", Entries=batches.with_ids(entries))
            deleted = {entry.get("Id") for entry in reply.get("Successful") or ()}
            failed += [message for index, message in enumerate(batch) if str(index) not in deleted]
        return failed

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Hide messages for another `visibility`. Lost are those deleted, visible again, or hidden for 12 h, the limit of SQS."""
        lost: list[Message] = []
        for batch in batches.in_batches(messages):
            entries = [{"ReceiptHandle": message.receipt, "VisibilityTimeout": self._visibility} for message in batch]
            reply = await self._call("change_message_visibility_batch", Entries=batches.with_ids(entries))
            outcomes = batches.outcomes_by_id(reply, len(batch))
            lost += [message for message, outcome in zip(batch, outcomes, strict=True) if isinstance(outcome, Rejected)]
        return lost

    async def _call(self, operation: str, *, timeout: float | None = None, **params: Any) -> Mapping[str, Any]:
        """`timeout` is in seconds, for a long poll, which waits on purpose."""
        params["QueueUrl"] = self._queue_url
        reply: Mapping[str, Any] = await self._aws.call(
            "sqs", operation, params, read_timeout=timeout, deadline=timeout, region=self._region
        )
        return reply


def _messages(reply: Mapping[str, Any]) -> list[Message]:
    """Raises Unreadable for a reply without JSON: a proxy's page must not count as an empty queue, which is polled again at once."""
    found = reply.get("Messages")
    if found is None and "json" not in reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""):
        raise Unreadable("not_json")
    return list(_parse(found or ()))


def _parse(entries: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    for entry in entries:
        id_, receipt, text = (entry.get(member) for member in ("MessageId", "ReceiptHandle", "Body"))
        if not (isinstance(id_, str) and isinstance(receipt, str) and isinstance(text, str)):
            raise Unreadable("shape", "a message without id, receipt or body")
        # intake rejects lone surrogates, and bodies longer than MAX_BODY
        body = text.encode("utf-8", "surrogatepass")[: MAX_BODY + 1]
        yield Message(id_, body, receipt, of_message_attributes(entry.get("MessageAttributes")))
