"""Task ids out of an SQS queue, standard or FIFO.

A received message is hidden from others for `visibility`, and comes again unless it was deleted or hidden anew. It may
not be deleted here but by `ack`. One call each, no waiting but SQS's own long poll: the rest is the runtime's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO, QueueUrl
from watcher.adapters.aws.session import AwsClients
from watcher.core.intake.submissions import MAX_BODY
from watcher.errors import Unreadable
from watcher.model import Message
from watcher.ports import Rejected
from watcher.section import Name, Seconds, Section


class SqsSourceSettings(Section):
    """Task ids out of an SQS queue."""

    type: Literal["sqs"] = "sqs"
    """An SQS queue, standard or FIFO."""
    name: Name = "sqs"
    """Its metrics and its dead letters go by this name."""
    queue_url: QueueUrl
    """The URL of the queue; one that ends in .fifo is a FIFO queue."""
    receivers: int = Field(default=2, ge=1, le=32)
    """Long polls at the same time, each for up to ten messages: two, so that one waits while the other's messages are taken in."""
    wait: Seconds = Field(default=20, ge=1, le=20, multiple_of=1)
    """How long a long poll waits for a message, in whole seconds: the longest SQS allows costs the fewest calls. None at all
    would be asking in a circle."""
    visibility: Seconds = Field(default=120, ge=1, le=43_200, multiple_of=1)
    """For how long a received message is hidden from others, in whole seconds up to 12 h: long enough to commit it, short
    enough that what a killed process held comes again soon. The memory store has it extended until the watch ends."""


class SqsSource:
    """Receives with `ReceiveMessage`, acknowledges with `DeleteMessageBatch`, holds with `ChangeMessageVisibilityBatch`."""

    plain = False
    hold_s: float | None

    def __init__(self, settings: SqsSourceSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self.receivers = settings.receivers
        self.hold_s = settings.visibility
        self._wait = int(settings.wait)
        self._visibility = int(settings.visibility)
        self._queue_url = settings.queue_url
        self._aws = aws

    async def open(self) -> None:
        """Nothing to do: the client is made at the first call, so that credentials which are not there yet delay only this source."""

    async def close(self) -> None:
        """Nothing to do: clients belong to `AwsClients`."""

    async def check(self) -> str:
        """The kind of queue, how many messages wait in it, and how many some receiver holds."""
        wanted = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        reply = await self._call("get_queue_attributes", AttributeNames=wanted)
        waiting, held = (reply.get("Attributes", {}).get(name, "?") for name in wanted)
        return f"{'FIFO' if self._queue_url.endswith(FIFO) else 'standard'} queue, {waiting} waiting, {held} held"

    async def receive(self) -> Sequence[Message]:
        """One long poll for up to ten messages."""
        reply = await self._call(
            "receive_message",
            patience=self._wait + self._aws.call_deadline,
            MaxNumberOfMessages=batches.MAX_ENTRIES,
            WaitTimeSeconds=self._wait,
            VisibilityTimeout=self._visibility,
        )
        return _messages(reply)

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """A receipt that is too old "succeeds" without deleting: then the message comes again, and is acked again."""
        failed: list[Message] = []
        for ten in batches.tens(messages):
            reply = await self._call("delete_message_batch", Entries=batches.numbered([{"ReceiptHandle": m.receipt} for m in ten]))
            deleted = {entry.get("Id") for entry in reply.get("Successful") or ()}
            failed += [message for place, message in enumerate(ten) if str(place) not in deleted]
        return failed

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Lost is what was deleted, what is visible again, and what has been hidden for the 12 h that SQS allows in all."""
        lost: list[Message] = []
        for ten in batches.tens(messages):
            entries = [{"ReceiptHandle": m.receipt, "VisibilityTimeout": self._visibility} for m in ten]
            reply = await self._call("change_message_visibility_batch", Entries=batches.numbered(entries))
            outcomes = batches.outcomes(reply, len(ten))
            lost += [message for message, outcome in zip(ten, outcomes, strict=True) if isinstance(outcome, Rejected)]
        return lost

    async def _call(self, operation: str, *, patience: float | None = None, **params: Any) -> Mapping[str, Any]:
        """`patience` is in seconds, for the one call that waits on purpose."""
        params["QueueUrl"] = self._queue_url
        reply: Mapping[str, Any] = await self._aws.call("sqs", operation, params, read_timeout=patience, deadline=patience)
        return reply


def _messages(reply: Mapping[str, Any]) -> list[Message]:
    """Raises Unreadable for what is no reply of SQS, lest a proxy's page pass for an empty queue, asked again at once."""
    found = reply.get("Messages")
    if found is None and "json" not in reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""):
        raise Unreadable("not_json")
    return list(_each(found or ()))


def _each(found: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    for entry in found:
        id_, receipt, text = (entry.get(member) for member in ("MessageId", "ReceiptHandle", "Body"))
        if not (isinstance(id_, str) and isinstance(receipt, str) and isinstance(text, str)):
            raise Unreadable("shape", "a message without its id, receipt or body")
        # a lone surrogate is intake's to reject; what is cut off, intake would not have read
        yield Message(id_, text.encode("utf-8", "surrogatepass")[: MAX_BODY + 1], receipt)
