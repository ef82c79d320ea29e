"""The AWS sinks take the exam of sinks, with moto's server behind a relay that can drop connections."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cloudevents.core.formats.json import JSONFormat
from pydantic import ValidationError

from tests.contracts.sink_exam import PATIENCE, RemoteSinkExam, RemoteSinkPeer, all_delivered, an_event
from tests.moto_server import plain_client
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


class AwsPeer(RemoteSinkPeer):
    """The events of every AWS sink arrive in an SQS queue, which this class reads."""

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
        """Create the topic or the bus, and route it to the queue."""

    @abstractmethod
    def body(self, message: dict[str, Any]) -> bytes:
        """Return the event from a message of the queue."""

    async def disconnect(self) -> None:
        self.relay.cut()

    async def restore(self) -> None:
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
        """Return the attributes of the messages received so far, and assert that all are strings."""
        every = [message.get("MessageAttributes", {}) for message in self.messages]
        assert all(value["DataType"] == "String" for one in every for value in one.values())
        return [{name: value["StringValue"] for name, value in one.items()} for one in every]


class SqsPeer(AwsPeer):
    def prepare(self) -> None:
        """Do nothing: the sink sends to the queue itself."""

    async def make(self) -> Sink:
        return SqsSink(SqsSinkSettings(queue_url=self.queue_url), self.aws)

    def body(self, message: dict[str, Any]) -> bytes:
        return message["Body"].encode()


class SnsPeer(AwsPeer):
    def prepare(self) -> None:
        sns = plain_client("sns", self.url)
        self.topic_arn = sns.create_topic(Name="events" + self.suffix, Attributes=self.fifo_attribute("FifoTopic"))["TopicArn"]
        queue_arn = self.topic_arn.replace(":sns:", ":sqs:")
        sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})

    async def make(self) -> Sink:
        return SnsSink(SnsSinkSettings(topic_arn=self.topic_arn), self.aws)

    def body(self, message: dict[str, Any]) -> bytes:
        return message["Body"].encode()


class EventBridgePeer(AwsPeer):
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
        """EventBridge stores JSON, not bytes: members and their order are compared, white space cannot be."""
        return json.dumps(json.loads(message["Body"])["detail"], ensure_ascii=False, separators=(",", ":")).encode()


class AttributeExam:
    """Tests for the two services whose messages have attributes."""

    async def test_attributes_hold_what_subscribers_filter_by(self, peer: AwsPeer) -> None:
        """Message attributes hold the content type, the type, the kind, the status, and whether the event is terminal."""
        sink = await peer.open()
        await all_delivered(sink, [an_event(after="SUCCEEDED", terminal=True)])
        await peer.taken(1)
        assert peer.attributes() == [
            {
                "content-type": "application/cloudevents+json",
                "type": "watcher.task.transition.v1",
                "kind": "speaker-search",
                "to": "SUCCEEDED",
                "terminal": "true",
            }
        ]

    async def test_an_event_with_a_trace_context_has_it_as_attributes(self, peer: AwsPeer) -> None:
        """The instrumentation of a consumer finds the context of the event there; other events have no such attributes."""
        context = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "congo=t61rcWkgMzE"}
        traced = replace(an_event("t-1"), body=json.dumps({**json.loads(an_event("t-1").body), **context}, separators=(",", ":")).encode())
        await all_delivered(await peer.open(), [traced, an_event("t-2")])
        await peer.taken(2)
        found = {one.get("traceparent"): one.get("tracestate") for one in peer.attributes()}
        assert found == {context["traceparent"]: context["tracestate"], None: None}

    async def test_a_status_that_no_attribute_can_hold_is_in_the_body_only(self, peer: AwsPeer) -> None:
        """An event without a status, or with a status of control characters, is delivered without the attribute `to`."""
        sink = await peer.open()
        for event in (an_event("t-1", after=None, terminal=True), an_event("t-2", after="\x01"), an_event("t-3", after="")):
            await all_delivered(sink, [event])
        await peer.taken(3)
        assert [set(one) for one in peer.attributes()] == [{"content-type", "type", "kind", "terminal"}] * 3
        assert [one["terminal"] for one in peer.attributes()] == ["true", "false", "false"]


class FifoExam:
    """Tests for FIFO queues and topics."""

    async def test_a_task_is_a_group_and_the_id_removes_repeats(self, peer: AwsPeer) -> None:
        """The message group is the key of the task, and the deduplication id is the id of the event."""
        sink = await peer.open()
        events = [an_event("t-1"), an_event("t-2")]
        await all_delivered(sink, events)
        await peer.taken(2)
        system = [message["Attributes"] for message in peer.messages]
        assert {(a["MessageGroupId"], a["MessageDeduplicationId"]) for a in system} == {(e.key, e.id) for e in events}

    async def test_a_key_too_long_for_a_group_is_hashed(self, peer: AwsPeer) -> None:
        """A task with a key of more than 128 characters has a message group of its own, the same for all its events."""
        sink = await peer.open()
        long = "t" * 250
        for event in (an_event(long + "1", 1), an_event(long + "1", 2), an_event(long + "2", 1)):
            await all_delivered(sink, [event])
        await peer.taken(3)
        first, second, other = [message["Attributes"]["MessageGroupId"] for message in peer.messages]
        assert first == second != other
        assert len(first) <= 128


class TestSqsQueue(RemoteSinkExam, AttributeExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> SqsPeer:
        return SqsPeer(moto_url, relay, aws)

    async def test_check_counts_waiting_messages(self, peer: SqsPeer) -> None:
        """A check returns the kind of queue and the number of waiting messages."""
        sink = await peer.open()
        await all_delivered(sink, [an_event("t-1"), an_event("t-2")])
        assert await sink.check() == "standard queue, 2 waiting"

    async def test_a_queue_that_does_not_exist_is_not_found(self, peer: SqsPeer) -> None:
        """Every call to a deleted queue raises NotFound, so the events stay in the outbox."""
        sink = SqsSink(SqsSinkSettings(queue_url=peer.queue_url + "-gone"), peer.aws)
        with pytest.raises(NotFound):
            await sink.send([an_event()])
        with pytest.raises(NotFound):
            await sink.check()

    async def test_the_body_is_a_cloud_event(self, peer: SqsPeer) -> None:
        """The CloudEvents SDK reads the message body with the content type of the attribute."""
        ref = TaskRef("speaker-search", ("abc123", "t-1"))
        watch = Watch(ref=ref, id="0" * 32, admitted_at=0.0, deadline_at=9.0, status="SUCCEEDED", sequence=2, context='{"call":"c-42"}')
        told = Transition(EventType.TRANSITION, 2, "IN_QUEUE", "SUCCEEDED", 1_795_341_612.3, terminal=True, skipped=("IN_PROGRESS",))
        event = EventWriter(EventSettings(), region="us-east-1").write(builtin_catalog()["speaker-search"], watch, told, 1_795_341_612.4)
        await all_delivered(await peer.open(), [event])
        (body,) = await peer.taken(1)
        read = JSONFormat().read(None, body)
        assert peer.attributes()[0]["content-type"] == JSONFormat.CONTENT_TYPE
        assert (read.get_id(), read.get_type(), read.get_subject()) == (event.id, event.type, event.key)
        assert read.get_extension("sequence") == "0000000002"
        assert read.get_data()["context"] == {"call": "c-42"}


class TestSqsFifoQueue(RemoteSinkExam, AttributeExam, FifoExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> SqsPeer:
        return SqsPeer(moto_url, relay, aws, fifo=True)


class TestSnsTopic(RemoteSinkExam, AttributeExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> SnsPeer:
        return SnsPeer(moto_url, relay, aws)

    async def test_a_topic_that_does_not_exist_is_not_found(self, peer: SnsPeer) -> None:
        """A call to a deleted topic raises NotFound, so the events stay in the outbox."""
        sink = SnsSink(SnsSinkSettings(topic_arn=peer.topic_arn + "-gone"), peer.aws)
        with pytest.raises(NotFound):
            await sink.send([an_event()])


class TestSnsFifoTopic(RemoteSinkExam, AttributeExam, FifoExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> SnsPeer:
        return SnsPeer(moto_url, relay, aws, fifo=True)


class TestEventBridgeBus(RemoteSinkExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> EventBridgePeer:
        return EventBridgePeer(moto_url, relay, aws)

    async def test_rules_see_source_type_and_time(self, peer: EventBridgePeer) -> None:
        """`source` is watcher, `detail-type` is the type of the event, and `time` is its commit time in whole seconds."""
        await all_delivered(await peer.open(), [an_event(sequence=1)])
        await peer.taken(1)
        envelope = json.loads(peer.messages[0]["Body"])
        assert (envelope["source"], envelope["detail-type"]) == ("watcher", "watcher.task.transition.v1")
        assert envelope["time"] == "2026-11-22T10:00:13Z"

    async def test_check_names_the_bus(self, peer: EventBridgePeer) -> None:
        """A check returns the name of the bus from EventBridge's reply."""
        assert await (await peer.open()).check() == "bus watched"

    async def test_a_bus_that_does_not_exist_is_not_found(self, peer: EventBridgePeer) -> None:
        """A check of a deleted bus raises NotFound."""
        with pytest.raises(NotFound):
            await EventBridgeSink(EventBridgeSinkSettings(bus="gone"), peer.aws).check()


