"""Credentials that cannot be fetched or used: the cause is named, one helper runs at a time, and none outlives its deadline."""

from __future__ import annotations

import json
import os
import stat
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.adapters.aws.wire import Request, Wire, fault, raw, reply
from tests.clock import advance
from tests.process import runs
from watcher import errors
from watcher.adapters.aws import session
from watcher.adapters.aws.session import AwsClients
from watcher.kinds.catalog import builtin_catalog

PARAMS = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": "task1"}
KEYS = {"Version": 1, "AccessKeyId": "AKIDHELPER", "SecretAccessKey": "s"}


class Helper:
    """A `credential_process` that writes its process id, and that of a child, and then does what its script says."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "helper"
        self.log = directory / "helper.log"
        self.config = directory / "config"

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\necho start $$ >> {self.log}\n{textwrap.dedent(script)}\n")
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def prints(self, **members: Any) -> None:
        self.does(f"sleep 0.1\necho '{json.dumps({**KEYS, **members})}'\necho end $$ >> {self.log}")

    def hangs(self) -> None:
        self.does(f"sleep 10000 &\necho start $! >> {self.log}\nwait")

    @property
    def lines(self) -> list[str]:
        return [line.split()[0] for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def alive(self) -> list[int]:
        """The processes that it has started and that still run."""
        ids = {int(line.split()[1]) for line in self.log.read_text().splitlines()}
        return [pid for pid in ids if runs(pid)]


@pytest.fixture
def helper(tmp_path: Path, aws_env: pytest.MonkeyPatch, wire: Wire) -> Helper:
    """The only source of credentials, in the default profile."""
    made = Helper(tmp_path)
    made.config.write_text(f"[default]\ncredential_process = {made.path}\n")
    aws_env.setenv("AWS_CONFIG_FILE", str(made.config))
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    wire.answer = reply(200, {"SpeakerSearchTask": {}})
    return made


@pytest.fixture
async def patient(helper: Helper) -> AsyncIterator[AwsClients]:
    """Clients whose deadlines only a moved clock reaches."""
    clients = AwsClients(call_deadline=10_000, catalog=builtin_catalog())
    yield clients
    await clients.close()


async def get(aws: AwsClients) -> Any:
    return await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)


async def refusal(aws: AwsClients) -> errors.RemoteError:
    with pytest.raises(errors.RemoteError) as caught:
        await get(aws)
    return caught.value


async def until_started(helper: Helper, lines: int = 2) -> None:
    while len(helper.lines) < lines:  # noqa: ASYNC110 - a process that writes a file sets no event
        await anyio.sleep(0.01)


async def until_all_ended(helper: Helper) -> None:
    """A killed process may still be in the table for a moment."""
    while helper.alive:  # noqa: ASYNC110 - a process that ends sets no event
        await anyio.sleep(0.01)


@pytest.mark.parametrize("profile", ["direct", "source of an assumed role"])
async def test_a_helper_that_hangs_is_killed_with_its_children(
    helper: Helper, patient: AwsClients, aws_env: pytest.MonkeyPatch, profile: str
) -> None:
    """At its deadline, which ends the call as rejected credentials, with the cause as code."""
    if profile != "direct":
        helper.config.write_text(
            f"[profile base]\ncredential_process = {helper.path}\n"
            "[profile role]\nrole_arn = arn:aws:iam::111122223333:role/r\nsource_profile = base\n"
        )
        aws_env.setenv("AWS_PROFILE", "role")
    helper.hangs()
    failures = []

    async def call() -> None:
        with pytest.raises(errors.RemoteError) as caught:
            await patient.call("chime-sdk-voice", "get_speaker_search_task", PARAMS, deadline=1e9)
        failures.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until_started(helper)
        while not failures:
            advance(10_000)  # again if its deadline was not set yet
            await anyio.sleep(0.01)
    (failure,) = failures
    assert (type(failure), failure.code) == (errors.CredentialsRejected, "CredentialRetrievalError")
    await until_all_ended(helper)
    assert len(helper.lines) == 2


async def test_a_helper_is_killed_when_nobody_waits_for_it(helper: Helper, patient: AwsClients) -> None:
    """A cancelled call, as at a stop, leaves no process."""
    helper.hangs()
    async with anyio.create_task_group() as group:
        group.start_soon(get, patient)
        await until_started(helper)
        group.cancel_scope.cancel()
    await until_all_ended(helper)


async def test_one_helper_runs_at_a_time(helper: Helper, patient: AwsClients) -> None:
    """Twenty calls to two services need one run; with credentials that expire at once they need more, one after the other."""

    async def call() -> None:
        await get(patient)
        await patient.call("sqs", "list_queues", {})

    helper.prints()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(call)
    assert helper.lines == ["start", "end"]
    helper.prints(Expiration=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100)))
    await patient.refresh()
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(get, patient)
    assert len(helper.lines) > 4
    assert helper.lines == ["start", "end"] * (len(helper.lines) // 2)


async def test_fetched_credentials_that_have_expired_are_named(helper: Helper, patient: AwsClients, wire: Wire) -> None:
    """An agent that hands out old credentials is a matter of the setup, and nothing is sent; the next call asks it again."""
    helper.prints(Expiration="2020-05-05T05:05:05Z")
    error = await refusal(patient)
    assert isinstance(error, errors.CredentialsRejected)
    assert (error.code, error.expired, error.unsent) == ("ExpiredCredentials", True, True)
    assert wire.requests == []
    helper.prints(Expiration="2099-05-05T05:05:05Z")
    await get(patient)


@pytest.mark.parametrize(
    "keys",
    [
        {"AccessKeyId": "AKID\n"},
        {"AccessKeyId": "AKID\u00a0"},
        {"SessionToken": "t0k3n\r"},
        {"SessionToken": "t0 k3n"},
        {"SecretAccessKey": "s3cr3t\t"},
    ],
    ids=lambda keys: repr(keys)[:40],
)
async def test_credentials_that_fit_no_header_are_named_and_read_again(
    helper: Helper, patient: AwsClients, wire: Wire, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str]
) -> None:
    """Nothing is sent, no part of them is in the error, and corrected ones are used without a restart."""
    monkeypatch.setattr(session, "REREAD_S", 0.0)
    helper.path.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps({**KEYS, **keys})}\nEOF\n")
    helper.path.chmod(0o700)
    error = await refusal(patient)
    assert isinstance(error, errors.CredentialsRejected)
    assert (error.code, error.unsent) == ("IllegalCharacter", True)
    assert not any(value.strip() in str(error) for value in keys.values())
    assert wire.connections == 0
    helper.prints()
    await get(patient)
    assert "AKIDHELPER" in wire.requests[-1].headers["authorization"]


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "echo '{}'", "echo '{\"Version\": 1}'", "echo '[]'"])
async def test_a_helper_that_fails_is_the_setups(helper: Helper, patient: AwsClients, wire: Wire, script: str) -> None:
    """Whatever it prints or returns, no task is at fault."""
    helper.does(script)
    error = await refusal(patient)
    assert isinstance(error, errors.CredentialsRejected)
    assert error.unsent
    assert wire.connections == 0


async def test_rejected_keys_are_read_again_from_their_file(
    wire: Wire, aws_env: pytest.MonkeyPatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that the service rejected are read again for a later call, while calls in flight keep their connections."""
    monkeypatch.setattr(session, "REREAD_S", 0.0)
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = AKIDREVOKED\naws_secret_access_key = s\n")
    aws_env.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    aws_env.setenv("AWS_ENDPOINT_URL", wire.url)
    aws, arrived, go = AwsClients(), anyio.Event(), anyio.Event()

    async def answer(request: Request, writer: Any) -> None:
        if request.path.endswith("slow"):
            arrived.set()
            await go.wait()
        elif "AKIDREVOKED" in request.headers["authorization"]:
            return await fault("InvalidClientTokenId", 403)(request, writer)
        return await reply(200, {"SpeakerSearchTask": {}})(request, writer)

    wire.answer = answer
    async with anyio.create_task_group() as group:
        group.start_soon(aws.call, "chime-sdk-voice", "get_speaker_search_task", {**PARAMS, "SpeakerSearchTaskId": "slow"})
        await arrived.wait()
        for _ in range(3):
            assert isinstance(await refusal(aws), errors.CredentialsRejected)
        keys.write_text("[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = s\n")
        await get(aws)
        go.set()
    await aws.close()


