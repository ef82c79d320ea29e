"""AWS STS beside the simulated services, through the real SDK."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.process import HANG_S
from watcher.adapters.aws.identity import caller_identity
from watcher.adapters.aws.session import AwsClients
from watcher.errors import CredentialsRejected, Invalid
from watcher.kinds.catalog import builtin_catalog
from watcher.simulator import Simulator, simulator
from watcher.simulator.sts import ACCOUNT

ROLE = "arn:aws:iam::444455556666:role/watched"


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with simulator(kinds=builtin_catalog) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
async def aws(sim: Simulator) -> AsyncIterator[AwsClients]:
    clients = AwsClients(call_deadline=HANG_S)
    yield clients
    await clients.close()


async def test_the_signer_of_a_request_is_named(aws: AwsClients) -> None:
    """So `watcher doctor` can check the credentials that the simulator prints."""
    identity = await caller_identity(aws)
    assert (identity.account, identity.name) == (ACCOUNT, "user simulated")


async def test_a_role_can_be_assumed(aws: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credentials sign further requests, so that targets can be tried without an account."""
    reply = await aws.call("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "watcher", "ExternalId": "x7"})
    assert reply["AssumedRoleUser"]["Arn"] == "arn:aws:sts::444455556666:assumed-role/watched/watcher"
    session = reply["Credentials"]
    for name, value in {"ACCESS_KEY_ID": "AccessKeyId", "SECRET_ACCESS_KEY": "SecretAccessKey", "SESSION_TOKEN": "SessionToken"}.items():
        monkeypatch.setenv(f"AWS_{name}", session[value])
    assumed = AwsClients(call_deadline=HANG_S)
    identity = await caller_identity(assumed)
    assert (identity.account, identity.name) == ("444455556666", "role watched")
    await assumed.close()


async def test_a_wrong_secret_is_refused(aws: AwsClients, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the other services."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(CredentialsRejected):
        await caller_identity(aws)


async def test_other_calls_are_refused(aws: AwsClients) -> None:
    """With an error code of AWS."""
    with pytest.raises(Invalid, match="InvalidAction"):
        await aws.call("sts", "get_session_token", {})
