"""The short way and the long way: one service, one answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.aws.wire import Wire, fault, reply
from tests.process import HANG_S
from watcher import errors
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.errors import RemoteError
from watcher.model import Observation, TaskRef
from watcher.simulator import Scenario, Simulator, simulator

PARAMS = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": "task1"}
TASK = {"SpeakerSearchTaskId": "task1", "SpeakerSearchTaskStatus": "IN_PROGRESS"}

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
moments = st.datetimes().map(lambda at: at.isoformat() + "Z") | st.datetimes(timezones=st.timezones()).map(str) | st.floats(0, 4e9)
anything = st.recursive(
    scalars | moments, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
members = st.dictionaries(
    st.sampled_from([*TASK, "CreatedTimestamp", "StartedTimestamp", "UpdatedTimestamp", "StatusMessage", "Whatever"]), anything, max_size=4
)
tasks = members.map(lambda odd: {"SpeakerSearchTask": TASK | odd})
bodies = (tasks | anything).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
codes = st.sampled_from(["ThrottledClientException", "ConflictException", "ExpiredToken", "a:b", "x#NotFoundException", "", "5"])


def simulated(aws_env: pytest.MonkeyPatch, sim: Simulator) -> None:
    for name, value in sim.environment.items():
        aws_env.setenv(name, value)


async def told(probe: AwsProbe) -> Any:
    """What comes of a poll, with nothing in it that differs from call to call."""
    try:
        seen = await probe.observe(TaskRef("speaker-search", ("vc1", "task1")))
    except RemoteError as error:
        own_words = {} if isinstance(error, errors.Unreadable) else {"code": error.code, "detail": error.detail}
        return type(error), error.retry_after, own_words
    return Observation(**{**{f: getattr(seen, f) for f in Observation.__slots__}, "observed_at": 0})


@pytest.fixture
async def both(aws_env: pytest.MonkeyPatch, wire: Wire) -> AsyncIterator[tuple[AwsProbe, AwsProbe]]:
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    aws_env.setenv("AWS_ACCESS_KEY_ID", "A")
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "s")
    short, long = AwsClients(polls="direct"), AwsClients(polls="plain")
    yield AwsProbe(short, call_deadline=10, clock=time.time), AwsProbe(long, call_deadline=10, clock=time.time)
    await short.close()
    await long.close()


async def test_any_reply_is_told_alike(both: tuple[AwsProbe, AwsProbe], wire: Wire) -> None:
    """Whatever a service answers, the short way sees the same task, or fails with the same error, as the SDK."""
    loop = asyncio.get_running_loop()

    @settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])  # it goes over a socket
    @given(status=st.sampled_from([200, 200, 200, 201, 202, 302, 400, 403, 404, 409, 429, 500, 503]), body=bodies, code=codes)
    def compare(status: int, body: bytes, code: str) -> None:
        wire.answer = reply(status, body, x_amzn_errortype=code) if code else reply(status, body)
        seen = [asyncio.run_coroutine_threadsafe(told(probe), loop).result(HANG_S) for probe in both]
        assert seen[0] == seen[1]

    await asyncio.to_thread(compare)


ODD_IDS = ["a/b", "a b", "a+b", "a%2Fb", "ü", "a~b", "a:b", "a?b=c", "a&b", "a#b", "(a)*'!", "漢字", "a\tb", "x" * 256]


@pytest.mark.parametrize("token", [None, "plain", "with/slashes+and==", "t" * 2000])
async def test_the_signature_is_good_whatever_is_asked(aws_env: pytest.MonkeyPatch, token: str | None) -> None:
    """Ids with odd characters, both kinds, with and without a session token: a service that checks every signature accepts them."""
    async with simulator(Scenario(latency="0", session_tokens={"simulator": token} if token else {})) as sim:
        simulated(aws_env, sim)
        aws = AwsClients()
        for odd in ODD_IDS:
            params = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": odd}
            seen = await aws.call("chime-sdk-voice", "get_speaker_search_task", params)
            assert seen["SpeakerSearchTask"]["SpeakerSearchTaskId"] == odd
        tone = {"VoiceConnectorId": "v c", "VoiceToneAnalysisTaskId": "ü/", "IsCaller": True}
        assert "VoiceToneAnalysisTask" in await aws.call("chime-sdk-voice", "get_voice_tone_analysis_task", tone)
        await aws.close()
        assert set(sim.stats.outcomes) == {"ok"}


async def test_other_calls_are_left_to_the_client(aws_env: pytest.MonkeyPatch) -> None:
    """A task is started and stopped with the same clients: what is no GET goes the SDK's own way."""
    async with simulator(Scenario(latency="0")) as sim:
        simulated(aws_env, sim)
        aws = AwsClients()
        started = await aws.call(
            "chime-sdk-voice",
            "start_speaker_search_task",
            {"VoiceConnectorId": "vc1", "TransactionId": "t", "VoiceProfileDomainId": "d"},
        )
        name = started["SpeakerSearchTask"]["SpeakerSearchTaskId"]
        await aws.call("chime-sdk-voice", "stop_speaker_search_task", {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": name})
        seen = await aws.call("chime-sdk-voice", "get_speaker_search_task", {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": name})
        await aws.close()
        assert seen["SpeakerSearchTask"]["SpeakerSearchTaskStatus"] == "STOPPED"
        assert (sim.stats.outcomes["signature"], sim.stats.actions["Start"]) == (0, 1)


async def test_a_client_that_asks_for_no_signature_signs_nothing(aws: AwsClients, wire: Wire) -> None:
    """What the short way does not know how to sign it leaves to the client."""
    from botocore import UNSIGNED

    client = await aws.client("chime-sdk-voice")
    client._request_signer._signature_version = UNSIGNED
    wire.answer = reply(200, {"SpeakerSearchTask": TASK})
    await client.get_speaker_search_task(**PARAMS)
    assert "authorization" not in wire.requests[0].headers


async def test_the_reply_is_the_clients(aws: AwsClients, wire: Wire) -> None:
    """Whoever calls the client's method himself gets points in time, and the SDK's own errors with the reply's headers."""
    client = await aws.client("chime-sdk-voice")
    wire.answer = reply(200, {"SpeakerSearchTask": {**TASK, "CreatedTimestamp": "2026-11-22T10:00:00.5Z", "UpdatedTimestamp": 1795341600}})
    seen = (await client.get_speaker_search_task(**PARAMS))["SpeakerSearchTask"]
    assert (seen["CreatedTimestamp"].timestamp(), seen["UpdatedTimestamp"].timestamp()) == (1795341600.5, 1795341600)
    wire.answer = fault("ThrottledClientException", 429, Retry_After="3")
    with pytest.raises(client.exceptions.ThrottledClientException) as caught:
        await client.get_speaker_search_task(**PARAMS)
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"


async def test_credentials_are_refreshed_between_polls(aws_env: pytest.MonkeyPatch, wire: Wire, polls: Any) -> None:
    """Each poll is signed with the credentials of its moment: those about to end are replaced without anybody's asking."""
    keys = iter(["FIRST", "SECOND"])

    async def answer(request: Any, writer: Any) -> None:
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        credentials = {"AccessKeyId": "", "SecretAccessKey": "s", "Token": "t", "Expiration": soon}
        if request.path == "/credentials":
            await reply(200, credentials | {"AccessKeyId": next(keys)})(request, writer)
        else:
            await reply(200, {"SpeakerSearchTask": TASK})(request, writer)

    wire.answer = answer
    aws_env.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{wire.url}/credentials")
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    aws = AwsClients(polls=polls)
    await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    await aws.close()
    poll = wire.requests[-1].headers
    assert "Credential=SECOND/" in poll["authorization"]
    assert poll["x-amz-security-token"] == "t"
