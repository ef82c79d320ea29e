from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.clock import advance
from tests.simulator.conftest import Client, eventually
from watcher.model import TaskRef
from watcher.simulator import Scenario, simulator

INSTANT: dict[str, Any] = {"latency": 0}
START = {"VoiceConnectorId": "vc", "TransactionId": "call-1", "VoiceProfileDomainId": "domain"}


def search(task_id: str, connector: str = "vc") -> dict[str, str]:
    return {"VoiceConnectorId": connector, "SpeakerSearchTaskId": task_id}


def status(reply: Any) -> str:
    return str(reply["SpeakerSearchTask"]["SpeakerSearchTaskStatus"])


async def code(call: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        await call
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


async def test_a_task_is_started_read_and_stopped(client: Client) -> None:
    """An SDK client starts a task, reads it, stops it and reads it as stopped; the same request token is the same task."""
    async with simulator(Scenario(**INSTANT, durations="queue=0,run=never")) as sim, client(sim) as sdk:
        started = (await sdk.start_speaker_search_task(**START, ClientRequestToken="once", CallLeg="Callee"))["SpeakerSearchTask"]
        again = (await sdk.start_speaker_search_task(**START, ClientRequestToken="once"))["SpeakerSearchTask"]
        assert again["SpeakerSearchTaskId"] == started["SpeakerSearchTaskId"]
        assert started["CallDetails"] == {"VoiceConnectorId": "vc", "TransactionId": "call-1", "IsCaller": False}
        ids = search(started["SpeakerSearchTaskId"])
        assert status(await sdk.get_speaker_search_task(**ids)) == "IN_PROGRESS"
        await sdk.stop_speaker_search_task(**ids)
        assert status(await sdk.get_speaker_search_task(**ids)) == "STOPPED"
        assert sim.stats.actions == {"Start": 2, "Get": 2, "Stop": 1}


async def test_a_voice_tone_task_is_started_read_and_stopped(client: Client) -> None:
    """An SDK client starts, reads and stops a voice tone analysis; a stop after the end changes nothing."""
    async with simulator(Scenario(**INSTANT, durations="queue=0,run=0", failed=0, stopped=0)) as sim, client(sim) as sdk:
        started = await sdk.start_voice_tone_analysis_task(VoiceConnectorId="vc", TransactionId="call-1", LanguageCode="en-US")
        ids = {"VoiceConnectorId": "vc", "VoiceToneAnalysisTaskId": started["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskId"]}
        task = (await sdk.get_voice_tone_analysis_task(**ids, IsCaller=True))["VoiceToneAnalysisTask"]
        assert task["VoiceToneAnalysisTaskStatus"] == "SUCCEEDED"
        await sdk.stop_voice_tone_analysis_task(**ids)
        assert (await sdk.get_voice_tone_analysis_task(**ids, IsCaller=False))["VoiceToneAnalysisTask"] == task


async def test_a_task_arrives_with_its_types(client: Client) -> None:
    """Timestamps arrive as times to the millisecond, scores as floats, and the result under the member names of the API."""
    async with simulator(Scenario(**INSTANT, durations="queue=0,run=0", failed=0, stopped=0, partial=0)) as sim, client(sim) as sdk:
        task = (await sdk.get_speaker_search_task(**search("t")))["SpeakerSearchTask"]
        created = datetime.fromtimestamp(sim.truth(TaskRef("speaker-search", ("vc", "t")))[0][1], UTC)
        assert task["CreatedTimestamp"] == task["StartedTimestamp"] == task["UpdatedTimestamp"] == created
        details = task["SpeakerSearchDetails"]
        assert details["VoiceprintGenerationStatus"].startswith("VoiceprintGeneration")
        assert all(0 <= match["ConfidenceScore"] <= 1 and match["VoiceProfileId"] for match in details["Results"])


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("429", ("ThrottledClientException", 429)),
        ("throttling", ("ThrottlingException", 400)),
        ("500", ("ServiceFailureException", 500)),
        ("502", ("502", 502)),
        ("503", ("ServiceUnavailableException", 503)),
        ("conflict", ("ConflictException", 409)),
        ("404", ("NotFoundException", 404)),
        ("403", ("AccessDeniedException", 403)),
        ("401", ("UnauthorizedClientException", 401)),
        ("expired", ("ExpiredTokenException", 403)),
        ("revoked", ("UnrecognizedClientException", 403)),
    ],
)
async def test_each_error_fault_arrives_with_its_code(client: Client, fault: str, expected: tuple[str, int]) -> None:
    """The SDK raises an error with this code and status, and one call is one request."""
    async with simulator(Scenario(**INSTANT, faults={fault: 1})) as sim, client(sim) as sdk:
        assert await code(sdk.get_speaker_search_task(**search("t"))) == expected
        assert sim.stats.requests == 1


async def test_each_refusal_arrives_with_its_code(client: Client) -> None:
    """Unknown tasks, denied connectors, invalid ids, incomplete Start requests and unknown operations get the code of AWS."""
    async with simulator(Scenario(**INSTANT, known_only=True)) as sim, client(sim) as sdk:
        get = sdk.get_speaker_search_task
        assert await code(get(**search("never-started"))) == ("NotFoundException", 404)
        assert await code(get(**search("t", "denied-vc"))) == ("AccessDeniedException", 403)
        assert await code(get(**search("x" * 257))) == ("BadRequestException", 400)
        assert await code(sdk.start_speaker_search_task(**{**START, "TransactionId": " "})) == ("BadRequestException", 400)
        assert (await code(sdk.list_voice_connectors()))[1] == 404
        sim.change(known_only=False)
        assert await code(get(**search("missing-1"))) == ("NotFoundException", 404)


