"""What `watcher doctor` finds out about targets and kinds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from tests.adapters.aws.conftest import aws_env, wire  # noqa: F401  the fixtures
from tests.adapters.aws.sts import Sts
from tests.adapters.aws.wire import Answer, Request, Wire, fault, hang, reply
from tests.cli.conftest import CONFIG, Command, in_process
from tests.process import HANG_S
from watcher.adapters.aws.missing_task import missing_task
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.cli import check_result, exit_codes
from watcher.cli.check_result import Finding, run_check
from watcher.cli.checks import run_checks
from watcher.cli.target_checks import PolledTargets
from watcher.config import catalog_of, parse
from watcher.kinds.catalog import builtin_catalog
from watcher.registry import AdapterContext

pytestmark = pytest.mark.process

ROLE = "arn:aws:iam::111122223333:role/watched"
EU = f"{{name: eu, region: eu-central-1, role_arn: '{ROLE}', external_id: x-42}}"
NEAR = "{name: near, region: eu-west-1}"
OWN_KIND = """kinds:
  - name: my-build
    service: codebuild
    operation: batch_get_builds
    params: {ids: {list: true}}
    task: builds[0]
    id: id
    status: buildStatus
    statuses: {IN_PROGRESS: open, SUCCEEDED: succeeded}
"""
MISSING = reply(200, {"jobs": [], "builds": []})


@pytest.fixture
async def sts(aws_env: pytest.MonkeyPatch, wire: Wire) -> AsyncIterator[Sts]:  # noqa: F811  the fixtures
    """STS and the polled services, each at an endpoint of its own."""
    async with Wire(hang).listening() as peer:
        peer.answer = made = Sts(peer)
        variables = {"AWS_ACCESS_KEY_ID": "AKIDOWN", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": wire.url}
        for name, value in {**variables, "AWS_ENDPOINT_URL_STS": peer.url}.items():
            aws_env.setenv(name, value)
        wire.answer = MISSING
        yield made


async def findings(
    *targets: str, kinds: Sequence[str] = ("batch-job",), more: str = "", call_deadline: float = check_result.CALL_S
) -> dict[str, Finding]:
    settings = parse(f"{CONFIG}targets: [{', '.join(targets)}]\n{more}", "w.yaml", {})
    aws = AwsClients(call_deadline=call_deadline)
    try:
        found = await run_checks(settings, catalog_of(settings), AdapterContext(aws, time.time), kinds)
    finally:
        await aws.close()
    return {each.check: each for each in found}


async def test_each_target_and_each_kind_in_use_is_checked(sts: Sts, here: Path) -> None:
    """With the credentials of the target. The names of the findings have the target and the kind."""
    found = await findings(EU, NEAR, more=OWN_KIND)
    aws_checks = {name: each for name, each in found.items() if name.startswith(("Region", "credentials", "kind", "target"))}
    assert list(aws_checks) == [
        "Region",
        "credentials",
        "kind batch-job",
        "kind my-build",
        "target eu: Region",
        "target eu: credentials",
        "target eu: kind batch-job",
        "target eu: kind my-build",
        "target near: Region",
        "target near: credentials",
        "target near: kind batch-job",
        "target near: kind my-build",
    ]
    assert {name: each.seen for name, each in aws_checks.items() if each.state != "ok"} == {}
    assert found["credentials"].seen == "account 444455556666, role own"
    assert found["target eu: credentials"].seen == "account 111122223333, role watched"
    assert found["target near: credentials"].seen == "account 444455556666, role own"
    assert found["target eu: Region"].seen.startswith("eu-central-1, calls to 127.0.0.1:")
    assert found["target eu: kind batch-job"].seen == "describe_jobs is permitted"


async def test_own_kinds_take_the_place_of_the_default_one(sts: Sts, here: Path) -> None:
    """A configuration with kinds of its own is not checked for speaker searches; a reply that its kind does not fit has a hint."""
    found = await findings(kinds=(), more=OWN_KIND.replace("task: builds[0]", "task: buildsNotFound[0]").replace("id: id", "id: false"))
    assert [name for name in found if name.startswith(("kind", "voice"))] == ["kind my-build"]
    assert (found["kind my-build"].state, "the kind my-build says" in found["kind my-build"].hint) == ("failed", True)


async def test_a_call_that_no_made_up_id_fits_says_what_would_help(sts: Sts, here: Path) -> None:
    """The SDK refuses to send an id that is too short; an example in the form of a real one makes the check possible."""
    kind = """kinds:
  - name: certificate
    service: acm
    operation: describe_certificate
    params: {CertificateArn: {pattern: 'arn:.{20,}|short'EXAMPLE}}
    task: Certificate
    id: CertificateArn
    status: Status
    statuses: {PENDING_VALIDATION: open, ISSUED: succeeded}
