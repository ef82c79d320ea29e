from __future__ import annotations

import json
import os
import socket
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.conftest import CONFIG, Command, in_store, in_thread, recorded
from tests.moto_server import plain_client
from tests.process import HANG_S
from tests.scripted_aws import ScriptedAws
from watcher.adapters.aws.identity import caller_identity, service_endpoint
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.cli import checks, exit_codes
from watcher.cli.checks import bounded
from watcher.config import parse
from watcher.errors import CredentialsRejected
from watcher.registry import AdapterContext
from watcher.simulator import Scenario, simulator

pytestmark = pytest.mark.process


@pytest.fixture
def cloud(moto_url: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue and a bus at moto's server, named by `q.yaml`, and the simulator's credentials."""
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
    """Put the second of each pair in the place of the first."""
    text = file.read_text(encoding="utf-8")
    for old, new in pairs:
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


Examine = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
def examined(command: Command, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """Exit code, and each check by its name, as `watcher doctor` reports them beside a simulated voice service."""
    monkeypatch.setattr(checks, "PATIENCE_S", HANG_S)
    monkeypatch.setattr(sys.modules["watcher.cli.doctor"], "CALL_S", HANG_S)

    async def examine(scenario: Scenario | None = None) -> tuple[int, dict[str, Any]]:
        async with simulator(scenario or Scenario(known_only=True)) as sim:
            monkeypatch.setenv("AWS_ENDPOINT_URL_CHIME_SDK_VOICE", sim.url)
            ended = await in_thread(command, "doctor", "--config", "q.yaml", "--json")
        report = json.loads(ended.out)
        assert report["ok"] == (ended.code == 0)
        return ended.code, {check["check"]: check for check in report["checks"]}

    return examine


async def test_all_is_well(cloud: Path, examined: Examine) -> None:
    """Every check passes or has nothing to look at, exit 0, and nothing was made: no store, no file."""
    code, found = await examined()
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
    assert found["voice API"]["seen"] == "get_speaker_search_task is permitted"
    assert {path.name for path in cloud.parent.iterdir()} == {"q.yaml", "w.yaml", "tasks.txt"}


@pytest.mark.parametrize(
    ("scenario", "seen", "hint", "code"),
    [
        (Scenario(quota=0), "ThrottledClientException", 'raise "Speaker search API rate', 69),
        (Scenario(faults={"403": 1.0}), "AccessDeniedException", "a permission is missing", 69),
        (Scenario(faults={"503": 1.0}), "ServiceUnavailable", "within reach", 69),
        (Scenario(faults={"html": 1.0}), "no_task", "something other than the service answered", 69),
        (Scenario(credentials={"other": "other"}), "UnrecognizedClientException", "not accepted", 78),
    ],
)
async def test_the_voice_api_is_judged_by_one_probe(
    cloud: Path, examined: Examine, scenario: Scenario, seen: str, hint: str, code: int
) -> None:
    """Throttled names the quota, denied the permission, and the rest is well all the same."""
    ended, found = await examined(scenario)
    assert (ended, found["voice API"]["state"]) == (code, "failed")
    assert seen in found["voice API"]["seen"]
    assert hint in found["voice API"]["hint"]
    assert [name for name, check in found.items() if check["state"] == "failed"] == ["voice API"]


async def test_a_region_without_the_service_is_a_mistake(cloud: Path, examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 78; the hint lists the Regions that have it."""
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    code, found = await examined()
    assert (code, found["Region"]["state"]) == (78, "failed")
    assert "eu-north-1" in found["Region"]["seen"]
    assert "us-east-1" in found["Region"]["hint"]


@pytest.mark.parametrize("region", ["mars-north-1", None])
async def test_no_region_or_none_that_exists(cloud: Path, examined: Examine, monkeypatch: pytest.MonkeyPatch, region: str | None) -> None:
    """Every check about AWS that needs it fails with a hint; nothing ends in a traceback."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
        if region is not None:
            monkeypatch.setenv(name, region)
    code, found = await examined()
    assert (code, found["Region"]["state"]) == (78, "failed")
    assert "AWS_REGION" in found["Region"]["hint"]


async def test_a_missing_queue_and_a_missing_bus_are_told_apart(cloud: Path, examined: Examine) -> None:
    """Exit 69, each under its own name; the others are looked at all the same."""
    change(cloud, ("/tasks'", "/gone'"), ("name: bus}", "name: bus, bus: gone}"))
    code, found = await examined()
    failed = {name for name, check in found.items() if check["state"] == "failed"}
    assert (code, failed) == (69, {"source sqs", "sink bus"})
    assert all("its account" in found[name]["hint"] for name in failed)


async def test_a_profile_that_is_not_there(cloud: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 78 and one hint for all the checks that it stops."""
    monkeypatch.setenv("AWS_PROFILE", "nope")
    ended = await in_thread(command, "doctor", "--config", "q.yaml")
    assert ended.code == 78
    [advice] = ended.out.partition("To do\n")[2].splitlines()
    assert advice.startswith("  Region, credentials, voice API, source sqs, sink bus: ")
    assert "AWS_PROFILE" in advice


def test_every_mistake_of_the_configuration_is_a_finding(command: Command, here: Path) -> None:
    """Exit 78 with the lines that config check gives, and nothing else is looked at."""
    (here / "w.yaml").write_text(CONFIG + "pace: {rate: 0}\nlogs: {level: loud}\n", encoding="utf-8")
    ended = command("doctor", "--config", "w.yaml", "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["ok"], [check["check"] for check in told["checks"]]) == (78, False, ["configuration", "configuration"])
    assert told["checks"][0]["seen"].startswith("w.yaml:4: pace.rate")


async def test_files_that_cannot_be_made(cloud: Path, examined: Examine) -> None:
    """A store or a sink in a missing directory is a mistake; AWS is looked at all the same."""
    change(cloud, ("w.db", "no/w.db"), ("out.jsonl", "no/out.jsonl"))
    code, found = await examined()
    assert (code, {name for name, check in found.items() if check["state"] == "failed"}) == (78, {"configuration", "store", "sink log"})


async def test_a_file_that_is_no_store(cloud: Path, examined: Examine) -> None:
    """The store's own words, with the path."""
    (cloud.parent / "w.db").write_text("this is no database, " * 100, encoding="utf-8")
    code, found = await examined()
    assert (code, found["store"]["state"]) == (69, "failed")
    assert "w.db: not a SQLite database" in found["store"]["seen"]


def findings(text: str) -> dict[str, checks.Finding]:
    """The checks about a configuration, without AWS."""

    async def look() -> Sequence[checks.Finding]:
        aws = AwsClients(call_deadline=1)
        try:
            return await checks.everything(parse(text, "w.yaml", {}), AdapterContext(aws, time.time))
        finally:
            await aws.close()

    return {finding.check: finding for finding in anyio.run(look)}


@pytest.mark.usefixtures("moto_url")
def test_a_running_watcher_is_seen(here: Path) -> None:
    """Its store is attached to beside it, and a port in use is then as it should be."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"{CONFIG}api: {{listen: '127.0.0.1:{taken.getsockname()[1]}'}}\n"
        recorded()
        alone = findings(text)
        assert alone["store"].seen.endswith("no watcher runs on it")
        assert (alone["API port"].state, alone["API port"].code) == ("failed", exit_codes.CONFIG)
        assert "choose another api.listen" in alone["API port"].hint

        async def work(_: SqliteStore) -> None:
            found = await anyio.to_thread.run_sync(findings, text)
            assert found["store"].seen.endswith("schema 1, a watcher runs on it")
            assert (found["API port"].state, found["API port"].seen.endswith("a watcher runs")) == ("ok", True)

        in_store(work)


@pytest.mark.usefixtures("moto_url")
def test_a_named_pipe_is_left_alone(here: Path) -> None:
    """Opening it would wake whoever waits at its other end."""
    (here / "tasks.txt").unlink()
    os.mkfifo(here / "tasks.txt")
    found = findings(CONFIG)["source lines"]
    assert (found.state, found.seen) == ("ok", "tasks.txt: a named pipe, left alone")
    assert stat.S_ISFIFO((here / "tasks.txt").stat().st_mode)


@pytest.mark.looptime
async def test_no_check_takes_longer_than_ten_seconds(looptime: Any) -> None:
    """One that hangs is a finding, and the others do not wait for it."""

    async def hang() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    found = await bounded("slow", hang)
    assert (found.state, found.code, looptime) == ("failed", exit_codes.UNAVAILABLE, 10)


@pytest.mark.parametrize(
    ("arn", "name"), [("sts::1:assumed-role/watcher/jane@example.com", "role watcher"), ("iam::1:user/bot", "user bot")]
)
async def test_the_caller_is_told_without_the_session(scripted_aws: ScriptedAws, arn: str, name: str) -> None:
    """A session may be named after a person: the role is enough."""
    scripted_aws.answer_text(_identity(f"arn:aws:{arn}"), content_type="text/xml")
    aws = AwsClients()
    try:
        assert (await caller_identity(aws)).name == name
    finally:
        await aws.close()


@pytest.mark.parametrize(("ahead", "state", "seen"), [(0, "ok", "within"), (-119.5, "failed", "-1"), (1200, "failed", "+1")])
async def test_the_clock_is_held_against_the_date_of_a_reply(scripted_aws: ScriptedAws, ahead: float, state: str, seen: str) -> None:
    """A minute or more off is a mistake of this machine."""
    scripted_aws.answer_text(_identity("arn:aws:iam::1:user/bot"), content_type="text/xml")
    aws = AwsClients()
    try:
        _, clock = await checks.identity(AdapterContext(aws, lambda: time.time() + ahead))
    finally:
        await aws.close()
    assert (clock.state, clock.seen[: len(seen)]) == (state, seen)


async def test_where_calls_go_needs_a_region(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one, its partition's Regions that offer the service; without, a named error."""
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
