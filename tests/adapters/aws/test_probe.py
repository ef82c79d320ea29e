"""The probe against a peer with every fault that we know of."""

from __future__ import annotations

import asyncio
import json
import time
import traceback

import anyio
import pytest

from tests.adapters.aws.wire import Answer, Request, Wire, drip, fault, hang, raw, reply, reset
from tests.clock import advance
from watcher import errors
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef

CANARY = "canary-7f3a"
CATALOG = builtin_catalog()
TASK = {"SpeakerSearchTaskId": "task1", "SpeakerSearchTaskStatus": "IN_PROGRESS"}


def task(**members: object) -> Answer:
    return reply(200, {"SpeakerSearchTask": {**TASK, **members}})


async def seen_by(probe: AwsProbe, ref: TaskRef) -> Observation:
    (outcome,) = await probe.observe([ref])
    assert isinstance(outcome, Observation)
    return outcome


async def refusal(probe: AwsProbe, ref: TaskRef) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await seen_by(probe, ref)
    return caught.value


async def test_a_task_is_observed(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """A whole reply becomes an observation with its result and its times in seconds."""
    wire.answer = task(
        SpeakerSearchTaskStatus="SUCCEEDED",
        CreatedTimestamp="2026-11-22T10:00:00.500Z",
        UpdatedTimestamp=1795341610.25,
        StatusMessage="done",
        SpeakerSearchDetails={"Results": [{"ConfidenceScore": 0.9, "VoiceProfileId": "p"}]},
    )
    seen = await seen_by(probe, ref)
    assert (seen.status, seen.message, seen.started_at) == ("SUCCEEDED", "done", None)
    assert (seen.created_at, seen.updated_at) == (1795341600.5, 1795341610.25)
    assert seen.result == {"voiceprint": None, "matches": [{"voice_profile_id": "p", "confidence": 0.9}]}
    assert [(r.method, r.path) for r in wire.requests] == [("GET", "/voice-connectors/vc1/speaker-search-tasks/task1")]
    assert "speaker-search-watcher/" in wire.requests[0].headers["user-agent"]


async def test_the_other_kind_is_observed(probe: AwsProbe, wire: Wire) -> None:
    """Each kind has its own operation, and its own members in the reply."""
    wire.answer = reply(200, {"VoiceToneAnalysisTask": {"VoiceToneAnalysisTaskId": "t", "VoiceToneAnalysisTaskStatus": "IN_QUEUE"}})
    assert (await seen_by(probe, TaskRef("voice-tone", ("vc1", "t")))).status == "IN_QUEUE"
    assert wire.requests[0].path == "/voice-connectors/vc1/voice-tone-analysis-tasks/t?isCaller=true"


FAULTS = [
    ("ThrottledClientException", 429, errors.Throttled),
    ("NobodyKnowsThisException", 429, errors.Throttled),
    ("ThrottlingException", 400, errors.Throttled),
    ("Throttling", 403, errors.Throttled),
    ("TooManyRequestsException", 400, errors.Throttled),
    ("RequestLimitExceeded", 400, errors.Throttled),
    ("SlowDown", 503, errors.Throttled),
    ("ServiceUnavailableException", 503, errors.Unavailable),
    ("ServiceFailureException", 500, errors.Unavailable),
    ("BadGateway", 502, errors.Unavailable),
    ("ConflictException", 409, errors.Busy),
    ("NotFoundException", 404, errors.NotFound),
    ("AccessDeniedException", 403, errors.Denied),
    ("ForbiddenException", 403, errors.Denied),
    ("BadRequestException", 400, errors.Invalid),
    ("GoneException", 410, errors.Invalid),
    ("UnauthorizedClientException", 401, errors.CredentialsRejected),
    ("ExpiredTokenException", 403, errors.CredentialsRejected),
    ("InvalidClientTokenId", 403, errors.CredentialsRejected),
    ("UnrecognizedClientException", 400, errors.CredentialsRejected),
    ("SignatureDoesNotMatch", 403, errors.CredentialsRejected),
    ("InvalidSignatureException", 403, errors.CredentialsRejected),
]


@pytest.mark.parametrize(("code", "status", "expected"), FAULTS)
async def test_each_error_of_the_service_has_its_class(
    probe: AwsProbe, wire: Wire, ref: TaskRef, code: str, status: int, expected: type[errors.RemoteError]
) -> None:
    """After exactly one request."""
    wire.answer = fault(code, status)
    error = await refusal(probe, ref)
    assert type(error) is expected
    assert error.code == code
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("status", "expected"), [(429, errors.Throttled), (503, errors.Unavailable), (403, errors.Unreadable), (400, errors.Unreadable)]
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"null", b"[]", b'{"Code": 5}', b'{"__type": 5}', b"\xff\xfe{", b"[" * 5000])
async def test_an_error_with_a_garbled_body_has_the_class_of_its_status(
    probe: AwsProbe, wire: Wire, ref: TaskRef, status: int, expected: type[errors.RemoteError], body: bytes
) -> None:
    """A throttle stays a throttle when a proxy damages its body."""
    wire.answer = reply(status, body)
    error = await refusal(probe, ref)
    assert (type(error), error.code) == (expected, str(status))


