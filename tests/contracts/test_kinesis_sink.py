"""The Kinesis sink takes the exam of sinks with moto's server, and replies that moto never gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest
from pydantic import ValidationError

from tests.contracts.sink_exam import PATIENCE, RemoteSinkExam, RemoteSinkPeer, all_delivered, an_event
from tests.contracts.test_aws_sink_failures import comparable
from tests.moto_server import plain_client
from tests.relay import Relay
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.kinesis import MAX_RECORD_BYTES, KinesisSink, KinesisSinkSettings
from watcher.errors import Denied, NotFound, Throttled, Unavailable, Unreadable
from watcher.ports import Delivered, Rejected, Sink

EVENTS = [an_event(f"t-{n}") for n in range(4)]


class KinesisPeer(RemoteSinkPeer):
    """A stream with one shard, which keeps its records in the order in which they were put."""

    largest = MAX_RECORD_BYTES

    def __init__(self, url: str, relay: Relay, aws: AwsClients) -> None:
        self.relay, self.aws = relay, aws
        self.kinesis = plain_client("kinesis", url)
        self.kinesis.create_stream(StreamName="events", ShardCount=1)
        self.arn = self.kinesis.describe_stream_summary(StreamName="events")["StreamDescriptionSummary"]["StreamARN"]

    async def make(self) -> Sink:
        return KinesisSink(KinesisSinkSettings(stream="events"), self.aws)

    async def taken(self, count: int) -> Sequence[bytes]:
        with anyio.fail_after(PATIENCE):
            while len(records := await anyio.to_thread.run_sync(self.records)) < count:
                pass
        return [record["Data"] for record in records]

    def records(self) -> list[dict[str, Any]]:
        shard = self.kinesis.list_shards(StreamName="events")["Shards"][0]["ShardId"]
        at = self.kinesis.get_shard_iterator(StreamName="events", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        found: list[dict[str, Any]] = []
        while records := (reply := self.kinesis.get_records(ShardIterator=at))["Records"]:
            found += records
            at = reply["NextShardIterator"]
        return found

    async def disconnect(self) -> None:
        self.relay.cut()

    async def restore(self) -> None:
        self.relay.restore()


class TestKinesisStream(RemoteSinkExam):
    @pytest.fixture
    def peer(self, moto_url: str, relay: Relay, aws: AwsClients) -> KinesisPeer:
        return KinesisPeer(moto_url, relay, aws)

    async def test_the_key_of_the_task_is_the_partition_key(self, peer: KinesisPeer) -> None:
        """A key that is too long for a partition key is hashed, always in the same way."""
        sink = await peer.open()
        long = "t" * 250
        for event in (an_event("t-1"), an_event(long + "1", 1), an_event(long + "1", 2), an_event(long + "2", 1)):
            await all_delivered(sink, [event])
        await peer.taken(4)
        plain, first, second, other = [record["PartitionKey"] for record in peer.records()]
        assert plain == an_event("t-1").key
        assert first == second != other
        assert len(first) == 64

    async def test_a_stream_named_by_its_arn(self, peer: KinesisPeer) -> None:
        """The ARN of a stream can be used instead of its name."""
        await all_delivered(KinesisSink(KinesisSinkSettings(stream=peer.arn), peer.aws), EVENTS)
        assert len(await peer.taken(4)) == 4

    async def test_check_says_what_the_stream_is(self, peer: KinesisPeer) -> None:
        """A check returns the state of the stream and its shards."""
        assert await (await peer.open()).check() == "stream ACTIVE, open shards: 1"

    async def test_a_stream_that_does_not_exist_is_not_found(self, peer: KinesisPeer) -> None:
        """A call to a deleted stream raises NotFound, so the events stay in the outbox."""
        sink = KinesisSink(KinesisSinkSettings(stream="gone"), peer.aws)
        with pytest.raises(NotFound):
            await sink.send(EVENTS)
        with pytest.raises(NotFound):
            await sink.check()


class TestReplies:
    @pytest.fixture
    def sink(self, scripted_aws: ScriptedAws, aws: AwsClients) -> KinesisSink:
        return KinesisSink(KinesisSinkSettings(stream="events"), aws)

    async def test_outcomes_are_matched_by_index(self, sink: KinesisSink, scripted_aws: ScriptedAws) -> None:
        """A record that was throttled or failed within the service is retried, and so is one with neither a number nor a code."""
        records = [
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "canary"},
            {"SequenceNumber": "1", "ShardId": "s"},
            {"ErrorCode": "InternalFailure", "ErrorMessage": "canary"},
            {},
        ]
        scripted_aws.answer({"FailedRecordCount": 2, "Records": records})
        assert comparable(await sink.send(EVENTS)) == [
            (Throttled, "ProvisionedThroughputExceededException"),
            Delivered(),
            (Unavailable, "InternalFailure"),
            (Unreadable, "no_outcome"),
        ]

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("KMSAccessDeniedException", Denied),
            ("KMSDisabledException", Denied),
            ("KMSInvalidStateException", Denied),
            ("KMSNotFoundException", Denied),
            ("KMSOptInRequired", Denied),
            ("KMSThrottlingException", Throttled),
        ],
    )
    async def test_an_encryption_key_is_outside_the_event(
        self, sink: KinesisSink, scripted_aws: ScriptedAws, code: str, error: type[Exception]
    ) -> None:
        """A record that failed for the key of the stream is retried: an operator can fix the key."""
        scripted_aws.answer({"FailedRecordCount": 1, "Records": [{"ErrorCode": code}]})
        assert comparable(await sink.send(EVENTS[:1])) == [(error, code)]

    @pytest.mark.parametrize("count", [0, 3, 5])
    async def test_a_reply_of_another_length_is_no_delivery(self, sink: KinesisSink, scripted_aws: ScriptedAws, count: int) -> None:
        """A reply with another number of results raises Unreadable, because no result can be matched to its record."""
        scripted_aws.answer({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}] * count})
        with pytest.raises(Unreadable):
            await sink.send(EVENTS)

    async def test_a_batch_of_more_than_5_mib_is_split(self, sink: KinesisSink, scripted_aws: ScriptedAws) -> None:
        """Records that are too large together go in several calls; after one that failed there is no further one."""
        large = [an_event(f"t-{n}", padding=900 * 1024) for n in range(12)]
        scripted_aws.answer({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}] * 5})
        scripted_aws.answer({"__type": "LimitExceededException"}, status=400)
        outcomes = comparable(await sink.send(large))
        assert outcomes[:5] == [Delivered()] * 5
        assert len(set(outcomes[5:])) == 1
        assert [len(request.json["Records"]) for request in scripted_aws.requests] == [5, 5]

    async def test_exactly_as_large_as_allowed_is_sent(self, sink: KinesisSink, scripted_aws: ScriptedAws) -> None:
        """Data and partition key together can have exactly the maximum number of bytes; one more is rejected."""
        room = MAX_RECORD_BYTES - len(an_event("fits").body) - len(an_event("fits").key)
        scripted_aws.answer({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1"}]})
        assert await sink.send([an_event("fits", padding=room)]) == [Delivered()]
        assert await sink.send([an_event("fits", padding=room + 1)]) == [Rejected("size")]


@pytest.mark.parametrize("stream", ["", "a stream", "arn:aws:sqs:us-east-1:111122223333:stream/s", "arn:aws:kinesis:us-east-1:1:stream/s"])
def test_an_invalid_stream_is_answered_with_an_example(stream: str) -> None:
    """A value that is not the name or the ARN of a stream is rejected with an example of one."""
    with pytest.raises(ValidationError, match="111122223333:stream/my-stream"):
        KinesisSinkSettings(stream=stream)
