"""The sinks on AWS sit the exam of sinks at moto's server, behind a line that can be cut."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cloudevents.core.formats.json import JSONFormat
from pydantic import ValidationError

from tests.contracts.sink_exam import PATIENCE, RemoteSinkDesk, RemoteSinkExam, all_delivered, an_event
from tests.moto_server import environment, plain_client
from tests.relay import Relay
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.eventbridge import EventBridgeSink, EventBridgeSinkSettings
from watcher.adapters.sinks.sns import SnsSink, SnsSinkSettings
from watcher.adapters.sinks.sqs import SqsSink, SqsSinkSettings
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.errors import NotFound
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType, TaskRef, Transition, Watch
from watcher.ports import Sink


class AwsDesk(RemoteSinkDesk):
    """Whatever the sink is, its events end up in an SQS queue that the desk empties."""

    largest = 256 * 1024

    def __init__(self, url: str, relay: Relay, aws: AwsClients, *, fifo: bool = False) -> None:
        self.url, self.relay, self.aws, self.fifo = url, relay, aws, fifo
        self.dedupes = fifo
        self.suffix = ".fifo" if fifo else ""
        self.sqs = plain_client("sqs", url)
        self.queue_url = self.sqs.create_queue(QueueName="events" + self.suffix, Attributes=self.fifo_attribute("FifoQueue"))["QueueUrl"]
        self.messages: list[dict[str, Any]] = []
        self.prepare()

    def fifo_attribute(self, name: str) -> dict[str, str]:
        return {name: "true"} if self.fifo else {}

    @abstractmethod
    def prepare(self) -> None:
        """Make the topic or the bus, and lead it into the queue."""

    @abstractmethod
    def body(self, message: dict[str, Any]) -> bytes:
        """The event in a message of the queue."""

    async def cut(self) -> None:
        self.relay.cut()

    async def mend(self) -> None:
        self.relay.restore()

    async def taken(self, count: int) -> Sequence[bytes]:
        with anyio.fail_after(PATIENCE):
            while await anyio.to_thread.run_sync(self._empty) or len(self.messages) < count:
                pass
        return [self.body(message) for message in self.messages]

    def _empty(self) -> int:
        found = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        for message in found:
            self.messages.append(message)
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return len(found)

    def attributes(self) -> list[dict[str, str]]:
        """The message attributes of what was taken; all are strings."""
        every = [message.get("MessageAttributes", {}) for message in self.messages]
        assert all(value["DataType"] == "String" for one in every for value in one.values())
        return [{name: value["StringValue"] for name, value in one.items()} for one in every]


class SqsDesk(AwsDesk):
    def prepare(self) -> None:
        """The queue is all there is."""

    async def make(self) -> Sink:
        return SqsSink(SqsSinkSettings(queue_url=self.queue_url), self.aws)

    def body(self, message: dict[str, Any]) -> bytes:
        return message["Body"].encode()


class SnsDesk(AwsDesk):
    def prepare(self) -> None:
        sns = plain_client("sns", self.url)
        self.topic_arn = sns.create_topic(Name="events" + self.suffix, Attributes=self.fifo_attribute("FifoTopic"))["TopicArn"]
        queue_arn = self.topic_arn.replace(":sns:", ":sqs:")
        sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})

    async def make(self) -> Sink:
        return SnsSink(SnsSinkSettings(topic_arn=self.topic_arn), self.aws)

    def body(self, message: dict[str, Any]) -> bytes:
        return message["Body"].encode()


class EventBridgeDesk(AwsDesk):
    largest = 240 * 1024
    bus = "watched"

    def prepare(self) -> None:
        events = plain_client("events", self.url)
        bus_arn = events.create_event_bus(Name=self.bus)["EventBusArn"]
        queue_arn = bus_arn.replace(":events:", ":sqs:").replace(f"event-bus/{self.bus}", "events")
        events.put_rule(Name="all", EventBusName=self.bus, EventPattern=json.dumps({"source": ["watcher"]}))
        events.put_targets(Rule="all", EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": queue_arn}])

    async def make(self) -> Sink:
        return EventBridgeSink(EventBridgeSinkSettings(bus=self.bus), self.aws)

    def body(self, message: dict[str, Any]) -> bytes:
        """EventBridge keeps the event as JSON, not as bytes: members and their order are compared, white space cannot be."""
        return json.dumps(json.loads(message["Body"])["detail"], ensure_ascii=False, separators=(",", ":")).encode()


@pytest.fixture
async def relay(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    async with Relay(moto_url) as relay:
        monkeypatch.setenv("AWS_ENDPOINT_URL", environment(relay.url)["AWS_ENDPOINT_URL"])
        yield relay


@pytest.fixture
async def aws() -> AsyncIterator[AwsClients]:
    clients = AwsClients()
    yield clients
    await clients.close()


class AttributeExam:
    """Of the two services whose messages have attributes."""

    async def test_attributes_tell_what_subscribers_filter_by(self, desk: AwsDesk) -> None:
        """Content type, type, kind, status and whether it is the last stand in the message attributes."""
        sink = await desk.open()
        await all_delivered(sink, [an_event(after="SUCCEEDED", terminal=True)])
        await desk.taken(1)
        assert desk.attributes() == [
            {
                "content-type": "application/cloudevents+json",
                "type": "watcher.task.transition.v1",
                "kind": "speaker-search",
                "to": "SUCCEEDED",
                "terminal": "true",
            }
        ]

    async def test_a_status_no_attribute_can_carry_stands_in_the_body_only(self, desk: AwsDesk) -> None:
        """Without a status, or with one of control characters, there is no attribute `to`, and the event arrives."""
        sink = await desk.open()
        for event in (an_event("t-1", after=None, terminal=True), an_event("t-2", after="\x01"), an_event("t-3", after="")):
            await all_delivered(sink, [event])
        await desk.taken(3)
        assert [set(one) for one in desk.attributes()] == [{"content-type", "type", "kind", "terminal"}] * 3
        assert [one["terminal"] for one in desk.attributes()] == ["true", "false", "false"]


class FifoExam:
    """Of FIFO queues and topics."""

    async def test_a_task_is_a_group_and_the_id_removes_repeats(self, desk: AwsDesk) -> None:
        """The group is the key of the task, the deduplication id the id of the event."""
        sink = await desk.open()
        events = [an_event("t-1"), an_event("t-2")]
        await all_delivered(sink, events)
        await desk.taken(2)
        system = [message["Attributes"] for message in desk.messages]
        assert {(a["MessageGroupId"], a["MessageDeduplicationId"]) for a in system} == {(e.key, e.id) for e in events}

    async def test_a_key_too_long_for_a_group_is_hashed(self, desk: AwsDesk) -> None:
        """Tasks with keys of more than 128 characters keep a group each, the same for all their events."""
        sink = await desk.open()
        long = "t" * 250
        for event in (an_event(long + "1", 1), an_event(long + "1", 2), an_event(long + "2", 1)):
            await all_delivered(sink, [event])
        await desk.taken(3)
        first, second, other = [message["Attributes"]["MessageGroupId"] for message in desk.messages]
        assert first == second != other
        assert len(first) <= 128


class TestSqsQueue(RemoteSinkExam, AttributeExam):
    @pytest.fixture
    def desk(self, moto_url: str, relay: Relay, aws: AwsClients) -> SqsDesk:
        return SqsDesk(moto_url, relay, aws)

    async def test_check_counts_what_waits(self, desk: SqsDesk) -> None:
        """The words of a check are the kind of the queue and how many messages wait in it."""
        sink = await desk.open()
        await all_delivered(sink, [an_event("t-1"), an_event("t-2")])
        assert await sink.check() == "standard queue, 2 waiting"

    async def test_a_queue_that_does_not_exist_is_not_found(self, desk: SqsDesk) -> None:
        """A queue that was deleted is a named error of every call, which keeps the events in the outbox."""
        sink = SqsSink(SqsSinkSettings(queue_url=desk.queue_url + "-gone"), desk.aws)
        with pytest.raises(NotFound):
            await sink.send([an_event()])
        with pytest.raises(NotFound):
            await sink.check()

    async def test_the_body_is_a_cloud_event(self, desk: SqsDesk) -> None:
        """What stands in the queue is read by the CloudEvents SDK under the content type of the attribute."""
        ref = TaskRef("speaker-search", ("abc123", "t-1"))
        watch = Watch(ref=ref, id="0" * 32, admitted_at=0.0, deadline_at=9.0, status="SUCCEEDED", sequence=2, context='{"call":"c-42"}')
        told = Transition(EventType.TRANSITION, 2, "IN_QUEUE", "SUCCEEDED", 1_795_341_612.3, terminal=True, skipped=("IN_PROGRESS",))
        event = EventWriter(EventSettings(), region="us-east-1").write(builtin_catalog()["speaker-search"], watch, told, 1_795_341_612.4)
        await all_delivered(await desk.open(), [event])
        (body,) = await desk.taken(1)
        read = JSONFormat().read(None, body)
        assert desk.attributes()[0]["content-type"] == JSONFormat.CONTENT_TYPE
        assert (read.get_id(), read.get_type(), read.get_subject()) == (event.id, event.type, event.key)
        assert read.get_extension("sequence") == "0000000002"
        assert read.get_data()["context"] == {"call": "c-42"}


class TestSqsFifoQueue(RemoteSinkExam, AttributeExam, FifoExam):
    @pytest.fixture
    def desk(self, moto_url: str, relay: Relay, aws: AwsClients) -> SqsDesk:
        return SqsDesk(moto_url, relay, aws, fifo=True)


class TestSnsTopic(RemoteSinkExam, AttributeExam):
    @pytest.fixture
    def desk(self, moto_url: str, relay: Relay, aws: AwsClients) -> SnsDesk:
        return SnsDesk(moto_url, relay, aws)

    async def test_a_topic_that_does_not_exist_is_not_found(self, desk: SnsDesk) -> None:
        """A topic that was deleted is a named error, which keeps the events in the outbox."""
        sink = SnsSink(SnsSinkSettings(topic_arn=desk.topic_arn + "-gone"), desk.aws)
        with pytest.raises(NotFound):
            await sink.send([an_event()])


class TestSnsFifoTopic(RemoteSinkExam, AttributeExam, FifoExam):
    @pytest.fixture
    def desk(self, moto_url: str, relay: Relay, aws: AwsClients) -> SnsDesk:
        return SnsDesk(moto_url, relay, aws, fifo=True)


class TestEventBridgeBus(RemoteSinkExam):
    @pytest.fixture
    def desk(self, moto_url: str, relay: Relay, aws: AwsClients) -> EventBridgeDesk:
        return EventBridgeDesk(moto_url, relay, aws)

    async def test_rules_see_source_type_and_time(self, desk: EventBridgeDesk) -> None:
        """`source` is watcher, `detail-type` the type of the event, `time` when it was committed, to the second."""
        await all_delivered(await desk.open(), [an_event(sequence=1)])
        await desk.taken(1)
        envelope = json.loads(desk.messages[0]["Body"])
        assert (envelope["source"], envelope["detail-type"]) == ("watcher", "watcher.task.transition.v1")
        assert envelope["time"] == "2026-11-22T10:00:13Z"

    async def test_check_names_the_bus(self, desk: EventBridgeDesk) -> None:
        """The words of a check are the name of the bus as EventBridge knows it."""
        assert await (await desk.open()).check() == "bus watched"

    async def test_a_bus_that_does_not_exist_is_not_found(self, desk: EventBridgeDesk) -> None:
        """A bus that was deleted is found out by the check."""
        with pytest.raises(NotFound):
            await EventBridgeSink(EventBridgeSinkSettings(bus="gone"), desk.aws).check()


class TestSettings:
    def test_the_default_bus_needs_no_words(self) -> None:
        """An eventbridge sink without a bus goes to the one every account has."""
        assert EventBridgeSinkSettings().bus == "default"

    @pytest.mark.parametrize(
        "topic_arn", ["my-topic", "arn:aws:sqs:us-east-1:111122223333:q", "arn:aws:sns:us-east-1:111122223333:a b", ""]
    )
    def test_says_what_a_topic_arn_looks_like(self, topic_arn: str) -> None:
        """What is no topic ARN is refused with one that is."""
        with pytest.raises(ValidationError, match="arn:aws:sns:us-east-1:111122223333:my-topic"):
            SnsSinkSettings(topic_arn=topic_arn)

    @pytest.mark.parametrize("bus", ["", "a bus", "arn:aws:sns:us-east-1:111122223333:bus"])
    def test_says_what_a_bus_looks_like(self, bus: str) -> None:
        """What is no bus is refused with one that is."""
        with pytest.raises(ValidationError, match="event-bus/my-bus"):
            EventBridgeSinkSettings(bus=bus)

    def test_says_what_a_queue_url_looks_like(self) -> None:
        """What is no queue URL is refused with one that is."""
        with pytest.raises(ValidationError, match="111122223333/my-queue"):
            SqsSinkSettings(queue_url="my-queue")
