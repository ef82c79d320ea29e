from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import HANG_S
from tests.simulator.conftest import Client
from tests.simulator.test_simulate_command import running
from watcher.simulator import Scenario, Simulator, VoiceService, serve, simulator

TASKS = "/_simulator/tasks"


async def send(sim: Simulator, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of the reply to a request without a signature."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    async with httpx.AsyncClient(trust_env=False, timeout=HANG_S) as client:
        reply = await client.request(method, f"{sim.url}{path}", content=content)
    return reply.status_code, reply.json()


@pytest.mark.parametrize("status", ["FAILED", "STOPPED", "PARTIAL_SUCCESS", "SUCCEEDED", "IN_QUEUE", "A_NEW_STATUS"])
async def test_a_status_that_is_set_is_what_an_sdk_reads(client: Client, status: str) -> None:
    """After PUT, a Get shows the status, also for a task that no call was about, and it stays."""
    async with simulator(Scenario(latency="0", durations="queue=0,run=0", known_only=True)) as sim, client(sim) as sdk:
        path = f"{TASKS}/speaker-search/vc-9/t%2F7"
        code, shown = await send(sim, "PUT", path, {"status": status, "undeclared": status == "A_NEW_STATUS"})
        assert (code, shown["status"], shown["task_id"]) == (200, status, "t/7")
        for _ in range(2):
            task = (await sdk.get_speaker_search_task(VoiceConnectorId="vc-9", SpeakerSearchTaskId="t/7"))["SpeakerSearchTask"]
            assert task["SpeakerSearchTaskStatus"] == status
        assert ("SpeakerSearchDetails" in task) == (status in ("PARTIAL_SUCCESS", "SUCCEEDED"))
        code, shown = await send(sim, "GET", path)
        assert (code, shown["status"], shown["calls"]) == (200, status, 2)


async def test_a_status_can_follow_any_other(client: Client) -> None:
    """A task can be taken through statuses one by one, backwards too; GET shows the history that was read or set."""
    async with simulator(Scenario(latency="0", durations="queue=never,run=0")) as sim, client(sim) as sdk:
        await sdk.get_voice_tone_analysis_task(VoiceConnectorId="vc", VoiceToneAnalysisTaskId="x", IsCaller=True)
        for status in ("IN_PROGRESS", "SUCCEEDED", "IN_PROGRESS"):
            await send(sim, "PUT", f"{TASKS}/voice-tone/vc/x", {"status": status})
            reply = await sdk.get_voice_tone_analysis_task(VoiceConnectorId="vc", VoiceToneAnalysisTaskId="x", IsCaller=True)
            assert reply["VoiceToneAnalysisTask"]["VoiceToneAnalysisTaskStatus"] == status
        _, shown = await send(sim, "GET", f"{TASKS}/voice-tone/vc/x")
        assert [each["status"] for each in shown["history"]] == ["IN_QUEUE", "IN_PROGRESS", "SUCCEEDED", "IN_PROGRESS"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/_simulator", None, 404),
        ("GET", f"{TASKS}/no-kind/vc/t", None, 404),
        ("PUT", f"{TASKS}/speaker-search/vc", {"status": "FAILED"}, 404),
        ("PUT", f"{TASKS}/speaker-search/%20/t", {"status": "FAILED"}, 404),
        ("GET", f"{TASKS}/speaker-search/vc/unknown", None, 404),
        ("DELETE", f"{TASKS}/speaker-search/vc/t", None, 405),
        ("PUT", f"{TASKS}/speaker-search/vc/t", b"FAILED", 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", [], 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": 5}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": " "}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": "SUCEEDED"}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": "NEW", "undeclared": False}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": "NEW", "undeclared": 1}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", "status", 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", {"status": "FAILED", "at": 1}, 400),
        ("PUT", f"{TASKS}/speaker-search/vc/t", b"[" * 9000, 400),
    ],
)
async def test_an_invalid_request_says_what_is_expected(method: str, path: str, body: Any, code: int) -> None:
    """A wrong path, method or body changes nothing, and its reply says what to send."""
    async with simulator() as sim:
        found, reply = await send(sim, method, path, body)
        assert found == code
        assert reply["message"]
        assert len(sim.tasks) == 0
        assert sim.stats.requests == 0, "these requests are not calls of the API"


async def test_an_unknown_kind_is_answered_with_the_paths_of_several_kinds() -> None:
    """A kind of the voice service and another one, with the command that lists all."""
    async with simulator() as sim:
        code, reply = await send(sim, "PUT", f"{TASKS}/batch-jobb/report-5", {"status": "FAILED"})
    assert code == 404
    for part in (f"{TASKS}/batch-job/my-job", f"{TASKS}/speaker-search/VoiceConnectorId/TaskId", "watcher kinds list"):
        assert part in reply["message"]


async def test_each_request_is_logged_once(client: Client) -> None:
    """The log has each request with its reply: tasks, errors, faults, rejected signatures, and those that set a status."""
    lines: list[dict[str, Any]] = []
    scenario = Scenario(latency="0", durations="queue=0,run=0", failed=1, stopped=0)
    async with serve(VoiceService(scenario, lambda: 1_800_000_000.0), on_request=lines.append) as sim:
        await send(sim, "GET", "/voice-connectors/vc/speaker-search-tasks/unsigned?x=1")
        await send(sim, "PUT", f"{TASKS}/speaker-search/vc/t", {"status": "SUCCEEDED"})
    outcomes = [(line["method"], line["status"], line["outcome"], line["task_status"]) for line in lines]
    assert outcomes == [("GET", 403, "signature", None), ("PUT", 200, "control", None)]
    assert lines[0]["path"] == "/voice-connectors/vc/speaker-search-tasks/unsigned"
    assert lines[0]["query"] == "x=1"
    lines.clear()
    async with simulator(scenario) as sim, client(sim) as sdk:
        sim.on_request = lines.append
        await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId="t")
        for name in ("missing-1", "denied-1"):
            with pytest.raises(sdk.exceptions.ClientError):
                await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId=name)
    outcomes = [(line["status"], line["outcome"], line["task_status"]) for line in lines]
    assert outcomes == [(200, "ok", "FAILED"), (404, "NotFoundException", None), (403, "AccessDeniedException", None)]
    assert not [line for line in lines if "simulator" in json.dumps(line)], "no credentials are logged"


@pytest.mark.process
@pytest.mark.parametrize("to_file", [False, True])
def test_the_command_logs_requests(to_file: bool, tmp_path: Path) -> None:
    """`--log-requests` writes lines of JSON to stderr, and with a file to that file."""
    options = ("--log-requests", str(tmp_path / "requests.jsonl")) if to_file else ("--log-requests",)
    with running("--port", "0", *options) as (command, exports):
        url = f"{exports['AWS_ENDPOINT_URL_CHIME_SDK_VOICE']}{TASKS}/voice-tone/vc/t"
        assert httpx.put(url, content=b'{"status": "STOPPED"}', trust_env=False, timeout=HANG_S).status_code == 200
        command.terminate()
        _, err = command.communicate(timeout=HANG_S)
    lines = ((tmp_path / "requests.jsonl").read_text() if to_file else err).splitlines()
    [logged] = [json.loads(line) for line in lines if line.startswith("{")]
    assert (logged["method"], logged["status"]) == ("PUT", 200)
