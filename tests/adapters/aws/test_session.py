"""AWS clients: created once, refreshed on request, and the named error if none can be created."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from botocore.auth import _host_from_url

from tests.adapters.aws.wire import Request, Wire, fault, hang, reply
from watcher import errors
from watcher.adapters.aws import sdk
from watcher.adapters.aws.session import AwsClients
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Kind
from watcher.simulator import Scenario, simulator

SPEAKER_SEARCH = builtin_catalog()["speaker-search"]
EVENTS = replace(SPEAKER_SEARCH, name="bus", service="events")
PARAMS = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": "task1"}

ASSUMED = b"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>AKIDASSUMED</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""

STS_DENIED = b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"


@pytest.fixture
async def bare(aws_env: pytest.MonkeyPatch, wire: Wire) -> AsyncIterator[AwsClients]:
    """Clients in an environment with a Region and a loopback endpoint, but without credentials."""
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    clients = AwsClients(call_deadline=60)
    yield clients
    await clients.close()


async def call(aws: AwsClients) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    return caught.value


def signer(request: Request) -> str:
    return request.headers["authorization"].split("Credential=")[1].split("/")[0]


async def test_there_is_one_client_for_each_service_and_read_timeout(aws: AwsClients) -> None:
    """Any number of concurrent and later calls share one client per service and read timeout."""
    clients = []

    async def ask() -> None:
        clients.append(await aws.client("sqs"))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert len({id(c) for c in clients}) == 1
    assert await aws.client("sqs", read_timeout=30) is not clients[0]
    assert await aws.client("sqs", read_timeout=30) is await aws.client("sqs", read_timeout=30)
    assert (await aws.client("sqs", read_timeout=30)).meta.config.read_timeout == 30


async def test_calls_share_a_connection(aws: AwsClients, wire: Wire) -> None:
    """Consecutive calls use one kept-alive connection."""
    wire.answer = reply(200, {"SpeakerSearchTask": {}})
    for _ in range(3):
        await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    assert (len(wire.requests), wire.connections) == (3, 1)


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
async def test_the_sdk_never_retries_a_call(aws: AwsClients, wire: Wire, aws_env: pytest.MonkeyPatch, mode: str) -> None:
    """One call is one HTTP request, with every retry setting of the environment."""
    aws_env.setenv("AWS_RETRY_MODE", mode)
    aws_env.setenv("AWS_MAX_ATTEMPTS", "5")
    for answer in (fault("ServiceUnavailableException", 503), fault("ThrottlingException", 400)):
        wire.requests.clear()
        wire.answer = answer
        await call(aws)
        assert len(wire.requests) == 1


async def test_a_service_has_its_own_endpoint(aws: AwsClients, wire: Wire, aws_env: pytest.MonkeyPatch) -> None:
    """AWS's own endpoint variables apply, and the one of a service has precedence."""
    async with Wire(reply(200, {"SpeakerSearchTask": {}})).listening() as voice:
        aws_env.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", voice.url)
        await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
        assert (len(voice.requests), len(wire.requests)) == (1, 0)


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ({}, None),
    ],
)
def test_the_region_is_the_environments(aws_env: pytest.MonkeyPatch, variables: dict[str, str], region: str | None) -> None:
    """The Region is AWS_REGION, as in AWS's other SDKs, and otherwise AWS_DEFAULT_REGION."""
    aws_env.delenv("AWS_REGION")
    for name, value in variables.items():
        aws_env.setenv(name, value)
    assert AwsClients().region() == region


async def test_a_call_can_have_its_own_deadline(wire: Wire, aws: AwsClients) -> None:
    """The deadline argument of a call replaces the default one."""
    with pytest.raises(errors.Unavailable, match="timeout"):
        await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS, deadline=0.2)


async def test_refresh_takes_new_credentials(aws: AwsClients, wire: Wire, aws_env: pytest.MonkeyPatch) -> None:
    """After a refresh, calls are signed with the current credentials of the environment."""
    wire.answer = fault("ExpiredTokenException", 403)
    await call(aws)
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIDSECOND")
    await call(aws)
    await aws.refresh()
    await call(aws)
    assert [signer(r) for r in wire.requests] == ["AKIDFIRST", "AKIDFIRST", "AKIDSECOND"]