@pytest.mark.parametrize("task_id", ["a:b", "a.b", "a b", "a%2Fb", "a/b", "é?x=1&y", "~-_", "x" * 256])
async def test_any_character_is_allowed_in_an_id(client: Client, task_id: str) -> None:
    """An id with special characters is accepted with its signature and returned unchanged."""
    async with simulator(Scenario(**INSTANT)) as sim, client(sim) as sdk:
        assert (await sdk.get_speaker_search_task(**search(task_id)))["SpeakerSearchTask"]["SpeakerSearchTaskId"] == task_id
        assert sim.tasks.get(TaskRef("speaker-search", ("vc", task_id))) is not None


async def test_wrong_credentials_are_rejected(client: Client) -> None:
    """A wrong secret, an unknown key and a wrong token get the code of AWS with 403 and create no task; the right token is accepted."""
    async with simulator(Scenario(**INSTANT, session_tokens={"simulator": "right"})) as sim:
        for given, expected in (
            ({"secret": "wrong", "token": "right"}, "InvalidSignatureException"),
            ({"access": "unknown", "token": "right"}, "UnrecognizedClientException"),
            ({"token": "wrong"}, "UnrecognizedClientException"),
        ):
            async with client(sim, **given) as sdk:
                assert await code(sdk.get_speaker_search_task(**search("t"))) == (expected, 403)
        assert len(sim.tasks) == 0
        assert sim.stats.outcomes == {"signature": 3}
        async with client(sim, token="right") as sdk:
            await sdk.get_speaker_search_task(**search("t"))


async def test_the_date_header_shows_the_clock_of_the_service(client: Client) -> None:
    """A service that is 20 minutes ahead rejects the signature, and its Date header shows the difference."""
    async with simulator(Scenario(**INSTANT), clock=lambda: time.time() + 1200) as sim, client(sim) as sdk:
        began = time.time()
        with pytest.raises(ClientError, match="Signature expired") as caught:
            await sdk.get_speaker_search_task(**search("t"))
        date = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
        there = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
        assert began - 1 <= there - 1200 <= time.time(), "the header has whole seconds"


async def test_two_gets_for_one_task_conflict(client: Client) -> None:
    """Of two parallel Gets for one task one gets ConflictException; another task is not affected."""
    async with simulator(Scenario(latency=60, durations="queue=never,run=3")) as sim, client(sim) as sdk:
        calls = [asyncio.create_task(sdk.get_speaker_search_task(**search(task_id))) for task_id in ("a", "a", "b")]
        await eventually(lambda: sim.stats.in_flight == 3)
        sim.change(latency=0)
        advance(60)
        replies = await asyncio.gather(*calls, return_exceptions=True)
        codes = [reply.response["Error"]["Code"] for reply in replies if isinstance(reply, ClientError)]
        assert codes == ["ConflictException"]
        assert sim.stats.peak_per_task == 2
        await sdk.get_speaker_search_task(**search("a"))


async def test_a_burst_above_the_quota_is_throttled(client: Client) -> None:
    """Of 40 calls as many as the burst are accepted; Start and Stop count like Get."""
    async with simulator(Scenario(**INSTANT, quota=0.001, burst=10)) as sim, client(sim) as sdk:
        started = await sdk.start_speaker_search_task(**START)
        await sdk.stop_speaker_search_task(**search(started["SpeakerSearchTask"]["SpeakerSearchTaskId"]))
        replies = await asyncio.gather(*(sdk.get_speaker_search_task(**search(f"t{i}")) for i in range(38)), return_exceptions=True)
        throttled = [reply.response["Error"]["Code"] for reply in replies if isinstance(reply, ClientError)]
        assert throttled == ["ThrottledClientException"] * 30
        assert sim.stats.outcomes == {"ok": 10, "ThrottledClientException": 30}


async def test_replies_match_the_truth(client: Client) -> None:
    """A client that polls a short task sees its statuses in order, none before the time at which it begins."""
    async with simulator(Scenario(latency=0.001, durations="queue=0.1,run=0.3", partial=1, failed=0, stopped=0)) as sim, client(sim) as sdk:
        seen: dict[str, float] = {}
        while "SUCCEEDED" not in seen:
            seen.setdefault(status(await sdk.get_speaker_search_task(**search("t"))), time.time())
        truth = dict(sim.truth(TaskRef("speaker-search", ("vc", "t"))))
        assert [name for name in truth if name in seen] == list(seen)
        assert all(at >= truth[name] for name, at in seen.items())


async def test_the_environment_points_an_sdk_here(client: Client) -> None:
    """The environment holds the endpoint, the first credentials with their session token, and a Region."""
    async with simulator(Scenario(credentials={"k": "s"}, session_tokens={"k": "t"})) as sim:
        assert sim.environment == {
            "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": f"http://127.0.0.1:{sim.port}",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_SESSION_TOKEN": "t",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


async def test_the_server_stops_with_calls_in_flight(client: Client) -> None:
    """The end of the block aborts the calls in flight and leaves no asyncio task behind."""
    async with simulator(Scenario(latency=60)) as sim, client(sim) as sdk:
        call = asyncio.create_task(sdk.get_speaker_search_task(**search("t")))
        await eventually(lambda: sim.stats.in_flight == 1)
    with pytest.raises(BotoCoreError):
        await call
    assert sim.stats.in_flight == 0
    assert "simulator connection" not in {task.get_name() for task in asyncio.all_tasks()}
