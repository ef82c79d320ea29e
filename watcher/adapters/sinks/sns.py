"""Publish events to an SNS topic: the event is the message, and subscriptions filter by the message attributes.

On a FIFO topic each task is a message group, so its events stay in order, and the id of the event removes repeats
within the five minutes that SNS remembers ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from watcher.adapters.aws import batches
from watcher.adapters.aws.arns import FIFO_SUFFIX, TopicArn, arn_region
from watcher.model import Event
from watcher.ports import Outcome
from watcher.section import Name, Section

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients  # imports asyncio, which reading the settings does not need


class SnsSinkSettings(Section):
    """Events to an SNS topic."""

    type: Literal["sns"] = "sns"
    """An SNS topic, standard or FIFO."""
    name: Name = "sns"
    """The name of this sink in its cursor, metrics and dead letters. A sink with a new name starts at the next event."""
    topic_arn: TopicArn
    """The ARN of the topic. One that ends in .fifo is a FIFO topic."""


class SnsSink:
    """Publishes events to an SNS topic with `PublishBatch`."""

    max_batch = batches.MAX_ENTRIES
    concurrency = 4

    def __init__(self, settings: SnsSinkSettings, aws: AwsClients) -> None:
        self.name = settings.name
        self._topic_arn = settings.topic_arn
        self._region = arn_region(settings.topic_arn)
        self._fifo = settings.topic_arn.endswith(FIFO_SUFFIX)
        self._aws = aws

    async def open(self) -> None:
        """Do nothing: the first call creates the client, so that missing credentials delay only this sink."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `AwsClients`."""

    async def check(self) -> str:
        """Return the kind of topic and the number of its confirmed subscriptions."""
        reply = await self._aws.call("sns", "get_topic_attributes", {"TopicArn": self._topic_arn}, region=self._region)
        subscriptions = reply.get("Attributes", {}).get("SubscriptionsConfirmed", "?")
        return f"{'FIFO' if self._fifo else 'standard'} topic, subscriptions: {subscriptions}"

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Call `PublishBatch` once, or more often if the events are too large for one call."""
        entries = [batches.message_entry(event, body="Message", fifo=self._fifo) for event in events]
        return await batches.send_all(entries, batches.MAX_MESSAGE_BYTES, self._send_batch)

    async def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Sequence[Outcome]:
        params = {"TopicArn": self._topic_arn, "PublishBatchRequestEntries": batches.with_ids(entries)}
        reply = await self._aws.call("sns", "publish_batch", params, region=self._region)
        return batches.outcomes_by_id(reply, len(entries))
