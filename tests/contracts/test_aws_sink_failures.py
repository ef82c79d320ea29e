"""Replies that moto never gives: batches that fail in part, in every way the services document, and whole calls that fail.

The sinks speak to a loopback server that answers what the test told it to, in each service's own protocol.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import pytest

from tests.contracts.sink_exam import an_event
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.batches import MAX_MESSAGE_BYTES
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.eventbridge import EventBridgeSink, EventBridgeSinkSettings
from watcher.adapters.sinks.sns import SnsSink, SnsSinkSettings
from watcher.adapters.sinks.sqs import SqsSink, SqsSinkSettings
from watcher.errors import CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.ports import Delivered, Outcome, Rejected, Retry, Sink

EVENTS = [an_event(f"t-{n}") for n in range(4)]
TOPIC = "arn:aws:sns:us-east-1:111122223333:events"


@pytest.fixture
async def aws() -> AsyncIterator[AwsClients]:
    clients = AwsClients()
    yield clients
    await clients.close()


def told(outcomes: Sequence[Outcome]) -> list[Any]:
    """Outcomes in a form that compares: the class of the error that says why to come again."""
    return [(type(o.error), o.error.code) if isinstance(o, Retry) else o for o in outcomes]


# How SQS and SNS say that a batch failed in part; (id, sender's fault, code).
Failure = tuple[str, bool, str]


def sqs_reply(taken: Sequence[str], failed: Sequence[Failure]) -> tuple[Any, str]:
    entries = [{"Id": id_, "SenderFault": fault, "Code": code, "Message": "canary"} for id_, fault, code in failed]
    return {"Successful": [{"Id": id_, "MessageId": "m", "MD5OfMessageBody": "d"} for id_ in taken], "Failed": entries}, "json"


def sns_reply(taken: Sequence[str], failed: Sequence[Failure]) -> tuple[Any, str]:
    good = "".join(f"<member><Id>{id_}</Id><MessageId>m</MessageId></member>" for id_ in taken)
    bad = "".join(
        f"<member><Id>{id_}</Id><Code>{escape(code)}</Code><Message>canary</Message><SenderFault>{str(fault).lower()}</SenderFault></member>"
        for id_, fault, code in failed
    )
    xml = f"<PublishBatchResult><Successful>{good}</Successful><Failed>{bad}</Failed></PublishBatchResult>"
    return f'<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{xml}</PublishBatchResponse>', "xml"


@dataclass
class Service:
    """One of the two services that match by id."""

    sink: Sink
    aws: ScriptedAws
    reply: Callable[[Sequence[str], Sequence[Failure]], tuple[Any, str]]

    def answer(self, taken: Sequence[str] = (), failed: Sequence[Failure] = ()) -> None:
        content, form = self.reply(taken, failed)
        if form == "json":
            self.aws.answer(content)
        else:
            self.aws.answer_text(content, content_type="text/xml")

    def sent(self) -> list[list[str]]:
        """For each request, the ids of its entries."""
        return [self._ids(request.json, request.form) for request in self.aws.requests]

    def _ids(self, body: Any, form: dict[str, list[str]]) -> list[str]:
        if body is not None:
            return [entry["Id"] for entry in body["Entries"]]
        return [value[0] for name, value in form.items() if name.endswith(".Id")]


class TestMatchedById:
    @pytest.fixture(params=["sqs", "sns"])
    def service(self, request: pytest.FixtureRequest, scripted_aws: ScriptedAws, aws: AwsClients) -> Service:
        if request.param == "sqs":
            sink: Sink = SqsSink(SqsSinkSettings(queue_url=f"{scripted_aws.url}/111122223333/events"), aws)
            return Service(sink, scripted_aws, sqs_reply)
        return Service(SnsSink(SnsSinkSettings(topic_arn=TOPIC), aws), scripted_aws, sns_reply)

    async def test_each_entry_has_its_own_outcome(self, service: Service) -> None:
        """Taken, failed by the service, failed by the sender, not mentioned: matched by id, whatever the order of the reply."""
        service.answer(taken=["2"], failed=[("3", True, "InvalidMessageContents"), ("0", False, "InternalError")])
        outcomes = await service.sink.send(EVENTS)
        assert told(outcomes) == [
            (Unavailable, "InternalError"),
            (Unreadable, "no_outcome"),
            Delivered(),
            Rejected("InvalidMessageContents"),
        ]
        assert service.sent() == [["0", "1", "2", "3"]]

    @pytest.mark.parametrize(
        ("code", "error"),
        [
            ("ThrottlingException", Throttled),
            ("KMSThrottling", Throttled),
            ("AccessDenied", Denied),
            ("KmsAccessDenied", Denied),
            ("ExpiredToken", CredentialsRejected),
            ("KmsDisabled", RemoteError),
        ],
    )
    async def test_a_fault_that_somebody_can_mend_is_not_for_good(self, service: Service, code: str, error: type[RemoteError]) -> None:
        """The rate, the permission and the key are the sender's fault too, but not the event's: it comes again."""
        service.answer(failed=[("0", True, code)])
        (outcome,) = await service.sink.send(EVENTS[:1])
        assert isinstance(outcome, Retry)
        assert isinstance(outcome.error, error)

    async def test_a_failed_and_a_taken_entry_by_one_id_is_not_taken(self, service: Service) -> None:
        """A reply that contradicts itself counts as a failure: better twice than never."""
        service.answer(taken=["0"], failed=[("0", False, "InternalError")])
        assert told(await service.sink.send(EVENTS[:1])) == [(Unavailable, "InternalError")]

    async def test_a_page_with_status_200_delivers_nothing(self, service: Service) -> None:
        """What a proxy says in HTML is no delivery, whether the SDK trips over it or reads nothing out of it."""
        service.aws.answer_text("<html><body>Please log in</body></html>", content_type="text/html")
        try:
            outcomes = await service.sink.send(EVENTS)
        except RemoteError:
            return
        assert all(isinstance(outcome, Retry) for outcome in outcomes)

    async def test_batches_too_large_go_in_parts_and_an_outage_between_them_is_told(self, service: Service) -> None:
        """Two calls for what one may not hold; when the second fails, what the first took stays delivered, and there is no third."""
        large = [an_event(f"t-{n}", padding=MAX_MESSAGE_BYTES // 2 - 2000) for n in range(6)]
        service.answer(taken=["0", "1"])
        service.aws.drop()
        outcomes = await service.sink.send(large)
        assert list(outcomes[:2]) == [Delivered()] * 2
        assert [type(o.error) for o in outcomes[2:] if isinstance(o, Retry)] == [Unavailable] * 4
        assert service.sent() == [["0", "1"], ["0", "1"]]

    async def test_exactly_as_large_as_allowed_is_sent(self, service: Service) -> None:
        """Body and attributes together may have as many bytes as the service takes, and not one more."""
        attributes = {"content-type": "application/cloudevents+json", "type": EVENTS[0].type, "kind": "speaker-search", "to": "IN_PROGRESS"}
        overhead = sum(len(name) + len("String") + len(value) for name, value in {**attributes, "terminal": "false"}.items())
        room = MAX_MESSAGE_BYTES - overhead - len(an_event("fits").body)
        service.answer(taken=["0"])
        assert await service.sink.send([an_event("fits", padding=room)]) == [Delivered()]
        assert await service.sink.send([an_event("fits", padding=room + 1)]) == [Rejected("size")]

    async def test_a_character_the_service_refuses_spoils_no_mates(self, service: Service) -> None:
        """A body with a character that XML does not know is refused before it costs the whole call."""
        bad = an_event("t-bad", after="\uffff")
        service.answer(taken=["0"])
        assert await service.sink.send([bad, EVENTS[0]]) == [Rejected("characters"), Delivered()]

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_a_call_that_fails_whole_is_raised(self, service: Service, status: int) -> None:
        """When nothing was taken the error is raised, after one request, and without what the service said."""
        service.aws.answer_text("canary", content_type="text/plain", status=status)
        with pytest.raises(Unavailable) as caught:
            await service.sink.send(EVENTS)
        assert "canary" not in str(caught.value)
        assert len(service.sent()) == 1

    async def test_too_many_calls_is_a_throttle(self, service: Service) -> None:
        """429 is a throttle, whatever its body says."""
        service.aws.answer_text("", content_type="text/plain", status=429)
        with pytest.raises(Throttled):
            await service.sink.send(EVENTS)

    async def test_a_dropped_connection_is_unavailable(self, service: Service) -> None:
        """A connection that is reset before the reply is trouble of the network."""
        service.aws.drop()
        with pytest.raises(Unavailable):
            await service.sink.send(EVENTS)


class TestSnsCheck:
    async def test_check_counts_subscriptions(self, scripted_aws: ScriptedAws, aws: AwsClients) -> None:
        """The words of a check are the kind of the topic and how many listen to it."""
        entry = "<entry><key>SubscriptionsConfirmed</key><value>3</value></entry>"
        xml = f"<GetTopicAttributesResult><Attributes>{entry}</Attributes></GetTopicAttributesResult>"
        scripted_aws.answer_text(f"<GetTopicAttributesResponse>{xml}</GetTopicAttributesResponse>", content_type="text/xml")
        assert await SnsSink(SnsSinkSettings(topic_arn=TOPIC + ".fifo"), aws).check() == "FIFO topic, subscriptions: 3"


class TestEventBridge:
    @pytest.fixture
    def sink(self, scripted_aws: ScriptedAws, aws: AwsClients) -> EventBridgeSink:
        return EventBridgeSink(EventBridgeSinkSettings(bus="watched"), aws)

    async def test_sends_source_type_detail_time_and_bus(self, sink: EventBridgeSink, scripted_aws: ScriptedAws) -> None:
        """One request with an entry for each event: the event itself, byte for byte, is the detail."""
        scripted_aws.answer({"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]})
        assert await sink.send(EVENTS[:1]) == [Delivered()]
        (request,) = scripted_aws.requests
        assert request.operation == "PutEvents"
        assert request.json == {
            "Entries": [
                {
                    "Time": int(EVENTS[0].at),
                    "Source": "watcher",
                    "DetailType": "watcher.task.transition.v1",
                    "Detail": EVENTS[0].body.decode(),
                    "EventBusName": "watched",
                }
            ]
        }

    async def test_outcomes_are_matched_by_place(self, sink: EventBridgeSink, scripted_aws: ScriptedAws) -> None:
        """Internal failure and throttling come again, any other code is for good, and what got neither id nor code was not taken."""
        entries = [
            {"ErrorCode": "InternalFailure", "ErrorMessage": "canary"},
            {"EventId": "e"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "canary"},
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "canary"},
        ]
        scripted_aws.answer({"FailedEntryCount": 3, "Entries": entries})
        assert told(await sink.send(EVENTS)) == [
            (Unavailable, "InternalFailure"),
            Delivered(),
            Rejected("MalformedDetail"),
            (Throttled, "ThrottlingException"),
        ]
        scripted_aws.answer({"FailedEntryCount": 1, "Entries": [{}]})
        assert told(await sink.send(EVENTS[:1])) == [(Unreadable, "no_outcome")]

    @pytest.mark.parametrize("code", ["AccessDeniedException", "NotAuthorizedForSourceException", "InvalidArgument", "InternalException"])
    async def test_every_other_code_is_for_good(self, sink: EventBridgeSink, scripted_aws: ScriptedAws, code: str) -> None:
        """PutEvents documents two codes as worth another try; the others are dead letters under their own name."""
        scripted_aws.answer({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code}]})
        assert await sink.send(EVENTS[:1]) == [Rejected(code)]

    @pytest.mark.parametrize("entries", [None, [], [{"EventId": "e"}] * 3, [{"EventId": "e"}] * 5])
    async def test_a_reply_of_another_length_is_no_delivery(self, sink: EventBridgeSink, scripted_aws: ScriptedAws, entries: Any) -> None:
        """Where the places do not match nothing is known to have been taken."""
        scripted_aws.answer({} if entries is None else {"FailedEntryCount": 0, "Entries": entries})
        with pytest.raises(Unreadable):
            await sink.send(EVENTS)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (400, "ThrottlingException", Throttled),
            (429, "", Throttled),
            (500, "InternalException", Unavailable),
            (400, "AccessDeniedException", Denied),
            (400, "ResourceNotFoundException", NotFound),
        ],
    )
    async def test_a_call_that_fails_whole_is_raised(
        self, sink: EventBridgeSink, scripted_aws: ScriptedAws, status: int, code: str, error: type[RemoteError]
    ) -> None:
        """When nothing was taken the error is raised, after one request, and without what the service said."""
        scripted_aws.answer({"__type": code, "message": "canary"}, status=status)
        with pytest.raises(error) as caught:
            await sink.send(EVENTS)
        assert "canary" not in str(caught.value)
        assert len(scripted_aws.requests) == 1