async def test_a_refresh_does_not_end_calls_in_flight(aws: AwsClients, wire: Wire) -> None:
    """A call that was in flight during a refresh receives its reply."""
    arrived, go = anyio.Event(), anyio.Event()
    replies = []

    async def late(request: Request, writer: object) -> None:
        arrived.set()
        await go.wait()
        await reply(200, {"SpeakerSearchTask": {}})(request, writer)  # type: ignore[arg-type]

    async def ask() -> None:
        replies.append(await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS))

    wire.answer = late
    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await arrived.wait()
        await aws.refresh()
        go.set()
    assert len(replies) == 1


async def test_close_may_be_called_twice_and_before_anything(aws: AwsClients) -> None:
    """Closing is safe before the first call and twice."""
    await AwsClients().close()
    await aws.client("sqs")
    await aws.close()
    await aws.close()


async def test_no_credentials_at_all(bare: AwsClients, wire: Wire) -> None:
    """Without credentials a call and a refresh raise CredentialsRejected, and nothing is sent."""
    error = await call(bare)
    assert (type(error), error.code) == (errors.CredentialsRejected, "NoCredentialsError")
    with pytest.raises(errors.CredentialsRejected, match="NoCredentialsError"):
        await bare.refresh()
    assert wire.connections == 0


WRONG_SETUPS = {
    "half of a key": {"AWS_ACCESS_KEY_ID": "x"},
    "unknown profile": {"AWS_PROFILE": "nobody"},
    "bad endpoint": {"AWS_ENDPOINT_URL": "not a url", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"},
    "bad region": {"AWS_REGION": "nowhere at all", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"},
    "no region": {"AWS_REGION": "", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"},
    "credentials from a strange host": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.invalid/x"},
    "a ca bundle that is not there": {"AWS_CA_BUNDLE": "/nonexistent", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"},
}


@pytest.mark.parametrize("variables", WRONG_SETUPS.values(), ids=WRONG_SETUPS.keys())
async def test_a_wrong_setup_raises_credentials_rejected(
    bare: AwsClients, aws_env: pytest.MonkeyPatch, wire: Wire, variables: dict[str, str]
) -> None:
    """A wrong setup of the process raises CredentialsRejected, which ends no watch."""
    for name, value in variables.items():
        aws_env.setenv(name, value)
    assert type(await call(bare)) is errors.CredentialsRejected
    assert wire.connections == 0


async def test_a_token_file_that_comes_back_heals(bare: AwsClients, aws_env: pytest.MonkeyPatch, wire: Wire, tmp_path: Path) -> None:
    """While a web identity token file is missing, calls raise CredentialsRejected, and the first call after it exists succeeds."""
    token = tmp_path / "token"
    aws_env.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/r")
    aws_env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    error = await call(bare)
    assert (type(error), error.code) == (errors.CredentialsRejected, "FileNotFoundError")
    assert str(tmp_path) not in str(error)

    async def answer(request: Request, writer: object) -> None:
        content = ASSUMED if request.method == "POST" else {"SpeakerSearchTask": {}}
        await reply(200, content)(request, writer)  # type: ignore[arg-type]

    token.write_text("token")
    wire.answer = answer
    await bare.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    assert signer(wire.requests[-1]) == "AKIDASSUMED"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, STS_DENIED, errors.CredentialsRejected),
        (400, STS_DENIED.replace(b"AccessDenied", b"InvalidIdentityToken"), errors.CredentialsRejected),
        (400, STS_DENIED.replace(b"AccessDenied", b"Throttling"), errors.Unavailable),
        (503, STS_DENIED.replace(b"AccessDenied", b"ServiceUnavailable"), errors.Unavailable),
    ],
)
async def test_a_denied_role_is_not_a_denied_task(
    bare: AwsClients, aws_env: pytest.MonkeyPatch, wire: Wire, tmp_path: Path, status: int, body: bytes, expected: type[errors.RemoteError]
) -> None:
    """An error of STS while the SDK fetches credentials is neither a denial nor a throttle of a task."""
    (tmp_path / "token").write_text("token")
    aws_env.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/r")
    aws_env.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    aws_env.setenv("AWS_MAX_ATTEMPTS", "1")
    wire.answer = reply(status, body)
    assert type(await call(bare)) is expected
    assert all(r.method == "POST" for r in wire.requests)


async def test_credentials_that_expire_soon_are_replaced(aws_env: pytest.MonkeyPatch, wire: Wire) -> None:
    """Each call is signed with current credentials: those that expire within minutes are fetched again before the call."""
    keys = iter(["FIRST", "SECOND"])

    async def answer(request: Request, writer: Any) -> None:
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        credentials = {"AccessKeyId": "", "SecretAccessKey": "s", "Token": "t", "Expiration": soon}
        if request.path == "/credentials":
            await reply(200, credentials | {"AccessKeyId": next(keys)})(request, writer)
        else:
            await reply(200, {"SpeakerSearchTask": {}})(request, writer)

    wire.answer = answer
    aws_env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{wire.url}/credentials")
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    aws = AwsClients()
    await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    await aws.close()
    assert signer(wire.requests[-1]) == "SECOND"
    assert wire.requests[-1].headers["x-amz-security-token"] == "t"


@pytest.mark.parametrize(
    "origin",
    [
        "https://voice-chime.us-east-1.amazonaws.com",
        "https://Voice.Example.com:443",
        "http://127.0.0.1:8181",
        "http://example.com:443",
        "http://user:secret@example.com:80",
        "https://[2001:db8::1]:8443",
        "https://[2001:db8::1]",
    ],
)
def test_the_host_header_is_the_one_that_the_sdk_would_sign(origin: str) -> None:
    """The Host header that requests get in advance is what the SDK takes from the same URL where there is none."""
    assert sdk.host_header(origin) == sdk.host_header(f"{origin}/a/b?c=d") == _host_from_url(f"{origin}/a/b?c=d")


async def test_a_request_has_its_host_header_before_it_is_signed(aws: AwsClients, wire: Wire) -> None:
    """Each request is signed and sent with one Host header, which names the endpoint."""
    wire.answer = reply(200, {"SpeakerSearchTask": {}})
    signed: list[list[str]] = []
    client = await aws.client("chime-sdk-voice")
    client.meta.events.register_last("before-sign", lambda request, **_: signed.append(request.headers.get_all("Host")))
    for _ in range(2):
        await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    host = wire.url.removeprefix("http://")
    assert signed == [[host], [host]]
    assert [request.headers["host"] for request in wire.requests] == [host, host]


ODD_IDS = ["a/b", "a b", "a+b", "a%2Fb", "ü", "a~b", "a:b", "a?b=c", "a&b", "a#b", "(a)*'!", "漢字", "a\tb", "x" * 256]


@pytest.mark.parametrize("token", [None, "with/slashes+and=="])
async def test_ids_with_any_characters_are_signed_correctly(aws_env: pytest.MonkeyPatch, token: str | None) -> None:
    """A service that verifies signatures accepts calls with any id, with and without a session token."""
    async with simulator(Scenario(latency="0", session_tokens={"simulator": token} if token else {})) as sim:
        for name, value in sim.environment.items():
            aws_env.setenv(name, value)
        aws = AwsClients()
        for odd in ODD_IDS:
            seen = await aws.call("chime-sdk-voice", "get_speaker_search_task", {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": odd})
            assert seen["SpeakerSearchTask"]["SpeakerSearchTaskId"] == odd
        await aws.close()
        assert set(sim.stats.outcomes) == {"ok"}


@pytest.mark.parametrize(("kind", "fits"), [(EVENTS, False), (SPEAKER_SEARCH, True)])
async def test_replies_of_polled_services_have_a_lower_limit(aws: AwsClients, wire: Wire, kind: Kind, fits: bool) -> None:
    """A reply of 2 MiB is refused from a service whose tasks are polled, and read from any other service."""
    wire.answer = reply(200, {"Name": "x" * (2 << 20)})
    clients = AwsClients(catalog=Catalog([kind]))
    try:
        if fits:
            await clients.call("events", "describe_event_bus", {})
        else:
            with pytest.raises(errors.Unreadable, match="more than 1048576 bytes"):
                await clients.call("events", "describe_event_bus", {})
    finally:
        await clients.close()


async def test_credentials_that_never_come_end_at_the_deadline(bare: AwsClients, aws_env: pytest.MonkeyPatch, wire: Wire) -> None:
    """A call that waits for a credential endpoint without answer ends at its deadline."""
    aws_env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", wire.url)
    wire.answer = hang
    with pytest.raises(errors.Unavailable, match="timeout"):
        await bare.call("chime-sdk-voice", "get_speaker_search_task", PARAMS, deadline=0.5)
