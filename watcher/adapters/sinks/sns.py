"""Events to an SNS topic: the event is the message, subscriptions filter by the message attributes.

On a FIFO topic each task is a group, so its events keep their order, and the event's id removes repeats within the five
minutes that SNS remembers. One attempt each, no waiting: that is the runtime's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO, TopicArn
from watcher.adapters.aws.session import AwsClients
from watcher.model import Event
from watcher.ports import Outcome
from watcher.section import Name, Section


class SnsSinkSettings(Section):
    """Events to an SNS topic."""

    type: Literal["sns"] = "sns"
    """An SNS topic, standard or FIFO."""
    name: Name = "sns"
    """Its cursor, its metrics and its dead letters go by this name; a new name begins with the next event."""
    topic_arn: TopicArn
    """The ARN of the topic; one that ends in .fifo is a FIFO topic."""


class SnsSink:
    """Delivers events to an SNS topic with `PublishBatch`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: SnsSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._topic_arn = settings.topic_arn
        self._fifo = settings.topic_arn.endswith(FIFO)
        self._aws = aws

    async def open(self) -> None:
        """Nothing to do: the client is made at the first call, so that credentials which are not there yet delay only this sink."""

    async def close(self) -> None:
        """Nothing to do: clients belong to `AwsClients`."""

    async def check(self) -> str:
        """The kind of topic and how many subscriptions it has."""
        reply = await self._aws.call("sns", "get_topic_attributes", {"TopicArn": self._topic_arn})
        subscriptions = reply.get("Attributes", {}).get("SubscriptionsConfirmed", "?")
        return f"{'FIFO' if self._fifo else 'standard'} topic, subscriptions: {subscriptions}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One `PublishBatch`, more only where the events are too large to go together."""
        entries = [batches.message(event, body="Message", fifo=self._fifo) for event in events]
        return await batches.deliver(entries, batches.MAX_MESSAGE_BYTES, self._post)

    async def _post(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        params = {"TopicArn": self._topic_arn, "PublishBatchRequestEntries": batches.numbered(entries)}
        reply = await self._aws.call("sns", "publish_batch", params)
        return batches.outcomes(reply, len(entries))
