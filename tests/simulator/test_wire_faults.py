from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, HTTPClientError, ReadTimeoutError

from tests.process import HANG_S
from tests.simulator.conftest import Client, connection, eventually
from tests.simulator.test_sigv4 import KEYS, signed
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.wire_faults import GARBAGE, HUGE_BYTES

PATH = "/voice-connectors/vc/speaker-search-tasks/t"


def scenario(fault: str) -> Scenario:
    return Scenario(latency=0, faults={fault: 1}, credentials={**KEYS, "simulator": "simulator"})


@asynccontextmanager
async def requested(sim: Simulator, path: str = PATH, **extra: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a signed request was sent."""
    request = signed(sim.url + path, **extra)
    headers = "".join(f"{name}: {value[0]}\r\n" for name, value in request.headers.items())
    async with connection(sim) as (reader, writer):
        writer.write(f"{request.method} {path} HTTP/1.1\r\n{headers}\r\n".encode() + request.body)
        yield reader, writer


async def read_head(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return int(first.split(" ")[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


async def reply(sim: Simulator, path: str = PATH) -> tuple[int, Mapping[str, str], bytes]:
    async with requested(sim, path) as (reader, _):
        status, headers = await read_head(reader)
        return status, headers, await reader.readexactly(int(headers["content-length"]))


async def test_reset_sends_no_byte() -> None:
    """The connection is reset, not closed, and no byte arrives."""
    async with simulator(scenario("reset")) as sim, requested(sim) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_half_sends_half_of_the_body() -> None:
    """The head announces a longer body than arrives before the connection closes."""
    async with simulator(scenario("half")) as sim, requested(sim) as (reader, _):
        _, headers = await read_head(reader)
        body = await reader.read()
        assert 0 < len(body) < int(headers["content-length"])


async def test_hang_sends_nothing_until_the_client_closes() -> None:
    """No byte arrives, and the call is in flight until the client closes the connection."""
    async with simulator(scenario("hang")) as sim:
        async with requested(sim) as (reader, _):
            await eventually(lambda: sim.stats.in_flight == 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)
            assert sim.stats.in_flight == 1
        await eventually(lambda: sim.stats.in_flight == 0)


async def test_drip_sends_the_body_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head arrives at once, the body in small pieces."""
    monkeypatch.setattr("watcher.simulator.wire_faults.DRIP_EVERY_S", 0.1)
    async with simulator(scenario("drip")) as sim, requested(sim) as (reader, _):
        _, headers = await read_head(reader)
        pieces = [await reader.read(1000) for _ in range(2)]
        assert b"".join(pieces).startswith(b"{")
        assert len(b"".join(pieces)) < int(headers["content-length"])


async def test_huge_sends_200_mib_and_the_client_can_abort() -> None:
    """The head announces 200 MiB, and the simulator works on after a client that aborts."""
    async with simulator(scenario("huge")) as sim:
        async with requested(sim) as (reader, _):
            _, headers = await read_head(reader)
            assert int(headers["content-length"]) == HUGE_BYTES == 200 * 1024 * 1024
            await reader.readexactly(1024 * 1024)
        sim.change(faults={})
        await eventually(lambda: sim.stats.in_flight == 0)
        assert (await reply(sim))[0] == 200


async def test_a_client_that_follows_a_redirect_is_counted() -> None:
    """The reply is a 307 to another name of this host, and a request for its location is counted."""
    async with simulator(scenario("redirect")) as sim:
        status, headers, _ = await reply(sim)
        assert (status, headers["location"]) == (307, f"http://localhost:{sim.port}/redirected")
        assert (await reply(sim, "/redirected"))[0] == 400
        assert sim.stats.outcomes["redirected"] == 1


async def test_body_faults_send_bodies_that_are_not_the_task() -> None:
    """Each body fault is a 200 with the body that its name says."""
    async with simulator(scenario("empty")) as sim:
        assert (await reply(sim))[::2] == (200, b"")
        sim.change(faults={"html": 1})
        assert b"<html>" in (await reply(sim))[2]
        sim.change(faults={"truncated": 1})
        truncated = (await reply(sim))[2]
        assert truncated.startswith(b'{"SpeakerSearchTask": {')
        with pytest.raises(json.JSONDecodeError):
            json.loads(truncated)
        sim.change(faults={"wrong-id": 1})
        task = json.loads((await reply(sim))[2])["SpeakerSearchTask"]
        assert task["SpeakerSearchTaskId"] == "another-task"
        assert task["SpeakerSearchTaskStatus"]


async def test_garbage_has_many_forms_with_the_member_names_of_the_task() -> None:
    """As many calls as there are forms of garbage see them all, with the member names of the kind."""
    async with simulator(scenario("garbage")) as sim:
        bodies = {(await reply(sim))[2] for _ in GARBAGE}
        assert len(bodies) == len(GARBAGE)
        assert b'{"SpeakerSearchTask": null}' in bodies
        assert not any(b'"TASK"' in body or b'"ID"' in body or b'"STATUS"' in body for body in bodies)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("reset", EndpointConnectionError), ("hang", ReadTimeoutError), ("half", HTTPClientError)],
)
async def test_the_sdk_raises_an_error_for_a_broken_connection(client: Client, fault: str, error: type[Exception]) -> None:
    """An SDK client raises a connection error or a time-out."""
    async with simulator(scenario(fault)) as sim, client(sim, read_timeout=0.5 if fault == "hang" else HANG_S) as sdk:
        with pytest.raises(error):
            await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId="t")


async def test_a_start_has_its_effect_although_its_reply_is_lost() -> None:
    """A Start whose reply is cut off has created its task, as in the real service: the same token finds it."""
    async with simulator(scenario("half")) as sim:
        body = b'{"TransactionId": "c", "VoiceProfileDomainId": "d", "ClientRequestToken": "once"}'
        headers = {"content-length": str(len(body))}
        for _ in range(2):
            async with requested(sim, PATH.removesuffix("/t"), method="POST", body=body, headers=headers) as (reader, _):
                await reader.read()
        assert len(sim.tasks) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"[" * 100_000, b"\xff"])
async def test_a_start_without_a_json_object_is_a_bad_request(body: bytes) -> None:
    """A Start whose body is not a JSON object gets a 400."""
    async with simulator(Scenario(credentials=KEYS)) as sim:
        headers = {"content-length": str(len(body))}
        async with requested(sim, PATH.removesuffix("/t"), method="POST", body=body, headers=headers) as (reader, _):
            assert (await read_head(reader))[0] == 400
