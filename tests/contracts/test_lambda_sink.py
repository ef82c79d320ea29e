"""The Lambda sink takes the exam of sinks with a server on loopback: moto's runs a function only in a container."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
import pytest
from pydantic import ValidationError

from tests.contracts.aws_receiver import AwsReceiver, receiving
from tests.contracts.sink_exam import PATIENCE, RemoteSinkExam, RemoteSinkPeer, all_delivered, an_event
from tests.contracts.test_aws_sink_failures import comparable
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.lambda_ import MAX_BYTES, LambdaSink, LambdaSinkSettings
from watcher.errors import Busy, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.ports import Rejected, Sink


class LambdaPeer(RemoteSinkPeer):
    largest = MAX_BYTES

    def __init__(self, receiver: AwsReceiver, aws: AwsClients) -> None:
        self.receiver, self.aws = receiver, aws

    async def make(self) -> Sink:
        return LambdaSink(LambdaSinkSettings(function="events:live"), self.aws)

    async def taken(self, count: int) -> Sequence[bytes]:
        with anyio.fail_after(PATIENCE):
            while len(self.receiver.payloads) < count:
                await anyio.lowlevel.checkpoint()
        return list(self.receiver.payloads)

    async def disconnect(self) -> None:
        self.receiver.shut = True

    async def restore(self) -> None:
        self.receiver.shut = False


class TestLambdaFunction(RemoteSinkExam):
    @pytest.fixture
    async def peer(self, monkeypatch: pytest.MonkeyPatch, aws: AwsClients) -> AsyncIterator[LambdaPeer]:
        async with receiving(monkeypatch) as receiver:
            yield LambdaPeer(receiver, aws)

    async def test_the_alias_is_invoked(self, peer: LambdaPeer) -> None:
        """The function is called as it is configured, with its alias."""
        await all_delivered(await peer.open(), [an_event()])
        assert peer.receiver.invoked == ["/2015-03-31/functions/events:live/invocations"]

    async def test_check_names_the_function(self, peer: LambdaPeer) -> None:
        """A check names the function without its account, and invokes nothing."""
        arn = "arn:aws:lambda:us-east-1:111122223333:function:events:live"
        assert await LambdaSink(LambdaSinkSettings(function=arn), peer.aws).check() == "function events:live, may be invoked"
        assert peer.receiver.payloads == []


class TestReplies:
    @pytest.fixture
    def sink(self, scripted_aws: ScriptedAws, aws: AwsClients) -> LambdaSink:
        return LambdaSink(LambdaSinkSettings(function="events"), aws)

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [
            (429, "TooManyRequestsException", Throttled),
            (500, "ServiceException", Unavailable),
            (502, "EC2UnexpectedException", Unavailable),
            (502, "KMSDisabledException", Unavailable),
            (403, "AccessDeniedException", Denied),
            (404, "ResourceNotFoundException", NotFound),
            (409, "ResourceConflictException", Busy),
        ],
    )
    async def test_a_fault_outside_the_event_is_raised(
        self, sink: LambdaSink, scripted_aws: ScriptedAws, status: int, code: str, error: type[RemoteError]
    ) -> None:
        """What an operator can fix, or what passes, raises its error: the event stays in the outbox."""
        body = json.dumps({"Type": "User", "Message": "canary", "__type": code})
        scripted_aws.answer_text(body, content_type="application/json", status=status)
        with pytest.raises(error) as caught:
            await sink.send([an_event()])
        assert "canary" not in str(caught.value)

    @pytest.mark.parametrize(("status", "code"), [(413, "RequestTooLargeException"), (400, "InvalidRequestContentException")])
    async def test_what_is_about_the_event_is_rejected(self, sink: LambdaSink, scripted_aws: ScriptedAws, status: int, code: str) -> None:
        """A payload that the function cannot get is a dead letter at once: sending it again would not help."""
        scripted_aws.answer_text(json.dumps({"__type": code}), content_type="application/json", status=status)
        (outcome,) = await sink.send([an_event()])
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.cause) == (code, "event")

    async def test_any_other_refusal_may_be_about_the_function(self, sink: LambdaSink, scripted_aws: ScriptedAws) -> None:
        """The runtime compares such a refusal with other events before it gives an event up."""
        body = json.dumps({"__type": "InvalidParameterValueException"})
        scripted_aws.answer_text(body, content_type="application/json", status=400)
        (outcome,) = await sink.send([an_event()])
        assert isinstance(outcome, Rejected)
        assert (outcome.reason, outcome.cause) == ("InvalidParameterValueException", "unknown")

    async def test_only_status_202_is_a_delivery(self, sink: LambdaSink, scripted_aws: ScriptedAws) -> None:
        """A page with status 200, as from a proxy, delivers nothing."""
        scripted_aws.answer_text("{}", content_type="application/json")
        assert comparable(await sink.send([an_event()])) == [(Unreadable, "200")]


@pytest.mark.parametrize("function", ["", "a function", "arn:aws:sns:us-east-1:111122223333:function:f", "f:a:b"])
def test_an_invalid_function_is_answered_with_an_example(function: str) -> None:
    """A value that is not the name or the ARN of a function is rejected with an example of one."""
    with pytest.raises(ValidationError, match="function:my-function:live"):
        LambdaSinkSettings(function=function)
