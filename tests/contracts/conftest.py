"""What the exams share: the other sides to sit them at."""

from collections.abc import AsyncIterator

import pytest

from tests.moto_server import environment, moto_server, moto_url  # noqa: F401  the fixtures; imported after the line above
from tests.postgres import database, postgres_server, shared_database  # noqa: F401  the fixtures
from tests.relay import Relay
from tests.scripted_aws import scripted_aws  # noqa: F401  the fixture
from watcher.adapters.aws.session import AwsClients


@pytest.fixture
async def relay(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:  # noqa: F811 - the fixture
    """A line to moto's server that can be cut, to which the environment of the process points."""
    async with Relay(moto_url) as relay:
        monkeypatch.setenv("AWS_ENDPOINT_URL", environment(relay.url)["AWS_ENDPOINT_URL"])
        yield relay


@pytest.fixture
async def aws() -> AsyncIterator[AwsClients]:
    clients = AwsClients()
    yield clients
    await clients.close()