ROUTES = {
    "mesh": b"",
    "mesh with a text": b'{"message":"no healthy upstream"}',
    "api gateway": b'{"message":"Missing Authentication Token"}',
    "kubernetes": b'{"kind":"Status","status":"Failure","reason":"NotFound","code":404}',
    "router with a code": b'{"code":"RouteNotFound","message":"no route"}',
    "router with an underscore": b'{"code":"NO_SUCH_ROUTE"}',
    "xml": b"<Error><Code>NoSuchKey</Code></Error>",
    "html": b"<!DOCTYPE html><title>Blocked</title>",
}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 424, 450])
@pytest.mark.parametrize("body", ROUTES.values(), ids=ROUTES.keys())
async def test_an_answer_without_a_code_of_the_service_is_foreign(
    probe: AwsProbe, wire: Wire, ref: TaskRef, status: int, body: bytes
) -> None:
    """A proxy, a mesh, or a gateway says nothing about a task, with any status and any body."""
    wire.answer = reply(status, body)
    error = await refusal(probe, ref)
    assert isinstance(error, errors.Unreadable)
    assert error.foreign


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("NotFoundException", 404, errors.NotFound),
        ("UnprocessableEntityException", 422, errors.Invalid),
        ("NotFound", 404, errors.Unreadable),
    ],
)
async def test_a_code_in_the_body_counts_if_the_service_has_it(
    probe: AwsProbe, wire: Wire, ref: TaskRef, code: str, status: int, expected: type[errors.RemoteError]
) -> None:
    """The protocol allows a code in the body instead of the header, but a word that any gateway may use is not the service's."""
    wire.answer = reply(status, {"code": code, "message": "no"})
    assert type(await refusal(probe, ref)) is expected


async def test_an_expired_token_requests_a_refresh(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """No other rejection of credentials does: a forced refresh cannot help there."""
    wire.answer = fault("ExpiredTokenException", 403)
    expired = await refusal(probe, ref)
    wire.answer = fault("InvalidClientTokenId", 403)
    revoked = await refusal(probe, ref)
    assert isinstance(expired, errors.CredentialsRejected)
    assert isinstance(revoked, errors.CredentialsRejected)
    assert (expired.expired, revoked.expired) == (True, False)


async def test_a_signature_error_tells_the_clock_skew(wire: Wire, ref: TaskRef, aws: AwsClients) -> None:
    """The service's clock minus ours, out of the Date header of a signature error."""
    wire.answer = fault("InvalidSignatureException", 403, Date="Sun, 22 Nov 2026 10:20:00 GMT")
    clients = AwsClients(clock=lambda: 1795341600.0)
    error = await refusal(AwsProbe(clients, CATALOG, call_deadline=10, clock=time.time), ref)
    await clients.close()
    assert isinstance(error, errors.CredentialsRejected)
    assert error.clock_skew_s == 1200.0


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("86400", 86_400.0), ("-1", None), ("soon", None), ("nan", None)])
async def test_retry_after_is_handed_on(probe: AwsProbe, wire: Wire, ref: TaskRef, value: str, seconds: float | None) -> None:
    """A valid Retry-After header reaches the runtime, which limits it; an invalid one is ignored."""
    wire.answer = fault("ThrottledClientException", 429, Retry_After=value)
    assert (await refusal(probe, ref)).retry_after == seconds


