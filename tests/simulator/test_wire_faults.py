from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, HTTPClientError, ReadTimeoutError

from tests.simulator.conftest import Client, eventually
from tests.simulator.test_sigv4 import KEYS, signed
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.wire_faults import GARBAGE, HUGE_BYTES

PATH = "/voice-connectors/vc/speaker-search-tasks/t"


def scenario(fault: str) -> Scenario:
    return Scenario(latency=0, faults={fault: 1}, credentials={**KEYS, "simulator": "simulator"})


async def connect(sim: Simulator, path: str = PATH, **extra: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare connection on which a signed request was sent."""
    request = signed(sim.url + path, **extra)
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    headers = "".join(f"{name}: {value[0]}\r\n" for name, value in request.headers.items())
    writer.write(f"{request.method} {path} HTTP/1.1\r\n{headers}\r\n".encode() + request.body)
    return reader, writer


async def read_head(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    return int(first.split(" ")[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


async def reply(sim: Simulator, path: str = PATH) -> tuple[int, Mapping[str, str], bytes]:
    reader, writer = await connect(sim, path)
    status, headers = await read_head(reader)
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return status, headers, body


async def test_a_reset_comes_before_any_byte() -> None:
    """The connection is reset, not closed, and nothing was sent."""
    async with simulator(scenario("reset")) as sim:
        reader, writer = await connect(sim)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_half_a_body_comes_and_then_the_end() -> None:
    """The head promises more than comes before the connection closes."""
    async with simulator(scenario("half")) as sim:
        reader, writer = await connect(sim)
        _, headers = await read_head(reader)
        body = await reader.read()
        assert 0 < len(body) < int(headers["content-length"])
        writer.close()


async def test_a_hanging_call_says_nothing_and_ends_when_its_caller_leaves() -> None:
    """No byte comes; when the caller hangs up the task is free again."""
    async with simulator(scenario("hang")) as sim:
        reader, writer = await connect(sim)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert sim.stats.in_flight == 1
        writer.close()
        await eventually(lambda: sim.stats.in_flight == 0)


async def test_a_dripping_body_trickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head comes at once, the body byte by byte."""
    monkeypatch.setattr("watcher.simulator.wire_faults.DRIP_EVERY_S", 0.02)
    async with simulator(scenario("drip")) as sim:
        reader, writer = await connect(sim)
        await read_head(reader)
        pieces = [await reader.read(1000) for _ in range(4)]
        assert b"".join(pieces).startswith(b"{")
        assert len(b"".join(pieces)) <= 8
        writer.close()


async def test_a_huge_body_is_offered_and_can_be_refused() -> None:
    """200 MiB are promised; a reader that stops after one leaves the simulator well."""
    async with simulator(scenario("huge")) as sim:
        reader, writer = await connect(sim)
        _, headers = await read_head(reader)
        assert int(headers["content-length"]) == HUGE_BYTES == 200 * 1024 * 1024
        await reader.readexactly(1024 * 1024)
        writer.transport.abort()
        sim.change(faults={})
        await eventually(lambda: sim.stats.in_flight == 0)
        assert (await reply(sim))[0] == 200


async def test_a_redirect_goes_to_another_host_and_following_it_is_seen() -> None:
    """307 to another name of this host; whoever follows is counted."""
    async with simulator(scenario("redirect")) as sim:
        status, headers, _ = await reply(sim)
        assert (status, headers["location"]) == (307, f"http://localhost:{sim.port}/redirected")
        assert (await reply(sim, "/redirected"))[0] == 400
        assert sim.stats.outcomes["redirected"] == 1


async def test_bodies_that_are_no_task() -> None:
    """Each of these faults is a 200 whose body is what its name says."""
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


async def test_garbage_comes_in_every_kind_and_in_the_words_of_the_task() -> None:
    """As many calls as there are kinds of garbage see them all, the task's member names filled in."""
    async with simulator(scenario("garbage")) as sim:
        bodies = {(await reply(sim))[2] for _ in GARBAGE}
        assert len(bodies) == len(GARBAGE)
        assert b'{"SpeakerSearchTask": null}' in bodies
        assert not any(b'"TASK"' in body or b'"ID"' in body or b'"STATUS"' in body for body in bodies)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("reset", EndpointConnectionError), ("hang", ReadTimeoutError), ("half", HTTPClientError)],
)
async def test_the_sdk_sees_a_broken_connection(client: Client, fault: str, error: type[Exception]) -> None:
    """A real client raises a connection error or a time-out, not a reply."""
    async with simulator(scenario(fault)) as sim, client(sim) as sdk:
        with pytest.raises(error):
            await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId="t")


async def test_a_started_task_lives_although_its_reply_was_lost() -> None:
    """A Start whose reply is cut off has begun its task, as with a real service: the token finds it again."""
    async with simulator(scenario("half")) as sim:
        body = b'{"TransactionId": "c", "VoiceProfileDomainId": "d", "ClientRequestToken": "once"}'
        headers = {"content-length": str(len(body))}
        for _ in range(2):
            reader, writer = await connect(sim, PATH.removesuffix("/t"), method="POST", body=body, headers=headers)
            await reader.read()
            writer.close()
        assert len(sim.world) == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\n\r\n", 403),
    ],
)
async def test_a_peer_that_speaks_no_http_is_told_so(sent: bytes, status: int) -> None:
    """Nonsense and oversized requests get a 4xx, never a hang or a crash."""
    async with simulator() as sim:
        reader, writer = await asyncio.open_connection(sim.host, sim.port)
        writer.write(sent)
        assert (await read_head(reader))[0] == status
        writer.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b"[" * 100_000, b"\xff"])
async def test_a_start_without_an_object_is_a_bad_request(body: bytes) -> None:
    """A Start whose body is no JSON object is a 400, and the simulator goes on."""
    async with simulator(Scenario(credentials=KEYS)) as sim:
        headers = {"content-length": str(len(body))}
        reader, writer = await connect(sim, PATH.removesuffix("/t"), method="POST", body=body, headers=headers)
        assert (await read_head(reader))[0] == 400
        writer.close()