"""
    without = (await findings(kinds=(), more=kind.replace("EXAMPLE", ", example: short")))["kind certificate"]
    assert (without.state, "random CertificateArn; set its example" in without.seen) == ("skipped", True)
    arn = "arn:aws:acm:us-east-1:111122223333:certificate/12345678-1234-1234-1234-123456789012"
    given = (await findings(kinds=(), more=kind.replace("EXAMPLE", f", example: '{arn}'")))["kind certificate"]
    assert given.state != "skipped"


async def test_a_role_that_cannot_be_assumed_is_named_with_its_target(sts: Sts, here: Path) -> None:
    """The hint names what must be right on both sides; the other target passes its checks."""
    sts.refuse = ("AccessDenied", 403)
    found = await findings(EU, NEAR)
    failed = {name: each for name, each in found.items() if each.state == "failed"}
    assert list(failed) == ["target eu: credentials", "target eu: kind batch-job"]
    assert all("external id" in each.hint and "sts:AssumeRole" in each.hint for each in failed.values())
    assert {each.code for each in failed.values()} == {exit_codes.CONFIG}
    assert all(each.seen.endswith(f"sts:AssumeRole of {ROLE} for the target eu") for each in failed.values())
    assert "x-42" not in repr(found)


async def test_the_only_output_about_such_a_role_is_the_table(sts: Sts, here: Path) -> None:
    """The SDK writes a traceback about each failure to fetch credentials; the command does not."""
    sts.refuse = ("AccessDenied", 403)
    (here / "w.yaml").write_text(f"{CONFIG}targets: [{EU}]\n", encoding="utf-8")
    ended = await in_process("doctor", "w.yaml", "--kind", "batch-job")
    assert (ended.code, ended.err) == (exit_codes.CONFIG, "")
    assert ended.out.count(f"sts:AssumeRole of {ROLE} for the target eu") == len(sts.calls) == 2


async def test_no_check_waits_for_the_role_of_another_target(sts: Sts, wire: Wire, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """STS does not answer about one role until all checks of the other targets are made: all of these pass."""
    monkeypatch.setattr(check_result, "CHECK_S", HANG_S)
    kinds = ("batch-job", "ecs-task", "sagemaker-training", "transcription", "codebuild-build")
    slow, answered = EU.replace("name: eu", "name: slow").replace("role/watched", "role/slow"), wire.answer
    sts.held_roles[ROLE.replace("watched", "slow")] = released = asyncio.Event()

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await answered(request, writer)
        if len(wire.requests) >= 3 * len(kinds):  # those of the watcher's own account and of the two other targets
            released.set()

    wire.answer = answer
    found = await findings(EU, NEAR, slow, kinds=kinds, call_deadline=HANG_S)
    assert released.is_set()
    assert {name: each.seen for name, each in found.items() if "credentials" in name and each.state != "ok"} == {}
    assert len(wire.requests) == 4 * len(kinds)


async def test_the_time_to_load_the_sdk_is_not_that_of_a_check(sts: Sts, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it may take longer than a check may. So the clock of the event loop goes on by that with each service here."""
    loop, load, ahead_s = asyncio.get_running_loop(), Loader.load_service_model, 0.0
    now = loop.time

    loaded: set[str] = set()

    def load_slowly(loader: Loader, service: str, *more: Any, **options: Any) -> Any:
        nonlocal ahead_s
        if service not in loaded:
            loaded.add(service)
            ahead_s += 2 * HANG_S
        return load(loader, service, *more, **options)

    monkeypatch.setattr(check_result, "CHECK_S", HANG_S)
    monkeypatch.setattr(Loader, "load_service_model", load_slowly)
    monkeypatch.setattr(loop, "time", lambda: now() + ahead_s)
    found = await findings(EU, NEAR, kinds=("batch-job", "codebuild-build"), call_deadline=HANG_S)
    assert loaded == {"sts", "batch", "codebuild"}
    assert {name: each.seen for name, each in found.items() if each.state == "failed"} == {}