@pytest.mark.parametrize("status", [407, 403])
async def test_a_proxy_that_refuses_is_named(aws: AwsClients, aws_env: pytest.MonkeyPatch, wire: Wire, status: int) -> None:
    """For HTTPS it refuses the tunnel, for HTTP it answers with a page: both are foreign answers, with the status as code."""
    wire.answer = raw(f"HTTP/1.1 {status} No\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno".encode())
    for scheme in ("http", "https"):
        aws_env.setenv(f"{scheme.upper()}_PROXY", wire.url)
        aws_env.setenv("AWS_ENDPOINT_URL", f"{scheme}://voice.example.com")
        clients = AwsClients(catalog=builtin_catalog())
        error = await refusal(clients)
        await clients.close()
        assert isinstance(error, errors.Unreadable)
        assert (error.code, error.foreign) == (str(status), True)
    assert {request.method for request in wire.requests} == {"GET", "CONNECT"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_CA_BUNDLE", __file__),
        ("AWS_CA_BUNDLE", os.devnull),
        ("HTTPS_PROXY", "http://[::1"),
        ("AWS_ENDPOINT_URL", "https://[::1"),
        ("AWS_ENDPOINT_URL", "https://voice.example:123456"),
        ("AWS_ENDPOINT_URL", "ftp://voice.example"),
    ],
)
async def test_a_setup_that_allows_no_request_is_the_setups(aws: AwsClients, aws_env: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Certificates, proxies and endpoints that cannot be used open the circuit of the credentials, and no task is at fault."""
    aws_env.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:1")
    aws_env.setenv(name, value)
    clients = AwsClients(catalog=builtin_catalog())
    error = await refusal(clients)
    await clients.close()
    assert isinstance(error, errors.CredentialsRejected), error
    assert error.unsent
