from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import aioboto3
import anyio
import pytest
from aiobotocore.config import AioConfig

from tests.process import HANG_S
from watcher.simulator import Simulator

Client = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="session")
def client() -> Client:
    """A real SDK client for a simulator, without the SDK's own retries."""
    session = aioboto3.Session()

    @asynccontextmanager
    async def connect(sim: Simulator, read_timeout: float = HANG_S, **credentials: str) -> AsyncIterator[Any]:
        async with session.client(
            "chime-sdk-voice",
            region_name="us-east-1",
            endpoint_url=sim.url,
            aws_access_key_id=credentials.get("access", "simulator"),
            aws_secret_access_key=credentials.get("secret", "simulator"),
            aws_session_token=credentials.get("token"),
            config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=read_timeout, max_pool_connections=50),
        ) as made:
            yield made

    return connect


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition of the simulator holds; TimeoutError after `HANG_S`."""
    with anyio.fail_after(HANG_S):
        while not holds():  # noqa: ASYNC110  the simulator counts, it sends no signal
            await anyio.sleep(0.005)


@asynccontextmanager
async def connection(sim: Simulator) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare TCP connection, closed at the end also when the test fails."""
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
