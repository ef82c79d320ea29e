from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator

import pytest

from tests.adapters.aws.wire import Wire, hang
from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.kinds.catalog import builtin_catalog
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


@pytest.fixture
async def aws(wire: Wire, aws_env: pytest.MonkeyPatch) -> AsyncIterator[AwsClients]:
    """Clients with loopback credentials. All calls go to `wire`."""
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIDFIRST")
    aws_env.setenv("AWS_SECRET_ACCESS_KEY", "loopback")
    aws_env.setenv("AWS_SESSION_TOKEN", "session-token")
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    clients = AwsClients(catalog=builtin_catalog())
    yield clients
    await clients.close()


@pytest.fixture
def probe(aws: AwsClients) -> AwsProbe:
    return AwsProbe(aws, builtin_catalog(), call_deadline=300.0, clock=time.time)


@pytest.fixture
def ref() -> TaskRef:
    return TaskRef("speaker-search", ("vc1", "task1"))
