"""Tasks of several accounts, Regions, and endpoints in one watcher."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.adapters.aws.sts import Sts
from tests.adapters.aws.wire import Wire, hang
from tests.e2e.scene import QUIET, RUN, configure, ends, events, message, service, tasks, until
from tests.moto_server import environment
from tests.process import WatcherProcess
from watcher.kinds.catalog import builtin_catalog
from watcher.model import TaskRef
from watcher.simulator import simulator

pytestmark = pytest.mark.process

ROLE = "arn:aws:iam::111122223333:role/watched"
EU: dict[str, Any] = {"name": "eu", "region": "eu-central-1", "role_arn": ROLE, "external_id": "x-42"}


def start_job(url: str, name: str, region: str, credentials: dict[str, Any]) -> None:
    """Start a transcription as the application of an account does. moto's server keeps those of each account and Region apart."""
    client = boto3.client("transcribe", region_name=region, endpoint_url=url, **credentials)
    client.start_transcription_job(TranscriptionJobName=name, LanguageCode="en-US", Media={"MediaFileUri": "s3://bucket/call.wav"})


def of_role(url: str) -> dict[str, Any]:
    """The credentials of the other account."""
    own = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    sts = boto3.client("sts", region_name="us-east-1", endpoint_url=url, **own)
    found = sts.assume_role(RoleArn=ROLE, RoleSessionName="application", ExternalId="x-42")["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }


async def test_tasks_of_two_accounts_are_delivered(moto_url: str, tmp_path: Path) -> None:
    """Each is found only in its own account and Region, and the events of the other one name its target."""
    start_job(moto_url, "own", "us-east-1", {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"})
    start_job(moto_url, "theirs", "eu-central-1", of_role(moto_url))
    lines = [
        {"kind": "transcription", "TranscriptionJobName": "own"},
        {"kind": "transcription", "TranscriptionJobName": "theirs", "target": "eu"},
    ]
    (tmp_path / "tasks.txt").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    configure(tmp_path, targets=[EU])
    watcher = WatcherProcess(tmp_path, environment(moto_url))
    assert await watcher.run(*RUN) == 0, watcher.text()
    assert ends(tmp_path / "events.jsonl") == {"transcription/own", "eu/transcription/theirs"}
    last = {event["subject"]: event["data"] for event in events(tmp_path / "events.jsonl") if event["data"]["terminal"]}
    assert {key: data["to"] for key, data in last.items()} == dict.fromkeys(last, "COMPLETED")


@pytest.fixture
async def sts() -> AsyncIterator[Sts]:
    async with Wire(hang).listening() as wire:
        wire.answer = made = Sts(wire)
        yield made


@pytest.mark.slow
async def test_a_refused_role_delays_no_other_target(tmp_path: Path, sts: Sts) -> None:
    """While the role of a target cannot be assumed, the tasks of the other one end; once it can, the rest does, without a restart."""
    sts.refuse = ("AccessDenied", 403)
    keys = {f"ASIA{n}": "s" for n in range(1, 9)}
    there = QUIET.model_copy(update={"credentials": keys, "session_tokens": dict.fromkeys(keys, "t")})
    own = tasks(3, "own")
    theirs = [TaskRef(ref.kind, ref.params, "eu") for ref in tasks(3, "theirs")]
    async with simulator(QUIET) as here, simulator(there) as elsewhere:
        lines = [message(ref) for ref in own] + [json.dumps({**json.loads(message(ref)), "target": "eu"}) for ref in theirs]
        (tmp_path / "tasks.txt").write_text("".join(f"{line}\n" for line in lines))
        configure(tmp_path, targets=[{**EU, "endpoint_url": elsewhere.url}])
        watcher = service(tmp_path, here, AWS_ENDPOINT_URL_STS=sts.wire.url)
        with watcher.running(*RUN):
            await until(lambda: ends(tmp_path / "events.jsonl") == {ref.key for ref in own} and sts.calls, watcher)
            sts.refuse = None
            assert await watcher.wait() == 0
    assert ends(tmp_path / "events.jsonl") == {ref.key for ref in (*own, *theirs)}
    assert "Traceback" not in watcher.text()
    assert (sts.calls[-1]["RoleArn"], sts.calls[-1]["ExternalId"]) == (ROLE, "x-42")
    assert not any(here.tasks.get(ref) for ref in tasks(3, "theirs"))
    assert not any(elsewhere.tasks.get(ref) for ref in own)


async def test_watch_follows_the_tasks_of_a_target(tmp_path: Path) -> None:
    """`watch --config` polls a task that is named by its target or by its ARN with the role of the target, and the others as before."""
    job = "arn:aws:batch:eu-central-1:111122223333:job/0f6c2b1e-6d0b-4d2c-9a45-0d7c5a7f1f10"
    theirs = TaskRef("speaker-search", tasks(1, "succeeded-theirs")[0].params, "eu")
    (own,) = tasks(1, "succeeded-own")
    async with simulator(QUIET, kinds=builtin_catalog) as here, simulator(QUIET, kinds=builtin_catalog) as elsewhere:
        configure(tmp_path, targets=[{**EU, "endpoint_url": elsewhere.url}])
        watcher = service(tmp_path, here)
        assert await watcher.run("watch", "--json", "--config", "watcher.yaml", own.key, theirs.key, job) in (0, 3), watcher.text()
        assert here.tasks.get(own) is not None
        assert elsewhere.tasks.get(tasks(1, "succeeded-theirs")[0]) is not None
        assert not any(here.tasks.get(ref) for ref in tasks(1, "succeeded-theirs"))
        assert not any(elsewhere.tasks.get(ref) for ref in tasks(1, "succeeded-own"))
    batch = f"eu/batch-job/{job.rpartition('/')[2]}"
    assert ends(watcher.out) == {own.key, theirs.key, batch}
