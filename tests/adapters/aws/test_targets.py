"""The clients of targets: whose credentials they use, when these are renewed, and what a failure of STS means."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.adapters.aws.sts import Sts, signer
from tests.adapters.aws.wire import Request, Wire, fault, hang, reply
from watcher import errors
from watcher.adapters.aws import session
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.settings import TargetSettings
from watcher.adapters.aws.targets import target_clients
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Observation, TaskRef

CATALOG = builtin_catalog()
ROLE = "arn:aws:iam::111122223333:role/watched"
EU = TargetSettings(name="eu", region="eu-central-1", role_arn=ROLE, external_id="x-42", session_name="watcher-eu")
US = TargetSettings(name="us", region="us-west-2", role_arn=ROLE.replace("watched", "other"))
NEAR = TargetSettings(name="near", region="eu-west-1")


@pytest.fixture
async def sts(aws_env: pytest.MonkeyPatch) -> AsyncIterator[Sts]:
    async with Wire(hang).listening() as wire:
        wire.answer = made = Sts(wire)
        aws_env.setenv("AWS_ENDPOINT_URL_STS", wire.url)
        yield made


@pytest.fixture
async def own(aws: AwsClients, wire: Wire) -> AsyncIterator[AwsClients]:
    """The watcher's own clients. Every call about a task is answered."""
    wire.answer = reply(200, {"SpeakerSearchTask": {"SpeakerSearchTaskId": "task1", "SpeakerSearchTaskStatus": "IN_PROGRESS"}})
    clients = AwsClients(catalog=CATALOG, call_deadline=60)
    yield clients
    await clients.close()


def region(request: Request) -> str:
    return request.headers["authorization"].split("Credential=")[1].split("/")[2]


def probe_of(own: AwsClients, *targets: TargetSettings) -> AwsProbe:
    return AwsProbe(own, CATALOG, targets=target_clients(targets, own), call_deadline=60, clock=time.time)


def task(target: str) -> TaskRef:
    return TaskRef("speaker-search", ("vc1", "task1"), target)


async def ask(probe: AwsProbe, target: str) -> Any:
    """The status of the task, or the error of the call."""
    try:
        (outcome,) = await probe.observe([task(target)])
    except errors.RemoteError as error:
        return error
    return outcome.status if isinstance(outcome, Observation) else outcome


