from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import Literal

import pytest

from tests.adapters.aws.wire import Wire, hang
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.model import TaskRef


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(hang).listening() as peer:
        yield peer


@pytest.fixture
def aws_env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """AWS variables of this test only, and no proxy."""
    for name in os.environ:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return monkeypatch


@pytest.fixture(params=["direct", "plain"])
def polls(request: pytest.FixtureRequest) -> Literal["direct", "plain"]:
    """The two ways of sending a poll: whatever holds for one holds for the other."""
    way: Literal["direct", "plain"] = request.param
    return way


@pytest.fixture
async def aws(wire: Wire, aws_env: pytest.MonkeyPatch, polls: Literal["direct", "plain"]) -> AsyncIterator[AwsClients]:
    """Clients with loopback credentials, whose every call goes to `wire`."""
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIDFIRST")
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "loopback")
    aws_env.setenv("AWS_SESSION_TOKEN", "session-token")
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    clients = AwsClients(polls=polls)
    yield clients
    await clients.close()


@pytest.fixture
def probe(aws: AwsClients) -> AwsProbe:
    return AwsProbe(aws, call_deadline=300.0, clock=time.time)


@pytest.fixture
def ref() -> TaskRef:
    return TaskRef("speaker-search", ("vc1", "task1"))
