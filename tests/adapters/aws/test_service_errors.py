"""The errors of polled services, as they are on the wire of each protocol."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.adapters.aws.kinds import CATALOG
from tests.adapters.aws.wire import Answer, Wire, reply
from watcher import errors
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.model import TaskRef

CANARY = "canary-7f3a"
JSON = "application/x-amz-json-1.1"

PARAMS = {
    "image": ("ami-1",),
    "stack": ("my-stack",),
    "snapshot": ("snap-1",),
    "execution": ("arn:aws:states:us-east-1:111122223333:execution:m:e",),
    "job-run": ("nightly", "jr_1"),
    "query": ("q1",),
    "batch-job": ("j1",),
    "ecs-task": ("blue", "arn:aws:ecs:us-east-1:111122223333:task/blue/a"),
    "build": ("p:1",),
}


@pytest.fixture
async def probe(aws: AwsClients) -> AsyncIterator[AwsProbe]:
    clients = AwsClients(catalog=CATALOG)
    yield AwsProbe(clients, CATALOG, call_deadline=300.0, clock=time.time)
    await clients.close()


def ec2(code: str, status: int, message: str = CANARY) -> Answer:
    text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r1</RequestID></Response>"
    return reply(status, text.encode())


def query(code: str, status: int, message: str = CANARY) -> Answer:
    text = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        "<RequestId>r1</RequestId></ErrorResponse>"
    )
    return reply(status, text.encode())


def aws_json(code: str, status: int, message: str = CANARY) -> Answer:
    return reply(status, {"__type": f"com.amazonaws.service#{code}", "message": message}, x_amzn_requestid="r1")


def rest_json(code: str, status: int, message: str = CANARY) -> Answer:
    return reply(status, {"message": message}, x_amzn_errortype=f"{code}:http://internal.amazon.com/coral/", x_amzn_requestid="r1")


async def refusal(probe: AwsProbe, kind: str) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await probe.observe([TaskRef(kind, PARAMS[kind])])
    return caught.value


ERRORS = [
    ("image", ec2("InvalidAMIID.NotFound", 400), errors.NotFound),
    ("image", ec2("InvalidAMIID.Malformed", 400), errors.Invalid),
    ("image", ec2("UnauthorizedOperation", 403), errors.Denied),
    ("image", ec2("RequestLimitExceeded", 503), errors.Throttled),
    ("image", ec2("AuthFailure", 401), errors.CredentialsRejected),
    ("image", ec2("Blocked", 400), errors.Denied),
    ("image", ec2("Unavailable", 503), errors.Unavailable),
    ("stack", query("ValidationError", 400, "Stack with id my-stack does not exist"), errors.NotFound),
    ("stack", query("ValidationError", 400), errors.Invalid),
    ("stack", query("Throttling", 400, "Rate exceeded"), errors.Throttled),
    ("stack", query("ExpiredToken", 403), errors.CredentialsRejected),
    ("stack", query("AccessDenied", 403), errors.Denied),
    ("snapshot", query("DBSnapshotNotFound", 404), errors.NotFound),
    ("snapshot", query("DBInstanceNotFound", 404), errors.NotFound),
    ("snapshot", query("InvalidParameterValue", 400), errors.Invalid),
    ("snapshot", query("Throttling", 400), errors.Throttled),
    ("execution", aws_json("ExecutionDoesNotExist", 400), errors.NotFound),
    ("execution", aws_json("InvalidArn", 400), errors.Invalid),
    ("execution", aws_json("ThrottlingException", 400), errors.Throttled),
    ("execution", aws_json("KmsAccessDeniedException", 400), errors.Denied),
    ("execution", aws_json("UnrecognizedClientException", 400), errors.CredentialsRejected),
    ("job-run", aws_json("EntityNotFoundException", 400), errors.NotFound),
    ("job-run", aws_json("OperationTimeoutException", 400), errors.Unavailable),
    ("job-run", aws_json("InternalServiceException", 500), errors.Unavailable),
    ("job-run", aws_json("InvalidInputException", 400), errors.Invalid),
    ("job-run", aws_json("AccessDeniedException", 400), errors.Denied),
    ("query", aws_json("TooManyRequestsException", 400), errors.Throttled),
    ("query", aws_json("InternalServerException", 500), errors.Unavailable),
    ("query", aws_json("InvalidRequestException", 400, "QueryExecution q1 was not found"), errors.NotFound),
    ("query", aws_json("InvalidRequestException", 400), errors.Invalid),
    ("batch-job", rest_json("TooManyRequestsException", 429), errors.Throttled),
    ("batch-job", rest_json("ClientException", 400), errors.Invalid),
    ("batch-job", rest_json("ServerException", 500), errors.Unavailable),
    ("ecs-task", aws_json("ClusterNotFoundException", 400), errors.NotFound),
    ("ecs-task", aws_json("ThrottlingException", 400), errors.Throttled),
    ("ecs-task", aws_json("RequestLimitExceeded", 400), errors.Throttled),
    ("build", aws_json("InvalidInputException", 400), errors.Invalid),
    ("build", aws_json("AccountLimitExceededException", 400), errors.Throttled),
]


@pytest.mark.parametrize(("kind", "answer", "expected"), ERRORS)
async def test_the_error_of_a_service_has_its_class(
    probe: AwsProbe, wire: Wire, kind: str, answer: Answer, expected: type[errors.RemoteError]
) -> None:
    """In each protocol, by its code and the rules of the kind; nothing of the message is in the error."""
    wire.answer = answer
    error = await refusal(probe, kind)
    assert type(error) is expected, error
    assert CANARY not in str(error)
    assert "exist" not in error.detail


FOREIGN = [
    ("image", reply(404, b"<Error><Code>NoSuchKey</Code></Error>")),
    ("image", reply(400, b"<Response><Errors><Error><Code>InvalidRoute</Code></Error></Errors></Response>")),
    ("stack", reply(403, b"<html><body>Blocked</body></html>")),
    ("stack", reply(404, b"<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>")),
    ("execution", aws_json("RouteDoesNotExist", 404)),
    ("job-run", aws_json("QuotaLimitExceeded", 400)),
    ("query", reply(404, {"message": "no route"})),
]


@pytest.mark.parametrize(("kind", "answer"), FOREIGN)
async def test_an_error_of_something_else_says_nothing_about_a_task(probe: AwsProbe, wire: Wire, kind: str, answer: Answer) -> None:
    """A proxy or a gateway has no ids of requests in its XML, and no codes of the service in its JSON."""
    wire.answer = answer
    error = await refusal(probe, kind)
    assert isinstance(error, errors.Unreadable), error
    assert error.foreign


async def test_a_pattern_is_for_its_own_code_alone(probe: AwsProbe, wire: Wire) -> None:
    """The same message with another code means what that code means."""
    wire.answer = query("AccessDenied", 403, "the stack does not exist")
    assert type(await refusal(probe, "stack")) is errors.Denied


async def test_an_error_of_an_adapter_has_no_rules_of_kinds(aws: AwsClients, wire: Wire) -> None:
    """For a source or a sink, a code that ends in NotFound has no special meaning."""
    wire.answer = aws_json("TaskDoesNotExist", 400)
    with pytest.raises(errors.Invalid):
        await aws.call("stepfunctions", "send_task_heartbeat", {"taskToken": "t"})