async def test_a_target_is_polled_with_its_role_in_its_region(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """The role is assumed with the watcher's own credentials, with the external id and the session name of the target."""
    probe = probe_of(own, EU)
    assert [await ask(probe, target) for target in ("eu", "default", "eu")] == ["IN_PROGRESS"] * 3
    assert [(signer(each), region(each)) for each in wire.requests] == [
        ("ASIA1", "eu-central-1"),
        ("AKIDFIRST", "us-east-1"),
        ("ASIA1", "eu-central-1"),
    ]
    (call,), signers = sts.calls, sts.signers
    assert (call["RoleArn"], call["ExternalId"], call["RoleSessionName"]) == (ROLE, "x-42", "watcher-eu")
    assert signers == ["AKIDFIRST"]
    await probe.close()


async def test_a_target_without_a_role_uses_the_own_credentials(own: AwsClients, sts: Sts, wire: Wire, aws_env: pytest.MonkeyPatch) -> None:
    """It reads them again when they were rejected."""
    probe = probe_of(own, NEAR)
    assert await ask(probe, "near") == "IN_PROGRESS"
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIDSECOND")
    await probe.refresh("near")
    assert await ask(probe, "near") == "IN_PROGRESS"
    assert [(signer(each), region(each)) for each in wire.requests] == [("AKIDFIRST", "eu-west-1"), ("AKIDSECOND", "eu-west-1")]
    assert sts.calls == []
    await probe.close()


async def test_an_endpoint_of_a_target_is_for_its_polled_services_alone(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """Neither STS nor another target is called there."""
    async with Wire(wire.answer).listening() as there:
        probe = probe_of(own, EU.model_copy(update={"endpoint_url": there.url}), US)
        assert [await ask(probe, target) for target in ("eu", "us", "default")] == ["IN_PROGRESS"] * 3
        assert ([signer(each) for each in there.requests], [signer(each) for each in wire.requests]) == (["ASIA1"], ["ASIA2", "AKIDFIRST"])
        await probe.close()


async def test_all_services_of_a_target_share_its_credentials(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """Twenty first calls to two services assume the role once."""
    clients = target_clients([EU], own)["eu"]
    probe = AwsProbe(own, CATALOG, targets={"eu": clients}, call_deadline=60, clock=time.time)

    async def call() -> None:
        assert await ask(probe, "eu") == "IN_PROGRESS"
        await clients.call("sqs", "list_queues", {})

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(call)
    assert len(sts.calls) == 1
    await probe.close()


async def test_credentials_are_renewed_ahead_of_time(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """With less than a quarter of an hour left, the next call renews them; if STS fails, the old ones are used while they last."""
    probe = probe_of(own, EU)
    sts.lifetime_s = 14 * 60
    assert await ask(probe, "eu") == "IN_PROGRESS"
    sts.lifetime_s = 3600
    assert await ask(probe, "eu") == "IN_PROGRESS"
    assert await ask(probe, "eu") == "IN_PROGRESS"
    assert [signer(each) for each in wire.requests] == ["ASIA1", "ASIA2", "ASIA2"]
    await probe.refresh("eu")
    assert len(sts.calls) == 3
    await probe.close()


async def test_an_outage_of_sts_does_not_end_credentials_that_still_work(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """Each call tries to renew them, and is then signed with those that are left."""
    probe = probe_of(own, EU)
    sts.lifetime_s = 14 * 60
    assert await ask(probe, "eu") == "IN_PROGRESS"
    sts.refuse = ("ServiceUnavailable", 503)
    assert await ask(probe, "eu") == "IN_PROGRESS"
    assert [signer(each) for each in wire.requests] == ["ASIA1", "ASIA1"]
    assert len(sts.calls) == 2
    await probe.close()


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (("AccessDenied", 403), errors.CredentialsRejected),
        (("ValidationError", 400), errors.CredentialsRejected),
        (("RegionDisabledException", 403), errors.CredentialsRejected),
        (("ExpiredToken", 403), errors.CredentialsRejected),
        (("Throttling", 400), errors.Unavailable),
        (("ServiceUnavailable", 503), errors.Unavailable),
    ],
)
async def test_a_role_that_cannot_be_assumed_says_nothing_about_a_task(
    own: AwsClients, sts: Sts, wire: Wire, refusal: tuple[str, int], expected: type[errors.RemoteError]
) -> None:
    """It is the setup of this target, or an outage, and nothing is sent to the polled service."""
    probe = probe_of(own, EU)
    sts.refuse = refusal
    error = await ask(probe, "eu")
    assert (type(error), error.code) == (expected, refusal[0])
    assert wire.requests == []
    await probe.close()


async def test_a_refused_role_stops_no_other_target(own: AwsClients, sts: Sts, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other targets keep their clients and connections; the refused one is tried again, and works once the role allows it."""
    monkeypatch.setattr(session, "REREAD_S", 0.0)
    probe = probe_of(own, EU, US)
    sts.refused_roles = {ROLE}
    assert [await ask(probe, target) for target in ("default", "us")] == ["IN_PROGRESS"] * 2
    connections = wire.connections
    for _ in range(3):
        assert type(await ask(probe, "eu")) is errors.CredentialsRejected
        assert [await ask(probe, target) for target in ("default", "us")] == ["IN_PROGRESS"] * 2
    assert wire.connections == connections
    sts.refused_roles.clear()
    assert await ask(probe, "eu") == "IN_PROGRESS"
    await probe.close()


async def test_rejected_own_credentials_are_read_again_for_the_role(
    own: AwsClients, sts: Sts, aws_env: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no task of the default target is polled."""
    monkeypatch.setattr(session, "REREAD_S", 0.0)
    probe = probe_of(own, EU)
    sts.refuse = ("ExpiredToken", 403)
    error = await ask(probe, "eu")
    assert isinstance(error, errors.CredentialsRejected)
    assert error.expired
    aws_env.setenv("AWS_ACCESS_KEY_ID", "AKIDSECOND")
    sts.refuse = None
    await probe.refresh("eu")
    assert await ask(probe, "eu") == "IN_PROGRESS"
    assert sts.signers == ["AKIDFIRST", "AKIDSECOND"]
    await probe.close()


async def test_a_refresh_is_about_one_target(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """The role of another target is not assumed again."""
    probe = probe_of(own, EU, US)
    assert [await ask(probe, target) for target in ("eu", "us")] == ["IN_PROGRESS"] * 2
    await probe.refresh("eu")
    assert [await ask(probe, target) for target in ("eu", "us", "default")] == ["IN_PROGRESS"] * 3
    assert [signer(each) for each in wire.requests] == ["ASIA1", "ASIA2", "ASIA3", "ASIA2", "AKIDFIRST"]
    await probe.close()


async def test_sts_that_never_answers_ends_the_call_at_its_deadline(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """Before the deadline of the call itself, and other targets are polled meanwhile."""
    quick = AwsClients(catalog=CATALOG, call_deadline=0.3)
    probe = AwsProbe(quick, CATALOG, targets=target_clients([EU], quick), call_deadline=3600, clock=time.time)
    sts.wire.answer = hang
    error = await ask(probe, "eu")
    assert (type(error), error.code) == (errors.Unavailable, "timeout")
    assert wire.requests == []
    await probe.close()
    await quick.close()


async def test_what_the_service_says_about_the_role_is_about_its_target(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """An expired session of a role asks for a refresh of this target, and a denial is one of the task."""
    probe = probe_of(own, EU)
    wire.answer = fault("ExpiredTokenException", 403)
    expired = await ask(probe, "eu")
    wire.answer = fault("AccessDeniedException", 403)
    assert isinstance(expired, errors.CredentialsRejected)
    assert expired.expired
    assert type(await ask(probe, "eu")) is errors.Denied
    await probe.close()


async def test_a_target_that_is_not_configured_ends_no_watch(own: AwsClients, sts: Sts, wire: Wire) -> None:
    """A task of a target that was removed from the configuration costs no request."""
    error = await ask(probe_of(own, EU), "gone")
    assert (type(error), error.unsent) == (errors.CredentialsRejected, True)
    assert wire.requests == []


async def test_a_call_that_fails_after_sts_answered_is_named_by_its_own_cause(
    own: AwsClients, sts: Sts, wire: Wire, aws_env: pytest.MonkeyPatch
) -> None:
    """The status of the reply of STS says nothing about the call for which the credentials are."""
    aws_env.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", "ftp://127.0.0.1:1")
    probe = probe_of(own, EU)
    error = await ask(probe, "eu")
    assert isinstance(error, errors.CredentialsRejected)
    assert error.unsent
    await probe.close()