async def test_credentials_of_another_account_are_found(sts: Sts, here: Path) -> None:
    """An endpoint of STS that is not the one of AWS may hand out any credentials."""
    sts.account = "999999999999"
    found = await findings(EU)
    assert found["target eu: credentials"].state == "failed"
    assert "999999999999" in found["target eu: credentials"].seen
    assert "111122223333" in found["target eu: credentials"].hint


async def test_a_region_without_the_service_is_the_targets(sts: Sts, here: Path) -> None:
    """The hint is about the configuration of the target, not about the environment of the process."""
    found = await findings("{name: far, region: xx-nowhere-1}")
    assert (found["Region"].state, found["target far: Region"].state) == ("ok", "failed")
    assert "region of this target" in found["target far: Region"].hint


ANSWERS: list[tuple[Answer, str, str]] = [
    (fault("ClientException", 400), "ok", "rejects an id that cannot exist (ClientException)"),
    (fault("AccessDeniedException", 403), "failed", "AccessDeniedException"),
    (fault("UnknownOperationException", 400), "failed", "UnknownOperationException"),
    (reply(200, {}), "failed", "no_tasks"),
    (MISSING, "ok", "describe_jobs is permitted"),
]


async def test_the_answer_about_a_task_that_cannot_exist(sts: Sts, wire: Wire) -> None:  # noqa: F811
    """A service that rejects the id has answered, which is as much as a check can find out; a denial and an odd reply fail."""
    catalog = builtin_catalog()
    aws = AwsClients(call_deadline=8, catalog=catalog)
    polled = PolledTargets(AwsProbe(aws, catalog, call_deadline=8, clock=time.time), catalog, {"default": aws})
    for answer, state, seen in ANSWERS:
        wire.answer = answer
        finding = await run_check("x", polled.check(catalog["batch-job"]))
        assert (finding.state, seen in finding.seen) == (state, True), finding
    await aws.close()


def test_a_kind_that_is_not_known_is_a_usage_error(command: Command) -> None:
    """The message lists the kinds that are known, those of the configuration included."""
    Path("k.yaml").write_text(CONFIG + OWN_KIND, encoding="utf-8")
    ended = command("doctor", "--config", "k.yaml", "--kind", "batch-jobs")
    assert ended.code == exit_codes.USAGE
    assert "'batch-jobs'" in ended.err
    assert "batch-job," in ended.err
    assert "my-build" in ended.err


def test_a_task_that_cannot_exist_has_ids_of_the_right_form() -> None:
    """For each shipped kind they fit its patterns, differ each time, and an ARN names the account and the Region that are checked."""
    for kind in builtin_catalog():
        first, second = (missing_task(kind, "eu", "eu-central-1", "444455556666") for _ in range(2))
        assert all(param.pattern.fullmatch(value) for param, value in zip(kind.params, first.params, strict=True)), first
        assert first != second
        arns = [value for value in first.params if value.startswith("arn:")]
        assert all(arn.split(":")[3:5] == ["eu-central-1", "444455556666"] for arn in arns)
