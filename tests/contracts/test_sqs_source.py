"""`SqsSource` takes the exam of sources with moto's server; replies that moto never gives come from a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio.to_thread
import pytest
from pydantic import ValidationError

from tests.contracts.source_exam import SourceExam, SourcePeer, take
from tests.moto_server import plain_client
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sources.sqs import SqsSource, SqsSourceSettings
from watcher.core.intake.strict_json import MAX_BODY
from watcher.errors import CredentialsRejected, NotFound, Throttled, Unavailable, Unreadable
from watcher.model import Message


class SqsPeer(SourcePeer):
    """A queue at moto's server."""

    may_repeat = True  # moto's threads can both take a message before one of them hides it; SQS delivers at least once, too

    def __init__(self, url: str, aws: AwsClients, fifo: bool) -> None:
        self._aws = aws
        self.sqs = plain_client("sqs", url)
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
        self.queue_url = self.sqs.create_queue(QueueName="tasks.fifo" if fifo else "tasks", Attributes=attributes)["QueueUrl"]
        self._fifo = fifo

    async def make(self) -> SqsSource:
        return SqsSource(SqsSourceSettings(queue_url=self.queue_url, wait=1, receivers=3), self._aws)

    async def put(self, *bodies: bytes) -> None:
        for n, body in enumerate(bodies):
            group = {"MessageGroupId": f"client-{n}"} if self._fifo else {}
            await self._call("send_message", MessageBody=body.decode(), **group)

    async def expire_hold(self, messages: Sequence[Message]) -> None:
        for message in messages:
            entries = [{"Id": "1", "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}]
            await self._call("change_message_visibility_batch", Entries=entries)

    async def delete(self, messages: Sequence[Message]) -> None:
        for message in messages:
            await self._call("delete_message", ReceiptHandle=message.receipt)

    async def _call(self, operation: str, **params: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: getattr(self.sqs, operation)(QueueUrl=self.queue_url, **params))


@pytest.fixture
async def aws() -> AsyncIterator[AwsClients]:
    clients = AwsClients()
    yield clients
    await clients.close()


class TestStandardQueue(SourceExam):
    @pytest.fixture
    async def peer(self, moto_url: str, aws: AwsClients) -> SqsPeer:
        return SqsPeer(moto_url, aws, fifo=False)

    async def test_a_body_too_long_for_intake_is_cut_just_above_its_limit(self, peer: SqsPeer) -> None:
        """A body above the limit of intake is cut one byte above it, and other bodies are received whole."""
        await peer.put(b"x" * 1_000_000, b"y" * MAX_BODY)
        bodies = sorted(m.body for m in await take(await peer.open(), 2))
        assert bodies == [b"x" * (MAX_BODY + 1), b"y" * MAX_BODY]

    async def test_ten_messages_of_the_largest_size_arrive_together(self, peer: SqsPeer) -> None:
        """A queue of messages of the maximum size can be emptied: ten of them fit into one reply."""
        await peer.put(*[b'"' * 1_000_000 for _ in range(10)])
        assert len(await take(await peer.open(), 10)) == 10

    async def test_a_received_message_is_hidden_for_the_visibility(self, peer: SqsPeer, aws: AwsClients) -> None:
        """A message that is neither acknowledged nor extended is received again after `visibility`, with another receipt."""
        await peer.put(b"message")
        source = SqsSource(SqsSourceSettings(queue_url=peer.queue_url, wait=2, visibility=1), aws)
        first = await take(source, 1)
        second = await take(source, 1)
        assert (second[0].id, second[0].body) == (first[0].id, first[0].body)
        assert second[0].receipt != first[0].receipt

    async def test_a_queue_that_does_not_exist_is_not_found(self, peer: SqsPeer, aws: AwsClients) -> None:
        """Every call to a queue that does not exist in this Region raises NotFound."""
        source = SqsSource(SqsSourceSettings(queue_url=peer.queue_url + "-gone", wait=1), aws)
        with pytest.raises(NotFound):
            await source.receive()
        with pytest.raises(NotFound):
            await source.check()

    async def test_a_message_has_the_trace_context_of_its_attributes(self, peer: SqsPeer) -> None:
        """The instrumentation of the sender adds the context as message attributes. An invalid context is ignored."""
        parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "congo=t61rcWkgMzE"
        sent = {"one": {"traceparent": parent, "tracestate": state, "other": "x"}, "two": {"traceparent": "invalid"}, "three": {}}
        for body, attributes in sent.items():
            found = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
            await peer._call("send_message", MessageBody=body, MessageAttributes=found)
        traces = {message.body: message.trace for message in await take(await peer.open(), 3)}
        assert traces == {b"one": f"{parent} {state}", b"two": None, b"three": None}

    async def test_check_counts_waiting_and_held(self, peer: SqsPeer) -> None:
        """A check returns the kind of queue and the numbers of waiting and held messages."""
        await peer.put(b"one", b"two")
        source = await peer.open()
        assert await source.check() == "standard queue, 2 waiting, 0 held"
        await take(source, 2)
        assert await source.check() == "standard queue, 0 waiting, 2 held"


class TestFifoQueue(SourceExam):
    @pytest.fixture
    async def peer(self, moto_url: str, aws: AwsClients) -> SqsPeer:
        return SqsPeer(moto_url, aws, fifo=True)


class TestRepliesThatMotoNeverGives:
    @pytest.fixture
    def source(self, scripted_aws: ScriptedAws, aws: AwsClients) -> SqsSource:
        return SqsSource(SqsSourceSettings(queue_url=f"{scripted_aws.url}/123456789012/tasks", wait=1), aws)

    async def test_a_receive_has_the_values_of_the_settings(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """A receive is one request for ten messages, with the wait and the visibility of the settings."""
        scripted_aws.answer({})
        assert await source.receive() == []
        (request,) = scripted_aws.requests
        assert request.operation == "ReceiveMessage"
        assert request.json == {
            "QueueUrl": f"{scripted_aws.url}/123456789012/tasks",
            "MaxNumberOfMessages": 10,
            "WaitTimeSeconds": 1,
            "VisibilityTimeout": 120,
            "MessageAttributeNames": ["traceparent", "tracestate"],
        }

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (400, "ThrottlingException", Throttled),
            (400, "com.amazonaws.sqs#RequestThrottled", Throttled),
            (429, "", Throttled),
            (500, "InternalFailure", Unavailable),
            (503, "ServiceUnavailable", Unavailable),
            (400, "com.amazonaws.sqs#QueueDoesNotExist", NotFound),
            (403, "ExpiredToken", CredentialsRejected),
        ],
    )
    async def test_a_failed_receive_raises_a_named_error(
        self,
        source: SqsSource,
        scripted_aws: ScriptedAws,
        status: int,
        code: str,
        error: type[Exception],
    ) -> None:
        """Each error of SQS raises its named error after one request, without any text of the reply."""
        scripted_aws.answer({"__type": code, "message": "canary"}, status=status)
        with pytest.raises(error) as caught:
            await source.receive()
        assert "canary" not in str(caught.value)
        assert len(scripted_aws.requests) == 1

    async def test_a_dropped_connection_is_unavailable(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """A connection that is reset before the reply raises Unavailable."""
        scripted_aws.drop()
        with pytest.raises(Unavailable):
            await source.receive()

    async def test_a_page_is_not_an_empty_queue(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """An HTML page with status 200, as from a proxy, raises Unreadable, so that the source is not polled again at once."""
        scripted_aws.answer_text("<html>Please log in</html>", content_type="text/html")
        with pytest.raises(Unreadable):
            await source.receive()

    @pytest.mark.parametrize("missing", ["MessageId", "ReceiptHandle", "Body"])
    async def test_an_incomplete_message_is_unreadable(self, source: SqsSource, scripted_aws: ScriptedAws, missing: str) -> None:
        """A message without id, receipt or body raises Unreadable."""
        whole = {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "canary"}
        scripted_aws.answer({"Messages": [{name: value for name, value in whole.items() if name != missing}]})
        with pytest.raises(Unreadable) as caught:
            await source.receive()
        assert "canary" not in str(caught.value)

    async def test_a_lone_surrogate_reaches_intake(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """A body with a lone surrogate becomes invalid UTF-8, which intake rejects, and the other messages are received."""
        whole = {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "\ud800"}
        scripted_aws.answer({"Messages": [whole, {**whole, "MessageId": "m-2", "Body": "good"}]})
        assert [m.body for m in await source.receive()] == [b"\xed\xa0\x80", b"good"]

    async def test_ack_returns_what_was_not_deleted(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """Ack returns the messages that failed and those that the reply does not list."""
        failed = [
            {"Id": "1", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"},
            {"Id": "2", "SenderFault": False, "Code": "InternalError"},
        ]
        scripted_aws.answer({"Successful": [{"Id": "0"}], "Failed": failed})
        messages = [Message(f"m-{n}", b"", f"r-{n}") for n in range(4)]
        assert await source.ack(messages) == messages[1:]

    async def test_ack_sends_batches_of_ten(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """More than ten messages are deleted by several requests, and each failure is matched to its message."""
        for ids, lost in ((range(10), "3"), (range(2), "1")):
            done = [{"Id": str(n)} for n in ids if str(n) != lost]
            scripted_aws.answer({"Successful": done, "Failed": [{"Id": lost, "SenderFault": False, "Code": "InternalError"}]})
        messages = [Message(f"m-{n}", b"", f"r-{n}") for n in range(12)]
        assert await source.ack(messages) == [messages[3], messages[11]]
        assert [len(request.json["Entries"]) for request in scripted_aws.requests] == [10, 2]

    async def test_extend_tells_lost_from_failed(self, source: SqsSource, scripted_aws: ScriptedAws) -> None:
        """A message that is visible again, deleted, or held for 12 h is lost; after a fault of SQS the message stays held for now."""
        codes = {"0": "MessageNotInflight", "1": "ReceiptHandleIsInvalid", "2": "InvalidParameterValue"}
        failed = [{"Id": n, "SenderFault": True, "Code": code} for n, code in codes.items()]
        failed.append({"Id": "3", "SenderFault": False, "Code": "InternalError"})
        scripted_aws.answer({"Successful": [{"Id": "4"}], "Failed": failed})
        messages = [Message(f"m-{n}", b"", f"r-{n}") for n in range(5)]
        assert await source.extend(messages) == messages[:3]
        assert {entry["VisibilityTimeout"] for entry in scripted_aws.requests[0].json["Entries"]} == {120}


class TestSettings:
    @pytest.mark.parametrize(
        "queue_url",
        [
            "https://sqs.us-east-1.amazonaws.com/111122223333/speaker-search-tasks",
            "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/tasks.fifo",
            "http://127.0.0.1:4566/000000000000/tasks",
        ],
    )
    def test_the_url_of_a_queue_is_valid(self, queue_url: str) -> None:
        """The URL of a queue in any AWS partition, or on a local server, is valid."""
        assert SqsSourceSettings(queue_url=queue_url).queue_url == queue_url

    @pytest.mark.parametrize(
        "queue_url", ["", "tasks", "sqs.us-east-1.amazonaws.com/1/tasks", "https://sqs.us-east-1.amazonaws.com/", "https://a/b c"]
    )
    def test_an_invalid_queue_url_is_answered_with_an_example(self, queue_url: str) -> None:
        """A value that is not a queue URL is rejected with an example of one."""
        with pytest.raises(ValidationError, match=r"https://sqs\.us-east-1\.amazonaws\.com/111122223333/my-queue"):
            SqsSourceSettings(queue_url=queue_url)

    def test_an_arn_is_answered_with_the_url(self) -> None:
        """The ARN of a queue is rejected with the URL of the same queue."""
        with pytest.raises(ValidationError, match=r"https://sqs\.eu-west-1\.amazonaws\.com/111122223333/tasks"):
            SqsSourceSettings(queue_url="arn:aws:sqs:eu-west-1:111122223333:tasks")

    @pytest.mark.parametrize(
        "wrong", [{"wait": 0}, {"wait": 21}, {"wait": 0.5}, {"receivers": 0}, {"receivers": 33}, {"visibility": 0}, {"visibility": "13h"}]
    )
    def test_values_outside_the_limits_of_sqs_are_rejected(self, wrong: dict[str, Any]) -> None:
        """A wait or a visibility outside the limits of SQS is rejected."""
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            SqsSourceSettings(queue_url="https://sqs.us-east-1.amazonaws.com/111122223333/tasks", **wrong)
