"""A queue, a topic and a bus in another Region than the configured one are called in their own Region."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.contracts.sink_exam import an_event
from tests.scripted_aws import ScriptedAws, scripted_aws  # noqa: F401  the fixture
from watcher.adapters.aws.arns import arn_region, queue_region
from watcher.adapters.aws.queue import OutgoingMessage, Queue
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.eventbridge import EventBridgeSink, EventBridgeSinkSettings
from watcher.adapters.sinks.kinesis import KinesisSink, KinesisSinkSettings
from watcher.adapters.sinks.lambda_ import LambdaSink, LambdaSinkSettings
from watcher.adapters.sinks.sns import SnsSink, SnsSinkSettings
from watcher.adapters.sinks.sqs import SqsSink, SqsSinkSettings
from watcher.adapters.sources.sqs import SqsSource, SqsSourceSettings
from watcher.errors import RemoteError
from watcher.model import Message

HERE, THERE = "us-east-1", "eu-central-1"


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/111122223333/q", "eu-central-1"),
        ("https://SQS.us-gov-west-1.amazonaws.com/111122223333/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q.fifo", "cn-north-1"),
        ("https://sqs-fips.us-west-2.amazonaws.com/111122223333/q", "us-west-2"),
        ("https://sqs.eu-west-3.api.aws/111122223333/q", "eu-west-3"),
        ("https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com/111122223333/q", "ap-south-1"),
        ("https://eu-west-2.queue.amazonaws.com/111122223333/q", "eu-west-2"),
        ("https://queue.amazonaws.com/111122223333/q", "us-east-1"),
        ("http://localhost:4566/000000000000/q", None),
        ("http://sqs.eu-central-1.localhost.localstack.cloud:4566/000000000000/q", None),
        ("https://queue.example.com/eu-central-1/q", None),
        ("https://sqs.eu-central-1.amazonaws.com.example.org/1/q", None),
        ("", None),
    ],
)
def test_the_region_of_a_queue(url: str, region: str | None) -> None:
    """Every form of AWS's hosts names its Region, and no other host does."""
    assert queue_region(url) == region


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("arn:aws:sns:ap-east-1:111122223333:t", "ap-east-1"),
        ("arn:aws-cn:events:cn-north-1:1:event-bus/b", "cn-north-1"),
        ("default", None),
    ],
)
def test_the_region_of_an_arn(name: str, region: str | None) -> None:
    """An ARN names its Region; a plain name does not."""
    assert arn_region(name) == region


def source(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    queue = SqsSource(SqsSourceSettings(queue_url=url), aws)
    message = Message("m", b"{}", "receipt")
    return [queue.check, queue.receive, lambda: queue.ack([message]), lambda: queue.extend([message])]


def sink(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    queue = SqsSink(SqsSinkSettings(queue_url=url), aws)
    return [queue.check, lambda: queue.send([an_event()])]


def submission(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    return [lambda: Queue(url, aws).send([OutgoingMessage("{}", "key")])]


def topic(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    topic = SnsSink(SnsSinkSettings(topic_arn=f"arn:aws:sns:{queue_region(url)}:111122223333:events"), aws)
    return [topic.check, lambda: topic.send([an_event()])]


def bus(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    bus = EventBridgeSink(EventBridgeSinkSettings(bus=f"arn:aws:events:{queue_region(url)}:111122223333:event-bus/b"), aws)
    return [bus.check, lambda: bus.send([an_event()])]


def stream(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    stream = KinesisSink(KinesisSinkSettings(stream=f"arn:aws:kinesis:{queue_region(url)}:111122223333:stream/events"), aws)
    return [stream.check, lambda: stream.send([an_event()])]


def function(url: str, aws: AwsClients) -> list[Callable[[], Awaitable[Any]]]:
    function = LambdaSink(LambdaSinkSettings(function=f"arn:aws:lambda:{queue_region(url)}:111122223333:function:events:live"), aws)
    return [function.check, lambda: function.send([an_event()])]


@pytest.fixture
async def aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwsClients]:
    monkeypatch.setenv("AWS_REGION", HERE)
    clients = AwsClients()
    yield clients
    await clients.close()


@pytest.mark.parametrize("calls", [source, sink, submission, topic, bus, stream, function])
@pytest.mark.parametrize("region", [HERE, THERE])
async def test_each_call_is_signed_for_the_region_of_its_resource(
    scripted_aws: ScriptedAws,  # noqa: F811 - the fixture
    aws: AwsClients,
    calls: Callable[[str, AwsClients], list[Callable[[], Awaitable[Any]]]],
    region: str,
) -> None:
    """Receiving, acknowledging, sending and checking go to the Region that the resource names; other calls stay where they are."""
    for call in calls(f"https://sqs.{region}.amazonaws.com/111122223333/q", aws):
        try:
            await call()
        except RemoteError:
            continue  # the server has no answer: only the request matters
    assert {request.region for request in scripted_aws.requests} == {region}
    assert aws.region() == HERE


async def test_the_endpoint_is_that_of_the_region(aws: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an endpoint of its own, a client of another Region calls that Region's host, and the usual client keeps its own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "loopback")
    hosts = [(await aws.client("sqs", region=region)).meta.endpoint_url for region in (THERE, None, HERE)]
    assert hosts == [f"https://sqs.{region}.amazonaws.com" for region in (THERE, HERE, HERE)]
