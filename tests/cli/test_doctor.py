from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.api.health_only import health_server
from tests.cli.conftest import CONFIG, Command, in_store, in_thread, recorded
from tests.moto_server import plain_client
from tests.postgres import Database
from tests.process import HANG_S
from tests.queries.recorded import RecordedTask, record
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.identity import caller_identity, service_endpoint
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.cli import check_result, exit_codes, local_checks, running_watcher
from watcher.cli.aws_checks import check_identity
from watcher.cli.check_result import Finding, run_check
from watcher.cli.checks import run_checks
from watcher.cli.local_checks import check_tokens
from watcher.cli.running_watcher import check_ready
from watcher.config import parse
from watcher.errors import CredentialsRejected
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef, Watch
from watcher.observe.metrics import Metrics
from watcher.registry import AdapterContext
from watcher.runtime.health import Condition
from watcher.simulator import Scenario, simulator

pytestmark = pytest.mark.process


@pytest.fixture
def cloud(moto_url: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration `q.yaml` with a queue and a bus of moto's server, and the credentials of the simulator."""
    queue = plain_client("sqs", moto_url).create_queue(QueueName="tasks")["QueueUrl"]
    text = (
        f"sources: [{{type: sqs, queue_url: '{queue}'}}]\n"
        "sinks: [{type: eventbridge, name: bus}, {type: jsonl, name: log, path: out.jsonl}]\n"
        "store: {type: sqlite, path: w.db}\n"
    )
    (here / "q.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "simulator")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "simulator")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    return here / "q.yaml"


def change(file: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts in a file."""
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


Doctor = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def doctor(command: Command, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs `watcher doctor` beside a simulated voice service. Returns the exit code, and each finding by the name of its check."""
    monkeypatch.setattr(check_result, "CHECK_S", HANG_S)
    monkeypatch.setattr(check_result, "CALL_S", HANG_S)

    async def run(scenario: Scenario | None = None, *, kind: str | None = None) -> tuple[int, dict[str, Any]]:
        async with simulator(scenario or Scenario(known_only=True)) as sim:
            monkeypatch.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", sim.url)
            ended = await in_thread(command, "doctor", "--config", "q.yaml", "--json", *(() if kind is None else ("--kind", kind)))
        report = json.loads(ended.out)
        assert report["ok"] == (ended.code == 0)
        return ended.code, {check["check"]: check for check in report["checks"]}

    return run


async def test_all_checks_pass(cloud: Path, doctor: Doctor) -> None:
    """With everything in order, each check passes or is skipped, the exit code is 0, and no file is created."""
    code, found = await doctor()
    assert (code, {name: check["state"] for name, check in found.items() if check["state"] != "ok"}) == (0, {"API port": "skipped"})
    assert list(found) == [
        "configuration",
        "Region",
        "credentials",
        "clock",
        "voice API",
        "source sqs",
        "sink bus",
        "sink log",
        "store",
        "API port",
    ]
    assert found["credentials"]["seen"].startswith("account 123456789012, ")
    assert found["voice API"]["seen"].startswith("get_speaker_search_task is permitted")
    assert {path.name for path in cloud.parent.iterdir()} == {"q.yaml", "w.yaml", "tasks.txt"}


@pytest.mark.parametrize(
    ("scenario", "seen", "hint", "code"),
    [
        (Scenario(quota=0), "ThrottledClientException", 'raise "Speaker search API rate', 69),
        (Scenario(faults={"403": 1.0}), "AccessDeniedException", "a permission is missing", 69),
        (Scenario(faults={"503": 1.0}), "ServiceUnavailable", "running and reachable", 69),
        (Scenario(faults={"html": 1.0}), "no_task", "something other than the service answered", 69),
        (Scenario(credentials={"other": "other"}), "UnrecognizedClientException", "not accepted", 78),
    ],
)
async def test_the_voice_api_is_checked_with_one_call(
    cloud: Path, doctor: Doctor, scenario: Scenario, seen: str, hint: str, code: int
) -> None:
    """A failing call about a task is one finding with a hint that fits its error; the other checks still pass."""
    ended, found = await doctor(scenario)
    assert (ended, found["voice API"]["state"]) == (code, "failed")
    assert seen in found["voice API"]["seen"]
    assert hint in found["voice API"]["hint"]
    assert [name for name, check in found.items() if check["state"] == "failed"] == ["voice API"]


async def test_a_region_without_the_service_fails(cloud: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a Region without the service, the exit code is 78, and the hint lists the Regions that offer it."""
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    code, found = await doctor()
    assert (code, found["Region"]["state"]) == (78, "failed")
    assert "eu-north-1" in found["Region"]["seen"]
    assert "us-east-1" in found["Region"]["hint"]


@pytest.mark.parametrize(("kind", "named"), [(None, True), ("speaker-search", False)])
async def test_a_failure_of_the_voice_api_says_how_to_check_other_kinds(cloud: Path, doctor: Doctor, kind: str | None, named: bool) -> None:
    """Where nothing shows that voice tasks are watched: no open watch, no kind of the configuration, and no --kind."""
    code, found = await doctor(Scenario(faults={"403": 1.0}), kind=kind)
    assert (code, found["voice API"]["state"]) == (69, "failed")
    assert ("--kind NAME" in found["voice API"]["hint"]) == named


@pytest.mark.parametrize(("kind", "named"), [(None, True), ("speaker-search", False)])
async def test_a_check_of_the_voice_api_alone_says_that_no_kind_is_in_use(
    cloud: Path, doctor: Doctor, kind: str | None, named: bool
) -> None:
    """A success says nothing about the kinds that a person has in mind, so it says how to check those."""
    code, found = await doctor(kind=kind)
    assert (code, found["voice API"]["state"]) == (0, "ok")
    assert ("no kind is in use yet: name the kinds that you watch: watcher doctor --kind NAME" in found["voice API"]["seen"]) == named


async def test_rejected_credentials_fail_in_any_case(cloud: Path, doctor: Doctor) -> None:
    """Credentials that are not accepted are no matter of one kind."""
    code, found = await doctor(Scenario(credentials={"other": "other"}))
    assert (code, found["voice API"]["state"]) == (78, "failed")


async def test_the_kinds_with_open_watches_are_checked(cloud: Path, doctor: Doctor) -> None:
    """A kind with an open watch is in use, so its failure is one; one whose watches have ended is not, nor is one without watches."""
    job, tone = Watch(TaskRef("batch-job", ("j-1",)), "0" * 32, 1.0, 2e9), RecordedTask("t-1", "voice-tone")

    async def work(store: SqliteStore) -> None:
        await store.admit([job])
        await record(store, tone, RecordedTask("t-2").ended("cancelled", 1))

    await anyio.to_thread.run_sync(in_store, work)
    code, found = await doctor(Scenario(faults={"403": 1.0}))
    assert (code, found["kind voice-tone"]["state"]) == (69, "failed")
    assert "kind batch-job" in found
    assert "voice API" not in found


async def test_the_voice_api_is_in_use_with_an_open_watch(cloud: Path, doctor: Doctor) -> None:
    """With an open speaker search, a voice API that does not answer is a failure."""
    await anyio.to_thread.run_sync(recorded, RecordedTask("t-1"))
    code, found = await doctor(Scenario(faults={"403": 1.0}))
    assert (code, found["voice API"]["state"]) == (69, "failed")


@pytest.mark.parametrize("region", ["mars-north-1", None])
async def test_a_missing_or_unknown_region_fails(cloud: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, region: str | None) -> None:
    """Without a Region that exists, the check of the Region fails with a hint that names AWS_REGION."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
        if region is not None:
            monkeypatch.setenv(name, region)
    code, found = await doctor()
    assert (code, found["Region"]["state"]) == (78, "failed")
    assert "AWS_REGION" in found["Region"]["hint"]


async def test_a_missing_queue_and_a_missing_bus_are_two_findings(cloud: Path, doctor: Doctor) -> None:
    """Each missing resource is a finding of its own source or sink, with exit code 69."""
    change(cloud, ("/tasks'", "/gone'"), ("name: bus}", "name: bus, bus: gone}"))
    code, found = await doctor()
    failed = {name for name, check in found.items() if check["state"] == "failed"}
    assert (code, failed) == (69, {"source sqs", "sink bus"})
    assert all("its account" in found[name]["hint"] for name in failed)


async def test_an_unknown_profile_has_one_hint(cloud: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown AWS_PROFILE fails several checks with exit code 78, and one hint for all of them."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    ended = await in_thread(command, "doctor", "--config", "q.yaml")
    assert ended.code == 78
    [advice] = ended.out.partition("To do\n")[2].splitlines()
    assert advice.startswith("  Region, credentials, voice API, source sqs, sink bus: ")
    assert "AWS_PROFILE" in advice


def test_every_mistake_of_the_configuration_is_a_finding(command: Command, here: Path) -> None:
    """Each mistake of the configuration is a finding, with exit code 78, and no other check runs."""
    (here / "w.yaml").write_text(CONFIG + "pace: {rate: 0}\nlogs: {level: loud}\n", encoding="utf-8")
    ended = command("doctor", "--config", "w.yaml", "--json")
    shown = json.loads(ended.out)
    assert (ended.code, shown["ok"], [check["check"] for check in shown["checks"]]) == (78, False, ["configuration", "configuration"])
    assert shown["checks"][0]["seen"].startswith("w.yaml:4: pace.rate")


async def test_files_that_cannot_be_created_are_findings(cloud: Path, doctor: Doctor) -> None:
    """A store or a sink in a missing directory fails with exit code 78, and the checks of AWS still run."""
    change(cloud, ("w.db", "no/w.db"), ("out.jsonl", "no/out.jsonl"))
    code, found = await doctor()
    assert (code, {name for name, check in found.items() if check["state"] == "failed"}) == (78, {"configuration", "store", "sink log"})


async def test_a_file_that_is_no_store_is_a_finding(cloud: Path, doctor: Doctor) -> None:
    """The error of a store that cannot be read is a finding with the path."""
    (cloud.parent / "w.db").write_text("this is no database, " * 100, encoding="utf-8")
    code, found = await doctor()
    assert (code, found["store"]["state"]) == (69, "failed")
    assert "w.db: not a SQLite database" in found["store"]["seen"]


def findings(text: str) -> dict[str, Finding]:
    """Run the checks of a configuration in this process."""

    async def look() -> Sequence[Finding]:
        aws = AwsClients(call_deadline=1)
        try:
            return await run_checks(parse(text, "w.yaml", {}), builtin_catalog(), AdapterContext(aws, time.time))
        finally:
            await aws.close()

    return {finding.check: finding for finding in anyio.run(look)}


@pytest.mark.usefixtures("moto_url")
def test_a_running_watcher_is_reported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a running watcher, the store is read and its owner is reported; the API port may be in use, but it must answer."""
    monkeypatch.setattr(running_watcher, "READY_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"{CONFIG}api: {{listen: '127.0.0.1:{taken.getsockname()[1]}'}}\n"
        recorded()
        stopped = findings(text)
        assert stopped["store"].seen.endswith("no watcher runs on it")
        assert "running watcher" not in stopped
        assert (stopped["API port"].state, stopped["API port"].code) == ("failed", exit_codes.CONFIG)
        assert "choose another api.listen" in stopped["API port"].hint

        async def work(_: SqliteStore) -> None:
            found = await anyio.to_thread.run_sync(findings, text)
            assert found["store"].seen.endswith("schema 4, a watcher runs on it")
            assert (found["API port"].state, found["API port"].seen.endswith("a watcher runs")) == ("ok", True)
            silent = found["running watcher"]
            assert (silent.state, silent.code, "no answer of a watcher" in silent.seen) == ("failed", exit_codes.UNAVAILABLE, True)

        in_store(work)


@pytest.mark.usefixtures("moto_url", "here")
def test_a_database_without_a_store_is_ready_for_a_first_start(database: Database) -> None:
    """That there is no store yet is no mistake, because a start creates it; a user who may not create it is a finding."""

    def seen_by(user: str) -> Finding:
        dsn = database.server.dsn.replace("postgres:@", f"{user}@")
        store = f"store: {{type: postgres, dsn: '{dsn}', schema_name: {database.schema}}}\n"
        return findings(f"sources: [{{type: lines, path: t.txt}}]\nsinks: [{{type: jsonl, path: out.jsonl}}]\n{store}")["store"]

    found = seen_by("postgres")
    assert (found.state, "no store here yet" in found.seen) == ("ok", True)
    user = f"{database.schema}_reader"
    database.server.execute(f"CREATE ROLE {user} LOGIN")
    try:
        found = seen_by(user)
    finally:
        database.server.execute(f"DROP ROLE {user}")
    assert (found.state, "lacks a permission" in found.seen) == ("failed", True)


class SetHealth:
    """A watcher whose readiness the test sets."""

    components: Mapping[str, Condition] = {"store": Condition(True, "ok", 0.0)}

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return True, {}

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        return all(each.ok for each in self.components.values()), self.components


@pytest.mark.parametrize("listen", ["127.0.0.1:0", ":0", "localhost:0"])
async def test_the_running_watcher_says_whether_it_is_ready(monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    """If the running watcher is not ready, its components that do not work, their reasons, and their hints are the finding."""
    monkeypatch.setattr(running_watcher, "READY_S", HANG_S)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # which must not be used
    health = SetHealth()
    server = health_server(health, Metrics(builtin_catalog()), listen)
    await server.open()
    address = listen.replace(":0", f":{server.port}")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        ready = await run_check("running watcher", partial(check_ready, address))
        health.components = {"sink:log": Condition(True, "ok", 0.0), "store": Condition(False, "the disk is full", 0.0, "free space")}
        unready = await run_check("running watcher", partial(check_ready, address))
        tasks.cancel_scope.cancel()
    await server.close()
    assert (ready.state, ready.seen.endswith("/readyz: ready")) == ("ok", True)
    assert (unready.state, unready.code, unready.hint) == ("failed", exit_codes.UNAVAILABLE, "store: free space")
    assert unready.seen.endswith("not ready: store: the disk is full")


@pytest.mark.parametrize(
    ("tokens", "state", "seen"),
    [
        ("[]", "ok", "none: any program on this machine can use /v1"),
        ("[{name: ci, role: write, token_file: good}]", "ok", "ci (write)"),
        ("[{name: ci, token_file: missing}]", "failed", "token 'ci': cannot read missing"),
        ("[{name: ci, token_file: short}]", "failed", "token 'ci': short has fewer than 16 characters"),
        ("[{name: ci, token_file: two}]", "failed", "token 'ci': two must have only visible ASCII characters"),
    ],
)
@pytest.mark.usefixtures("here")
def test_the_tokens_of_the_api_are_read(tokens: str, state: str, seen: str) -> None:
    """A token file that cannot be used is a failure, before a start fails with it; the names of the others are shown."""
    Path("good").write_text("0123456789abcdef\n")
    Path("short").write_text("0123\n")
    Path("two").write_text("0123456789abcdef\n0123456789abcdef\n")
    settings = parse(f"{CONFIG}api: {{listen: '127.0.0.1:0', tokens: {tokens}}}\n", "w.yaml", {})
    found = anyio.run(run_check, "API tokens", partial(check_tokens, settings))
    assert (found.state, found.seen.startswith(seen)) == (state, True)


@pytest.mark.parametrize(
    ("listen", "seen"),
    [("localhost:0", "any program"), ("[::1]:0", "any program"), (":0", "/v1 replies 401"), ("0.0.0.0:0", "/v1 replies 401")],
)
def test_without_tokens_the_address_decides_who_can_use_the_api(listen: str, seen: str) -> None:
    """On a loopback address, every program on this machine may use it; on another one, no client may."""
    settings = parse(f"{CONFIG}api: {{listen: '{listen}'}}\n", "w.yaml", {})
    assert anyio.run(check_tokens, settings).startswith(f"none: {seen}")


@pytest.mark.usefixtures("moto_url", "here")
async def test_a_replica_on_this_machine_is_found_by_its_port() -> None:
    """Where no file names the owner, the watcher that answers at the API port is the running one, ready or not; its port is no mistake."""
    health = SetHealth()
    server = health_server(health, Metrics(builtin_catalog()))
    await server.open()
    text = f"{CONFIG.replace('{type: sqlite, path: w.db}', '{type: memory}')}api: {{listen: '127.0.0.1:{server.port}'}}\n"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        ready = await anyio.to_thread.run_sync(findings, text)
        health.components = {"store": Condition(False, "the server is gone", 0.0, "check the server")}
        unready = await anyio.to_thread.run_sync(findings, text)
        tasks.cancel_scope.cancel()
    await server.close()
    assert [found["API port"].state for found in (ready, unready)] == ["ok", "ok"]
    assert "needs its own port" in ready["API port"].seen
    assert [found["running watcher"].state for found in (ready, unready)] == ["ok", "failed"]


@pytest.mark.usefixtures("moto_url", "here")
async def test_a_sink_that_only_the_running_replicas_have_is_found(database: Database) -> None:
    """If running replicas deliver to a sink that the configuration lacks, the store is a finding, as it would be for the start."""
    store = database.store()
    await store.open(["crm"])
    await store.claim()
    settings = f"{{type: postgres, dsn: '{database.server.dsn}', schema_name: {database.schema}}}"
    text = f"sources: [{{type: lines, path: t.txt}}]\nsinks: [{{type: jsonl, path: out.jsonl}}]\nstore: {settings}\n"
    found = (await anyio.to_thread.run_sync(findings, text))["store"]
    await store.close()
    assert (found.state, "deliver to the sink crm" in found.seen) == ("failed", True)


@pytest.mark.usefixtures("moto_url")
@pytest.mark.parametrize("exists", [True, False])
def test_a_full_disk_fails_the_files_on_it(here: Path, monkeypatch: pytest.MonkeyPatch, exists: bool) -> None:
    """If the disk of the store and of a sink has no space, both fail with a hint about it; the source on it, which is read, does not."""
    if exists:
        recorded()
        (here / "out.jsonl").touch()
    before = {path.name for path in here.iterdir()}
    monkeypatch.setattr(local_checks, "MIN_FREE_BYTES", 1 << 62)
    found = findings(CONFIG)
    assert {name for name, each in found.items() if each.hint.startswith("free space on the disk")} == {"store", "sink log"}
    assert (found["store"].state, found["store"].code) == ("failed", exit_codes.UNAVAILABLE)
    assert "KiB are free" in found["store"].seen
    assert found["source lines"].state == "ok"
    assert {path.name for path in here.iterdir()} == before


@pytest.mark.usefixtures("moto_url")
def test_a_simulator_is_not_checked_with_sts(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If all services that are called are on this machine and STS is not, the credentials are not checked, and STS is not called."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # no call of this test leaves the machine
    found = findings(CONFIG)
    assert [found[name].state for name in ("credentials", "clock")] == ["skipped", "skipped"]
    with_bus = findings(CONFIG.replace("sinks: [", "sinks: [{type: eventbridge, name: bus}, "))
    assert (with_bus["credentials"].state, "STS at sts." in with_bus["credentials"].hint) == ("failed", True)


@pytest.mark.usefixtures("moto_url")
def test_an_unreachable_sts_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If STS does not answer, the finding and its hint name STS and its host."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = f"127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://{place}")
    found = findings(CONFIG)["credentials"]
    assert (found.state, found.code) == ("failed", exit_codes.UNAVAILABLE)
    assert found.seen.startswith(f"STS at {place}: EndpointConnectionError")
    assert found.hint.startswith(f"STS at {place}: check that it is running and reachable")


@pytest.mark.usefixtures("moto_url")
def test_a_named_pipe_is_not_opened(here: Path) -> None:
    """The check of a source that is a named pipe does not open it, because the writer at the other end would notice."""
    (here / "tasks.txt").unlink()
    os.mkfifo(here / "tasks.txt")
    found = findings(CONFIG)["source lines"]
    assert (found.state, found.seen) == ("ok", "tasks.txt: a named pipe, not opened")
    assert stat.S_ISFIFO((here / "tasks.txt").stat().st_mode)


@pytest.mark.looptime
async def test_no_check_takes_longer_than_ten_seconds(looptime: Any) -> None:
    """A check that does not end is a finding after ten seconds."""

    async def hang() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    found = await run_check("slow", hang)
    assert (found.state, found.code, looptime) == ("failed", exit_codes.UNAVAILABLE, 10)


@pytest.mark.parametrize(
    ("arn", "name"), [("sts::1:assumed-role/watcher/jane@example.com", "role watcher"), ("iam::1:user/bot", "user bot")]
)
async def test_the_identity_has_no_session_name(scripted_aws: ScriptedAws, arn: str, name: str) -> None:
    """The name of a role session, which may be the name of a person, is left out."""
    scripted_aws.answer_text(_identity(f"arn:aws:{arn}"), content_type="text/xml")
    aws = AwsClients()
    try:
        assert (await caller_identity(aws)).name == name
    finally:
        await aws.close()


@pytest.mark.parametrize(("ahead", "state", "seen"), [(0, "ok", "within"), (-119.5, "failed", "-1"), (1200, "failed", "+1")])
async def test_the_clock_is_compared_with_the_date_of_a_reply(scripted_aws: ScriptedAws, ahead: float, state: str, seen: str) -> None:
    """A clock that is a minute or more off fails, with the sign of the difference."""
    scripted_aws.answer_text(_identity("arn:aws:iam::1:user/bot"), content_type="text/xml")
    aws = AwsClients()
    try:
        _, clock = await check_identity(AdapterContext(aws, lambda: time.time() + ahead))
    finally:
        await aws.close()
    assert (clock.state, clock.seen[: len(seen)]) == (state, seen)


async def test_the_endpoint_needs_a_region(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Region, the endpoint has the Regions that offer the service; without one, CredentialsRejected is raised."""
    aws = AwsClients()
    try:
        place = await service_endpoint(aws, "chime-sdk-voice")
        assert (place.region, "us-west-2" in place.offered, place.host) == ("us-east-1", True, moto_url.removeprefix("http://"))
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        with pytest.raises(CredentialsRejected, match="NoRegionError"):
            await service_endpoint(AwsClients(), "chime-sdk-voice")
    finally:
        await aws.close()


def _identity(arn: str) -> str:
    result = f"<GetCallerIdentityResult><Arn>{arn}</Arn><Account>1</Account></GetCallerIdentityResult>"
    return f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>"