UNREADABLE_BODIES = {
    "empty": b"",
    "html": b"<html>welcome to the hotel</html>",
    "truncated": b'{"SpeakerSearchTask": {"SpeakerSearchTas',
    "bom": b"\xef\xbb\xbf" + json.dumps({"SpeakerSearchTask": TASK}).encode(),
    "null": b"null",
    "list": b"[]",
    "number": b"5",
    "bad utf-8": b'{"SpeakerSearchTask": "\xff"}',
    "nested deep": b'{"SpeakerSearchTask": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "nested deep, unclosed": b'{"a":' * 5000,
    "no task": b"{}",
    "null task": b'{"SpeakerSearchTask": null}',
    "task of another type": b'{"SpeakerSearchTask": "SUCCEEDED"}',
    "empty task": b'{"SpeakerSearchTask": {}}',
    "number of 5000 digits": b'{"SpeakerSearchTask": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", UNREADABLE_BODIES.values(), ids=UNREADABLE_BODIES.keys())
async def test_a_success_that_is_no_task_is_unreadable(probe: AwsProbe, wire: Wire, ref: TaskRef, body: bytes) -> None:
    """A 200 that holds no task is never accepted as one, whatever the SDK makes of it."""
    wire.answer = reply(200, body)
    assert type(await refusal(probe, ref)) is errors.Unreadable


UNREADABLE_MEMBERS = [
    {"SpeakerSearchTaskId": "task2"},
    {"SpeakerSearchTaskId": None},
    {"SpeakerSearchTaskId": 5},
    {"SpeakerSearchTaskStatus": 5},
    {"SpeakerSearchTaskStatus": ["X"]},
    {"SpeakerSearchTaskStatus": ""},
    {"SpeakerSearchTaskStatus": " "},
    {"SpeakerSearchTaskStatus": None},
    {"SpeakerSearchTaskStatus": "A\nB"},
    {"SpeakerSearchTaskStatus": "X" * 129},
    {"CreatedTimestamp": "yesterday"},
    {"CreatedTimestamp": float("nan")},
    {"CreatedTimestamp": 1e300},
    {"CreatedTimestamp": [1]},
    {"StatusMessage": 5},
    {"SpeakerSearchDetails": "X"},
    {"SpeakerSearchDetails": {"Results": {"a": 1}}},
    {"SpeakerSearchDetails": {"Results": ["x"]}},
    {"SpeakerSearchDetails": {"Results": [{"ConfidenceScore": float("nan")}]}},
    {"SpeakerSearchDetails": {"Results": [{"ConfidenceScore": "high"}]}},
    {"SpeakerSearchDetails": {"Results": [{"VoiceProfileId": 7}]}},
    {"SpeakerSearchDetails": {"Results": [{"VoiceProfileId": "\ud800"}]}},
    {"SpeakerSearchDetails": {"Results": [{}] * 10_000}},
    {"SpeakerSearchDetails": {"VoiceprintGenerationStatus": ["X"]}},
]


@pytest.mark.parametrize("members", UNREADABLE_MEMBERS, ids=lambda m: json.dumps(m)[:60])
async def test_a_task_with_a_wrong_member_is_unreadable(probe: AwsProbe, wire: Wire, ref: TaskRef, members: dict[str, object]) -> None:
    """Another task's id, or a member of the wrong type or out of range, makes the whole reply unreadable."""
    wire.answer = task(**members)
    assert type(await refusal(probe, ref)) is errors.Unreadable


@pytest.mark.parametrize("status", ["in_progress", "Succeeded", "NEVER_HEARD_OF"])
async def test_an_undeclared_status_is_kept(probe: AwsProbe, wire: Wire, ref: TaskRef, status: str) -> None:
    """Also a known one in another case: the service may have new statuses."""
    wire.answer = task(SpeakerSearchTaskStatus=status)
    assert (await seen_by(probe, ref)).status == status


async def test_control_characters_in_a_message_become_spaces(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """A status message can be shown on any screen and written in any encoding."""
    wire.answer = task(StatusMessage="a\x1b[31mb\ud800c\x00" + "x" * 5000)
    message = (await seen_by(probe, ref)).message
    assert message is not None
    assert message.startswith("a [31mb c x")
    assert len(message) == 1024


async def test_a_refused_connection_is_unavailable(probe: AwsProbe, aws_env: pytest.MonkeyPatch, ref: TaskRef) -> None:
    """When no server listens, the network failed and not the task."""
    aws_env.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", "http://127.0.0.1:1")
    assert type(await refusal(probe, ref)) is errors.Unavailable


@pytest.mark.parametrize("misbehave", [hang, drip])
async def test_the_deadline_ends_a_call_whatever_the_peer_does(aws: AwsClients, wire: Wire, ref: TaskRef, misbehave: Answer) -> None:
    """A reply that never starts, and a body that never ends, are timeouts."""
    await aws.client("chime-sdk-voice")

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(0.05, advance, 10)  # the deadline is over once the request is here
        await misbehave(request, writer)

    wire.answer = answer
    error = await refusal(AwsProbe(aws, CATALOG, call_deadline=10, clock=time.time), ref)
    assert (type(error), error.code, error.oversized) == (errors.Unavailable, "timeout", True)
    assert len(wire.requests) == 1


HALVES = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 O",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
}


@pytest.mark.parametrize("content", HALVES.values(), ids=HALVES.keys())
async def test_a_reply_cut_short_is_unavailable(probe: AwsProbe, wire: Wire, ref: TaskRef, content: bytes) -> None:
    """A connection that ends early is a network failure, and costs at most two requests."""
    wire.answer = raw(content)
    assert type(await refusal(probe, ref)) is errors.Unavailable
    assert len(wire.requests) <= 2


@pytest.mark.parametrize("warm", [False, True])
async def test_a_reset_costs_at_most_two_requests(probe: AwsProbe, wire: Wire, ref: TaskRef, warm: bool) -> None:
    """A dropped connection, fresh or kept alive, is unavailable after at most two wire requests."""
    if warm:
        wire.answer = task()
        await seen_by(probe, ref)
        wire.requests.clear()
    wire.answer = reset
    assert type(await refusal(probe, ref)) is errors.Unavailable
    assert 1 <= len(wire.requests) <= 2


@pytest.mark.parametrize("content", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00" * 500 + b"\r\n\r\n"])
async def test_a_peer_that_does_not_speak_http_gives_a_temporary_error(probe: AwsProbe, wire: Wire, ref: TaskRef, content: bytes) -> None:
    """It is a failure of the call, not of the task."""
    wire.answer = raw(content)
    assert isinstance(await refusal(probe, ref), errors.Unreadable | errors.Unavailable)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_not_followed(probe: AwsProbe, wire: Wire, ref: TaskRef, status: int) -> None:
    """No request, and so no token, goes to the location, and the error code in the reply is ignored."""
    async with Wire(task()).listening() as elsewhere:
        wire.answer = reply(status, Location=f"http://localhost:{elsewhere.port}/", x_amzn_errortype="NotFoundException")
        error = await refusal(probe, ref)
        assert (type(error), error.code) == (errors.Unreadable, str(status))
        assert (len(wire.requests), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize("head", [b"Content-Length: 209715200", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("status", [b"200 OK", b"503 No"])
async def test_a_reply_of_200_mib_is_not_read_to_its_end(probe: AwsProbe, wire: Wire, ref: TaskRef, head: bytes, status: bytes) -> None:
    """Reading stops at one MiB: the peer can send no more than the sockets buffer."""
    sent = 0

    async def flood(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n\r\n")
        for _ in range(3200):
            piece = b" " * 65536
            writer.write(piece if b"Length" in head else b"10000\r\n" + piece + b"\r\n")
            await writer.drain()
            sent += len(piece)

    wire.answer = flood
    error = await refusal(probe, ref)
    assert type(error) is errors.Unreadable
    assert "more than 1048576 bytes" in str(error)
    assert 0 < sent < 32 << 20
    wire.answer = task()
    assert (await seen_by(probe, ref)).status == "IN_PROGRESS"


async def test_an_error_repeats_nothing_of_a_reply(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """Neither its text nor its traceback, not even an error code that is none."""
    canaries = [
        reply(400, {"Code": CANARY, "Message": CANARY}, x_amzn_errortype=CANARY),
        fault("NotFoundException", 404, x_amzn_requestid=CANARY),
        reply(400, {"Code": "BadRequestException", "Message": CANARY}, x_amzn_errortype="BadRequestException"),
        reply(503, CANARY.encode()),
        reply(200, {"SpeakerSearchTask": CANARY}),
        task(SpeakerSearchTaskId=CANARY),
        task(CreatedTimestamp=CANARY),
        task(SpeakerSearchTaskStatus=CANARY + "\n"),
        task(SpeakerSearchDetails={"Results": [{"ConfidenceScore": CANARY}]}),
        task(SpeakerSearchDetails={"Results": [{"VoiceProfileId": [CANARY]}]}),
        reply(302, CANARY.encode(), Location=f"http://{CANARY}/"),
        raw(CANARY.encode() + b"\r\n\r\n"),
    ]
    for answer in canaries:
        wire.answer = answer
        error = await refusal(probe, ref)
        assert CANARY not in "".join(traceback.format_exception(error))
        assert CANARY not in repr(error)


async def test_fifty_calls_are_made_at_once(probe: AwsProbe, wire: Wire) -> None:
    """The connection pool is as large as configured: fifty requests arrive before the first reply."""
    all_here = asyncio.Event()

    async def together(request: Request, writer: asyncio.StreamWriter) -> None:
        if len(wire.requests) == 50:
            all_here.set()
        await all_here.wait()
        await task(SpeakerSearchTaskId=request.path.rsplit("/", 1)[1])(request, writer)

    wire.answer = together
    seen = []

    async def observe(n: int) -> None:
        seen.append(await seen_by(probe, TaskRef("speaker-search", ("vc1", f"task{n}"))))

    async with anyio.create_task_group() as group:
        for n in range(50):
            group.start_soon(observe, n)
    assert [s.status for s in seen] == ["IN_PROGRESS"] * 50


async def test_cancelling_a_call_leaves_the_probe_usable(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """Cancellation passes through as cancellation, and the next call works."""
    arrived = asyncio.Event()

    async def stuck(request: Request, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await hang(request, writer)

    wire.answer = stuck
    async with anyio.create_task_group() as group:
        group.start_soon(probe.observe, [ref])
        await arrived.wait()
        group.cancel_scope.cancel()
    wire.answer = task()
    assert (await seen_by(probe, ref)).status == "IN_PROGRESS"


@pytest.mark.parametrize("ref", [TaskRef("no-such-kind", ("a", "b")), TaskRef("speaker-search", ("a",))])
async def test_a_task_of_an_unknown_kind_is_invalid(probe: AwsProbe, wire: Wire, ref: TaskRef) -> None:
    """A task from the store of a newer version costs no request."""
    assert type(await refusal(probe, ref)) is errors.Invalid
    assert wire.requests == []


async def test_a_call_that_the_sdk_refuses_is_invalid(probe: AwsProbe, wire: Wire) -> None:
    """Params that fail the SDK's own validation end the watch, without a request."""
    assert type(await refusal(probe, TaskRef("speaker-search", ("", "b")))) is errors.Invalid
    assert wire.requests == []


async def test_check_takes_not_found_as_permission(probe: AwsProbe, wire: Wire) -> None:
    """Its random task is not found where the call is permitted; any other error is raised."""
    wire.answer = fault("NotFoundException", 404)
    assert await probe.check() == "get_speaker_search_task is permitted"
    wire.answer = fault("AccessDeniedException", 403)
    with pytest.raises(errors.Denied):
        await probe.check()
    wire.answer = fault("ThrottledClientException", 429)
    with pytest.raises(errors.Throttled):
        await probe.check()
    assert len({r.path for r in wire.requests}) == 3


@pytest.mark.parametrize("number", [0, 2])
async def test_a_call_is_about_one_task(probe: AwsProbe, wire: Wire, ref: TaskRef, number: int) -> None:
    """No kind can read several tasks in one call yet, so another number is a mistake of the caller."""
    with pytest.raises(ValueError, match="tasks"):
        await probe.observe([ref] * number)
    assert wire.requests == []
