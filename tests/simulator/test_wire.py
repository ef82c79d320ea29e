from __future__ import annotations

import asyncio
import json

import pytest

from tests.simulator.conftest import connection
from tests.simulator.test_sigv4 import KEYS, signed
from tests.simulator.test_wire_faults import PATH, read_head
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.wire import MAX_BODY, MAX_HEAD, READ_SIZE


def encoded(sim: Simulator, path: str = PATH, version: str = "1.1", **extra: str) -> bytes:
    """A signed request as bytes."""
    request = signed(sim.url + path)
    headers = {**{name: value[0] for name, value in request.headers.items()}, **extra}
    lines = [f"GET {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


async def read_id(reader: asyncio.StreamReader) -> str:
    """The task id in the next reply."""
    status, headers = await read_head(reader)
    assert status == 200
    body = json.loads(await reader.readexactly(int(headers["content-length"])))
    return str(body["SpeakerSearchTask"]["SpeakerSearchTaskId"])


async def test_one_connection_carries_many_requests() -> None:
    """Requests on one connection get their replies in order, also when they arrive together or in small pieces."""
    async with simulator(Scenario(latency=0, credentials=KEYS)) as sim, connection(sim) as (reader, writer):
        writer.write(b"".join(encoded(sim, f"{PATH}{i}") for i in range(3)))
        assert [await read_id(reader) for _ in range(3)] == ["t0", "t1", "t2"]
        for byte in encoded(sim, f"{PATH}3"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await read_id(reader) == "t3"
        assert sim.stats.outcomes == {"ok": 4}


@pytest.mark.parametrize(("version", "extra"), [("1.1", {"Connection": "close"}), ("1.0", {})])
async def test_a_client_can_ask_for_one_reply_only(version: str, extra: dict[str, str]) -> None:
    """The connection closes after the reply to a request with `Connection: close`, or to a request of HTTP/1.0."""
    async with simulator(Scenario(latency=0, credentials=KEYS)) as sim, connection(sim) as (reader, writer):
        writer.write(encoded(sim, version=version, **extra))
        assert await read_id(reader) == "t"
        assert await reader.read() == b""


async def test_an_incomplete_request_is_not_counted() -> None:
    """A client that closes the connection in the middle of a request leaves no trace, and other clients are served."""
    async with simulator(Scenario(latency=0, credentials=KEYS)) as sim:
        async with connection(sim) as (_, writer):
            writer.write(encoded(sim)[:-5])
            await writer.drain()
        async with connection(sim) as (reader, writer):
            writer.write(encoded(sim))
            assert await read_id(reader) == "t"
            assert sim.stats.requests == 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: h\r\nx: " + b"y" * (MAX_HEAD + READ_SIZE) + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n", 411),
        (b"GET /%ff HTTP/1.1\r\nhost: h\r\n\r\n", 403),
        (b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n", 403),
    ],
)
async def test_a_bad_request_is_refused(sent: bytes, status: int) -> None:
    """A request that is not HTTP, too large, of unknown length or not signed gets a 4xx, never a hang."""
    async with simulator() as sim, connection(sim) as (reader, writer):
        writer.write(sent)
        assert (await read_head(reader))[0] == status


async def test_a_path_that_is_not_utf_8_is_a_bad_request() -> None:
    """A signed request whose path does not decode gets a 400."""
    async with simulator(Scenario(latency=0, credentials=KEYS)) as sim, connection(sim) as (reader, writer):
        writer.write(encoded(sim, f"{PATH}%ff"))
        assert (await read_head(reader))[0] == 400


async def test_the_reply_to_head_has_no_body() -> None:
    """After a HEAD request the connection carries the next request, because the error had no body."""
    async with simulator(Scenario(latency=0, credentials=KEYS)) as sim, connection(sim) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n" + encoded(sim))
        assert (await read_head(reader))[0] == 403
        assert await read_id(reader) == "t"
