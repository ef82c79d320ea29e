"""The Step Functions sink takes the exam of sinks with a server on loopback, and with replies that no look-alike gives.

tests/e2e/test_state_machine.py runs a whole watcher with a state machine of moto.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.contracts.aws_receiver import AwsReceiver, receiving
from tests.contracts.sink_exam import PATIENCE, RemoteSinkExam, RemoteSinkPeer, all_delivered, an_event
from tests.contracts.test_aws_sink_failures import comparable
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.stepfunctions import CLOSED, MAX_CAUSE, MAX_OUTPUT, StepFunctionsSink, StepFunctionsSinkSettings
from watcher.errors import CredentialsRejected, Denied, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry, Sink, TokenSink

TOKEN = "secret-token"


class WithTokens:
    """The sink, with a token for each event, as the runtime gives them to it: the id of the event."""

    def __init__(self, sink: StepFunctionsSink, sent: dict[str, bytes]) -> None:
        self._sink, self._sent = sink, sent
        self.name, self.max_batch, self.concurrency = sink.name, sink.max_batch, sink.concurrency
        self.open, self.close, self.check = sink.open, sink.close, sink.check

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self._sent |= {event.id: event.body for event in events}
        return await self._sink.send([replace(event, task_tokens=(event.id,)) for event in events])


class StepFunctionsPeer(RemoteSinkPeer):
    def __init__(self, receiver: AwsReceiver, aws: AwsClients) -> None:
        self.receiver, self.aws = receiver, aws
        self.sent: dict[str, bytes] = {}

    async def make(self) -> Sink:
        return WithTokens(StepFunctionsSink(StepFunctionsSinkSettings(), self.aws), self.sent)

    async def taken(self, count: int) -> Sequence[bytes]:
        """The events whose tokens were answered: an answer contains the data of its event at most."""
        with anyio.fail_after(PATIENCE):
            while len(self.receiver.answers) < count:
                await anyio.lowlevel.checkpoint()
        return [self.sent[params["taskToken"]] for _, params in self.receiver.answers]

    async def disconnect(self) -> None:
        self.receiver.shut = True

    async def restore(self) -> None:
        self.receiver.shut = False


def waiting(event: Event) -> Event:
    """The event, with a token that waits for it."""
    return replace(event, task_tokens=(TOKEN,))


def ended(after: str | None = "SUCCEEDED", **data: Any) -> Event:
    """The last event of a task with a token, and these members of its data."""
    event = an_event(after=after, terminal=True)
    body = json.loads(event.body)
    body["data"] = {"to": after, "terminal": True, **data}
    return waiting(replace(event, body=json.dumps(body).encode()))


class TestStepFunctions(RemoteSinkExam):
    @pytest.fixture
    async def peer(self, monkeypatch: pytest.MonkeyPatch, aws: AwsClients) -> AsyncIterator[StepFunctionsPeer]:
        async with receiving(monkeypatch) as receiver:
            yield StepFunctionsPeer(receiver, aws)


class TestAnswers:
    @pytest.fixture
    async def receiver(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwsReceiver]:
        async with receiving(monkeypatch) as receiver:
            yield receiver

    @pytest.fixture
    def sink(self, receiver: AwsReceiver, aws: AwsClients) -> StepFunctionsSink:
        return StepFunctionsSink(StepFunctionsSinkSettings(), aws)

    async def test_a_success_has_the_data_of_the_event(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """The output of the state is the `data` of the last event."""
        data = {"succeeded": True, "result": {"uri": "s3://bucket/ä"}, "context": {"call": "c-42"}}
        await all_delivered(sink, [ended("COMPLETED", **data)])
        ((operation, params),) = receiver.answers
        assert (operation, params["taskToken"]) == ("SendTaskSuccess", TOKEN)
        assert json.loads(params["output"]) == {"to": "COMPLETED", "terminal": True, **data}

    async def test_a_failure_has_the_status_and_the_message(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """The error, which a state can catch, is the status; the cause is JSON with the message of the service and the context."""
        await all_delivered(sink, [ended("STOPPED", succeeded=False, message="stopped by a user", context=7, result={"x": 1})])
        ((operation, params),) = receiver.answers
        assert (operation, params["error"]) == ("SendTaskFailure", "STOPPED")
        assert json.loads(params["cause"]) == {"to": "STOPPED", "message": "stopped by a user", "context": 7}

    async def test_a_watch_that_ended_without_a_status_is_a_failure(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """The error is the reason why the watch ended."""
        await all_delivered(sink, [ended(None, succeeded=None, reason="deadline")])
        ((operation, params),) = receiver.answers
        assert (operation, params["error"]) == ("SendTaskFailure", "deadline")

    @pytest.mark.parametrize(("status", "operation"), [("SUCCEEDED", "SendTaskSuccess"), ("FAILED", "SendTaskFailure")])
    async def test_an_event_of_an_earlier_version(
        self, sink: StepFunctionsSink, receiver: AwsReceiver, status: str, operation: str
    ) -> None:
        """It does not say whether the task succeeded: its status decides."""
        await all_delivered(sink, [ended(status)])
        assert [each for each, _ in receiver.answers] == [operation]

    async def test_an_event_before_the_end_is_a_heartbeat(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """A change of the status tells the execution that the task goes on."""
        await all_delivered(sink, [waiting(an_event())])
        assert receiver.answers == [("SendTaskHeartbeat", {"taskToken": TOKEN})]

    async def test_an_event_without_a_token_makes_no_call(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """No execution waits for it, so it is delivered."""
        await all_delivered(sink, [replace(ended(), task_tokens=()), an_event()])
        assert receiver.answers == []

    async def test_too_much_data_is_a_failure(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """An execution never waits in vain: data that is too large for an output is reported with the error of Step Functions."""
        await all_delivered(sink, [ended(succeeded=True, result="x" * MAX_OUTPUT)])
        ((operation, params),) = receiver.answers
        assert (operation, params["error"]) == ("SendTaskFailure", "States.DataLimitExceeded")

    async def test_a_cause_always_fits(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """A cause that is too long names the task alone."""
        await all_delivered(sink, [ended("FAILED", succeeded=False, task={"key": "k"}, message="x" * MAX_CAUSE)])
        assert json.loads(receiver.answers[0][1]["cause"]) == {"task": {"key": "k"}}

    async def test_heartbeats(self, sink: StepFunctionsSink, receiver: AwsReceiver) -> None:
        """Each token gets one call."""
        assert await sink.heartbeat(["a", "b"]) == [Delivered()] * 2
        assert receiver.answers == [("SendTaskHeartbeat", {"taskToken": token}) for token in "ab"]

    async def test_check_answers_no_execution(self, sink: StepFunctionsSink) -> None:
        """A check succeeds if Step Functions refuses a token that does not exist."""
        assert isinstance(sink, TokenSink)
        assert await sink.check() == "Step Functions answers"


class TestReplies:
    @pytest.fixture
    def sink(self, scripted_aws: ScriptedAws, aws: AwsClients) -> StepFunctionsSink:
        return StepFunctionsSink(StepFunctionsSinkSettings(), aws)

    @pytest.mark.parametrize("code", [*sorted(CLOSED), "InvalidOutput", "ValidationException"])
    async def test_a_token_that_is_not_valid_is_rejected(self, sink: StepFunctionsSink, scripted_aws: ScriptedAws, code: str) -> None:
        """A second attempt would not help, and the other events of the batch are answered."""
        scripted_aws.answer({"__type": code, "message": TOKEN}, status=400)
        scripted_aws.answer({})
        refused, delivered = await sink.send([ended(), ended()])
        assert isinstance(refused, Rejected)
        assert (refused.reason, refused.cause, delivered) == (code, "event", Delivered())
        assert TOKEN not in repr(refused)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (400, "ThrottlingException", Throttled),
            (400, "KmsThrottlingException", Throttled),
            (400, "KmsAccessDeniedException", Denied),
            (400, "KmsInvalidStateException", Denied),
            (400, "AccessDeniedException", Denied),
            (400, "UnrecognizedClientException", CredentialsRejected),
            (503, "ServiceUnavailable", Unavailable),
        ],
    )
    async def test_a_fault_outside_the_event_ends_the_send(
        self, sink: StepFunctionsSink, scripted_aws: ScriptedAws, status: int, code: str, error: type[RemoteError]
    ) -> None:
        """After an answer the other events are retried without a call; without any answer the error is raised."""
        scripted_aws.answer({})
        scripted_aws.answer({"__type": code, "message": TOKEN}, status=status)
        outcomes = await sink.send([ended(), ended(), ended()])
        assert comparable(outcomes) == [Delivered(), (error, code), (error, code)]
        assert [each.called for each in outcomes if isinstance(each, Retry)] == [True, False]
        scripted_aws.answer({"__type": code, "message": TOKEN}, status=status)
        with pytest.raises(error) as caught:
            await sink.send([ended(), ended()])
        assert TOKEN not in str(caught.value)
        assert len(scripted_aws.requests) == 3

    async def test_check_reports_missing_permissions(self, sink: StepFunctionsSink, scripted_aws: ScriptedAws) -> None:
        """A check raises what any other call would raise."""
        scripted_aws.answer({"__type": "AccessDeniedException"}, status=400)
        with pytest.raises(Denied):
            await sink.check()

    async def test_a_dropped_connection_leaves_open_whether_the_answer_arrived(
        self, sink: StepFunctionsSink, scripted_aws: ScriptedAws
    ) -> None:
        """So a refusal of the next attempt is no proof that the token timed out."""
        scripted_aws.drop()
        with pytest.raises(Unavailable) as caught:
            await sink.send([ended()])
        assert sink.may_have_arrived(caught.value)

    @pytest.mark.parametrize(
        "error",
        [
            Throttled("ThrottlingException"),
            Unavailable("503"),
            Unavailable("ServiceUnavailable", "HTTP 503"),
            Unavailable("timeout", "ConnectTimeoutError"),
            Unavailable("EndpointConnectionError"),
            Unreadable("407", foreign=True),
            Denied("AccessDeniedException"),
        ],
    )
    def test_other_errors_say_that_no_answer_arrived(self, sink: StepFunctionsSink, error: RemoteError) -> None:
        """The request was not sent, or the service replied that it did not carry it out."""
        assert not sink.may_have_arrived(error)