class TestSettings:
    def test_the_bus_has_a_default(self) -> None:
        """An eventbridge sink without a bus sends to the bus `default`, which every account has."""
        assert EventBridgeSinkSettings().bus == "default"

    @pytest.mark.parametrize(
        "topic_arn", ["my-topic", "arn:aws:sqs:us-east-1:111122223333:q", "arn:aws:sns:us-east-1:111122223333:a b", ""]
    )
    def test_an_invalid_topic_arn_is_answered_with_an_example(self, topic_arn: str) -> None:
        """A value that is not a topic ARN is rejected with an example of one."""
        with pytest.raises(ValidationError, match="arn:aws:sns:us-east-1:111122223333:my-topic"):
            SnsSinkSettings(topic_arn=topic_arn)

    @pytest.mark.parametrize("bus", ["", "a bus", "arn:aws:sns:us-east-1:111122223333:bus"])
    def test_an_invalid_bus_is_answered_with_an_example(self, bus: str) -> None:
        """A value that is not the name or the ARN of a bus is rejected with an example of one."""
        with pytest.raises(ValidationError, match="event-bus/my-bus"):
            EventBridgeSinkSettings(bus=bus)

    def test_an_invalid_queue_url_is_answered_with_an_example(self) -> None:
        """A value that is not a queue URL is rejected with an example of one."""
        with pytest.raises(ValidationError, match="111122223333/my-queue"):
            SqsSinkSettings(queue_url="my-queue")
