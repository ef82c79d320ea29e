"""Replies that moto never gives: batches that fail in part, in every way the services document, and calls that fail.

The sinks call a server on loopback that sends the replies of the test, in the protocol of each service.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
OUTSIDE = [
    ("ThrottlingException", Throttled),
    ("LimitExceededException", Throttled),
    ("ServiceQuotaExceededException", Throttled),
    ("AccessDeniedException", Denied),
    ("NotAuthorizedForSourceException", Denied),
    ("NotAuthorizedForDetailTypeException", Denied),
    ("InvalidAccountIdException", Denied),
    ("KMSAccessDeniedException", Denied),
    ("KmsKeyPolicyException", Denied),
    ("KMSInvalidKeyUsageException", Denied),
    ("InternalFailure", Unavailable),
    ("InternalException", Unavailable),
    ("InternalServiceFailure", Unavailable),
    ("ResourceNotFoundException", NotFound),
]
"""Codes of entries whose cause an operator can remove, or that passes, and the error that they become in all three services."""
ABOUT_THE_ENTRY = ["MalformedDetail", "InvalidArgument", "InvalidMessageContents", "MessageSizeLimitExceeded", "ValidationException"]
TOPIC = "arn:aws:sns:us-east-1:111122223333:events"


def comparable(outcomes: Sequence[Outcome]) -> list[Any]:
    """Return outcomes that can be compared: a Retry becomes the type and the code of its error."""
    return [(type(o.error), o.error.code) if isinstance(o, Retry) else o for o in outcomes]


# A failed entry of a batch as SQS and SNS report it: id, whether it is the sender's fault, code.
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
    """One of the two services whose replies refer to entries by id."""

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
        """Return the ids of the entries of each request."""
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
        """Delivered, failed by the service, failed by the sender, missing in the reply: each entry is matched by id, in any order."""
        service.answer(taken=["2"], failed=[("3", True, "InvalidMessageContents"), ("0", False, "InternalError")])
        outcomes = await service.sink.send(EVENTS)
        assert comparable(outcomes) == [
            (Unavailable, "InternalError"),
            (Unreadable, "no_outcome"),
            Delivered(),
            Rejected("InvalidMessageContents"),
        ]
        assert service.sent() == [["0", "1", "2", "3"]]

    @pytest.mark.parametrize(
        ("code", "error"), [*OUTSIDE, ("KMSThrottling", Throttled), ("AccessDenied", Denied), ("ExpiredToken", CredentialsRejected)]
    )
    async def test_a_fault_outside_the_event_is_retried(self, service: Service, code: str, error: type[RemoteError]) -> None:
        """An entry that failed for the rate, a permission or the encryption key is retried, although the sender is at fault."""
        service.answer(failed=[("0", True, code)])
        assert comparable(await service.sink.send(EVENTS[:1])) == [(error, code)]

    @pytest.mark.parametrize("code", ABOUT_THE_ENTRY)
    async def test_what_is_about_the_entry_is_refused(self, service: Service, code: str) -> None:
        """With any other code of the sender's fault the event is refused with that code."""
        service.answer(failed=[("0", True, code)])
        assert await service.sink.send(EVENTS[:1]) == [Rejected(code)]

    async def test_an_id_that_both_failed_and_succeeded_counts_as_failed(self, service: Service) -> None:
        """An entry that the reply lists as both successful and failed is retried."""
        service.answer(taken=["0"], failed=[("0", False, "InternalError")])
        assert comparable(await service.sink.send(EVENTS[:1])) == [(Unavailable, "InternalError")]

    async def test_a_page_with_status_200_delivers_nothing(self, service: Service) -> None:
        """An HTML page with status 200, as from a proxy, delivers nothing, whether the SDK rejects it or parses it as empty."""
        service.aws.answer_text("<html><body>Please log in</body></html>", content_type="text/html")
        try:
            outcomes = await service.sink.send(EVENTS)
        except RemoteError:
            return
        assert all(isinstance(outcome, Retry) for outcome in outcomes)

    async def test_a_large_batch_is_split_and_may_fail_in_part(self, service: Service) -> None:
        """Events too large for one call are split; if the second call fails, the first stays delivered, and there is no third."""
        large = [an_event(f"t-{n}", padding=MAX_MESSAGE_BYTES // 2 - 2000) for n in range(6)]
        service.answer(taken=["0", "1"])
        service.aws.drop()
        outcomes = await service.sink.send(large)
        assert list(outcomes[:2]) == [Delivered()] * 2
        assert [type(o.error) for o in outcomes[2:] if isinstance(o, Retry)] == [Unavailable] * 4
        assert service.sent() == [["0", "1"], ["0", "1"]]

    async def test_exactly_as_large_as_allowed_is_sent(self, service: Service) -> None:
        """Body and attributes together can have exactly the maximum number of bytes; one more is rejected."""
        attributes = {"content-type": "application/cloudevents+json", "type": EVENTS[0].type, "kind": "speaker-search", "to": "IN_PROGRESS"}
        overhead = sum(len(name) + len("String") + len(value) for name, value in {**attributes, "terminal": "false"}.items())
        room = MAX_MESSAGE_BYTES - overhead - len(an_event("fits").body)
        service.answer(taken=["0"])
        assert await service.sink.send([an_event("fits", padding=room)]) == [Delivered()]
        assert await service.sink.send([an_event("fits", padding=room + 1)]) == [Rejected("size")]

    async def test_an_invalid_character_fails_only_its_own_event(self, service: Service) -> None:
        """An event with a character that XML does not allow is rejected before the call, and the other events are delivered."""
        bad = an_event("t-bad", after="\uffff")
        service.answer(taken=["0"])
        assert await service.sink.send([bad, EVENTS[0]]) == [Rejected("characters"), Delivered()]

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_a_failed_call_raises_its_error(self, service: Service, status: int) -> None:
        """If the first call fails, its error is raised after one request, without any text of the reply."""
        service.aws.answer_text("canary", content_type="text/plain", status=status)
        with pytest.raises(Unavailable) as caught:
            await service.sink.send(EVENTS)
        assert "canary" not in str(caught.value)
        assert len(service.sent()) == 1

    async def test_too_many_calls_is_a_throttle(self, service: Service) -> None:
        """Status 429 is a throttle, with any body."""
        service.aws.answer_text("", content_type="text/plain", status=429)
        with pytest.raises(Throttled):
            await service.sink.send(EVENTS)

    async def test_a_dropped_connection_is_unavailable(self, service: Service) -> None:
        """A connection that is reset before the reply raises Unavailable."""
        service.aws.drop()
        with pytest.raises(Unavailable):
            await service.sink.send(EVENTS)


class TestSnsCheck:
    async def test_check_counts_subscriptions(self, scripted_aws: ScriptedAws, aws: AwsClients) -> None:
        """A check returns the kind of topic and the number of its subscriptions."""
        entry = "<entry><key>SubscriptionsConfirmed</key><value>3</value></entry>"
        xml = f"<GetTopicAttributesResult><Attributes>{entry}</Attributes></GetTopicAttributesResult>"
        scripted_aws.answer_text(f"<GetTopicAttributesResponse>{xml}</GetTopicAttributesResponse>", content_type="text/xml")
        assert await SnsSink(SnsSinkSettings(topic_arn=TOPIC + ".fifo"), aws).check() == "FIFO topic, subscriptions: 3"


class TestEventBridge:
    @pytest.fixture
    def sink(self, scripted_aws: ScriptedAws, aws: AwsClients) -> EventBridgeSink:
        return EventBridgeSink(EventBridgeSinkSettings(bus="watched"), aws)

    async def test_sends_source_type_detail_time_and_bus(self, sink: EventBridgeSink, scripted_aws: ScriptedAws) -> None:
        """One request has an entry for each event, and the detail is the event, byte for byte."""
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

    async def test_outcomes_are_matched_by_index(self, sink: EventBridgeSink, scripted_aws: ScriptedAws) -> None:
        """An internal failure and a throttle are retried, any other code is permanent, and an entry with neither id nor code is retried."""
        entries = [
            {"ErrorCode": "InternalFailure", "ErrorMessage": "canary"},
            {"EventId": "e"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "canary"},
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "canary"},
        ]
        scripted_aws.answer({"FailedEntryCount": 3, "Entries": entries})
        assert comparable(await sink.send(EVENTS)) == [
            (Unavailable, "InternalFailure"),
            Delivered(),
            Rejected("MalformedDetail"),
            (Throttled, "ThrottlingException"),
        ]
        scripted_aws.answer({"FailedEntryCount": 1, "Entries": [{}]})
        assert comparable(await sink.send(EVENTS[:1])) == [(Unreadable, "no_outcome")]

    @pytest.mark.parametrize(("code", "error"), OUTSIDE)
    async def test_what_a_person_can_fix_is_retried(
        self, sink: EventBridgeSink, scripted_aws: ScriptedAws, code: str, error: type[RemoteError]
    ) -> None:
        """An entry that failed for a permission, a key, a limit, the bus, or within the service is retried, not given up."""
        scripted_aws.answer({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code}]})
        assert comparable(await sink.send(EVENTS[:1])) == [(error, code)]

    @pytest.mark.parametrize("code", ABOUT_THE_ENTRY)
    async def test_what_is_about_the_entry_is_refused(self, sink: EventBridgeSink, scripted_aws: ScriptedAws, code: str) -> None:
        """With any other code the event is refused with that code."""
        scripted_aws.answer({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code}]})
        assert await sink.send(EVENTS[:1]) == [Rejected(code)]

    @pytest.mark.parametrize("entries", [None, [], [{"EventId": "e"}] * 3, [{"EventId": "e"}] * 5])
    async def test_a_reply_of_another_length_is_no_delivery(self, sink: EventBridgeSink, scripted_aws: ScriptedAws, entries: Any) -> None:
        """A reply with another number of results raises Unreadable, because no result can be matched to its event."""
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
    async def test_a_failed_call_raises_its_error(
        self, sink: EventBridgeSink, scripted_aws: ScriptedAws, status: int, code: str, error: type[RemoteError]
    ) -> None:
        """If the first call fails, its error is raised after one request, without any text of the reply."""
        scripted_aws.answer({"__type": code, "message": "canary"}, status=status)
        with pytest.raises(error) as caught:
            await sink.send(EVENTS)
        assert "canary" not in str(caught.value)
        assert len(scripted_aws.requests) == 1
