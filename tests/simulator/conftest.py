from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aioboto3
import anyio
import pytest
from aiobotocore.config import AioConfig

from watcher.simulator import Simulator

Client = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="session")
def client() -> Client:
    """A real SDK client for a simulator, without the SDK's own retries."""
    session = aioboto3.Session()

    @asynccontextmanager
    async def connect(sim: Simulator, **credentials: str) -> AsyncIterator[Any]:
        async with session.client(
            "chime-sdk-voice",
            region_name="us-east-1",
            endpoint_url=sim.url,
            aws_access_key_id=credentials.get("access", "simulator"),
            aws_secret_access_key=credentials.get("secret", "simulator"),
            aws_session_token=credentials.get("token"),
            config=AioConfig(retries={"total_max_attempts": 1}, read_timeout=0.5, max_pool_connections=50),
        ) as made:
            yield made

    return connect


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for something of the simulator's that has no event of its own; TimeoutError after 10 s."""
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110  it is a number of the simulator's, not a signal to a test
            await anyio.sleep(0.005)
