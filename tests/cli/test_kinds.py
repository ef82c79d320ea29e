"""`watcher kinds`: what can be watched, and how a kind is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Command, recorded
from tests.cli.running_api import RunningApi
from tests.cli.test_narrow_terminal import shown
from tests.queries.recorded import RecordedTask
from watcher.config import parse
from watcher.kinds.catalog import builtin_catalog, builtin_texts
from watcher.yaml_text import read_yaml_text

EXPORTS = """kinds:
  - name: exports
    service: logs
    operation: describe_export_tasks
    params: {taskId: {}}
    task: exportTasks[0]
    status: status.code
    statuses: {PENDING: open, RUNNING: open, COMPLETED: succeeded, FAILED: failed, PENDING_CANCEL: open, CANCELLED: failed}
"""


@pytest.fixture
def own(here: Path) -> Path:
    """A configuration with a kind of its own, in `w.yaml`."""
    (here / "w.yaml").write_text(CONFIG + EXPORTS, encoding="utf-8")
    return here


def test_list_has_a_row_for_each_kind(command: Command, own: Path) -> None:
    """`kinds list` prints each shipped kind and, with a configuration, its own, which are marked."""
    head, *rows = command("kinds", "list").out.splitlines()
    assert head.split() == ["KIND", "SERVICE", "TASKS/CALL", "CALL"]
    assert [row.split()[0] for row in rows] == list(builtin_catalog().kinds)
    *_, last = command("kinds", "list", "--config", "w.yaml").out.splitlines()
    assert last.split() == ["exports", "(own)", "logs", "1", "describe_export_tasks"]


def test_list_prints_json(command: Command, own: Path) -> None:
    """`kinds list --json` has the parameters, the statuses with their classes, and whether a kind is of the configuration."""
    found = json.loads(command("kinds", "list", "w.yaml", "--json").out)
    assert [entry["kind"] for entry in found if entry["own"]] == ["exports"]
    assert found[-1]["statuses"]["COMPLETED"] == "succeeded"
    assert found[-1]["params"] == ["taskId"]


@pytest.mark.process
def test_list_fits_80_columns(here: Path) -> None:
    """On a terminal of 80 columns no row is wider."""
    assert max(shown("kinds", "list").widths()) <= 80


def test_show_prints_the_file_of_a_shipped_kind(command: Command) -> None:
    """`kinds show` prints a shipped kind as it is declared, with its comments."""
    found = command("kinds", "show", "speaker-search")
    assert (found.code, found.out) == (0, builtin_texts()["speaker-search.yaml"])


def test_show_prints_what_a_kind_of_the_configuration_sets(command: Command, own: Path) -> None:
    """`kinds show` prints a kind of the configuration as YAML that declares the same kind."""
    found = command("kinds", "show", "exports", "--config", "w.yaml")
    assert (found.code, read_yaml_text(found.out, "k.yaml")) == (0, read_yaml_text(EXPORTS, "w.yaml")["kinds"][0])


def test_show_names_a_similar_kind(command: Command) -> None:
    """For a kind that does not exist, the error names a similar one."""
    found = command("kinds", "show", "voice-ton")
    assert (found.code, found.out) == (64, "")
    assert "the kind voice-ton is unknown; did you mean voice-tone?" in found.err


def test_mistakes_in_the_kinds_of_a_configuration_are_reported(command: Command, own: Path) -> None:
    """A configuration whose kinds have mistakes exits with 78 and their lines; mistakes in other sections do not matter."""
    (own / "w.yaml").write_text(
        CONFIG + EXPORTS.replace("COMPLETED: succeeded", "COMPLETED: done") + "pace: {rate: -1}\n", encoding="utf-8"
    )
    found = command("kinds", "list", "w.yaml")
    assert (found.code, found.out) == (78, "")
    assert found.err.startswith("w.yaml:11: kinds[0].statuses.COMPLETED: unknown value")
    assert len(found.err.splitlines()) == 1


def test_from_waiter_prints_a_kind_to_paste(command: Command, here: Path) -> None:
    """What `kinds from-waiter` prints is an entry of `kinds` that `config check` accepts."""
    found = command("kinds", "from-waiter", "sagemaker", "TrainingJobCompletedOrStopped", "--name", "training")
    assert found.code == 0
    (here / "w.yaml").write_text(f"{CONFIG}kinds:\n{found.out}", encoding="utf-8")
    (form,) = parse((here / "w.yaml").read_text(), "w.yaml", {}).kinds
    assert (form.name, form.operation) == ("training", "describe_training_job")
    checked = command("config", "check", "w.yaml")
    assert (checked.code, checked.err) == (0, "")


def test_from_waiter_lists_the_waiters_of_a_service(command: Command) -> None:
    """Without the name of a waiter, `kinds from-waiter` prints those of the service, one a line."""
    found = command("kinds", "from-waiter", "rds")
    assert (found.code, found.err) == (0, "")
    assert {"DBSnapshotAvailable", "DBInstanceAvailable"} <= set(found.out.splitlines())


def test_config_check_refuses_the_placeholder_of_from_waiter(command: Command, here: Path) -> None:
    """`config check` names the line of the placeholder, and accepts the kind with a status in its place."""
    text = f"{CONFIG}kinds:\n{command('kinds', 'from-waiter', 'cloudfront', 'DistributionDeployed').out}"
    (here / "w.yaml").write_text(text, encoding="utf-8")
    line = text.splitlines().index(next(each for each in text.splitlines() if "FIRST_STATUS:" in each)) + 1
    refused = command("config", "check", "w.yaml")
    wanted = f"w.yaml:{line}: kinds[0].statuses.FIRST_STATUS: is a placeholder; replace it with the first status of such a task\n"
    assert (refused.code, refused.err) == (78, wanted)
    (here / "w.yaml").write_text(text.replace("FIRST_STATUS:", "InProgress:"), encoding="utf-8")
    assert command("config", "check", "w.yaml").code == 0


def test_config_check_counts_own_kinds_and_targets(command: Command, own: Path) -> None:
    """The line about a valid file has the number of its kinds and targets, if there are any."""
    with (own / "w.yaml").open("a") as file:
        file.write("targets: [{name: eu, region: eu-central-1}, {name: us, region: us-west-2}]\n")
    assert command("config", "check", "w.yaml").out.endswith(", 1 own kind, 2 targets\n")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("rdss", "DBSnapshotAvailable"), "botocore has no service rdss; did you mean rds?"),
        (("rds", "DBSnapshotAvailabel"), "rds has no waiter DBSnapshotAvailabel; did you mean DBSnapshotAvailable? use one of: DB"),
        (("batch", "JobComplete"), "botocore has no waiters for batch; write the kind by hand"),
        (("batch",), "botocore has no waiters for batch; write the kind by hand"),
        (("iam", "UserExists"), "iam UserExists cannot become a kind: it looks only at HTTP statuses and error codes"),
        (("rds", "DBSnapshotAvailable", "--name", "DB Snapshot"), "expected 1 to 63 lowercase letters"),
        (("rds", "DBSnapshotAvailable", "--name", "voice-tone"), "voice-tone is a kind that ships with the watcher"),
    ],
)  # fmt: skip
def test_from_waiter_says_what_is_wrong(command: Command, arguments: tuple[str, ...], error: str) -> None:
    """An unknown service or waiter, a waiter without a status, and a name that cannot be used are usage errors."""
    found = command("kinds", "from-waiter", *arguments)
    assert (found.code, found.out) == (64, "")
    assert error in " ".join(found.err.split())


def test_config_check_compares_kinds_with_their_apis(command: Command, own: Path) -> None:
    """`config check` and `doctor` report a status that the API does not have, with its line; the other commands do not."""
    (own / "w.yaml").write_text(CONFIG + EXPORTS.replace("COMPLETED", "COMPLETE"), encoding="utf-8")
    line = "w.yaml:11: kinds[0].statuses.COMPLETE: the API has no such status; did you mean COMPLETED?"
    checked = command("config", "check", "w.yaml")
    assert (checked.code, checked.err.splitlines()[0]) == (78, line)
    assert "kinds[0].statuses.COMPLETE" in command("doctor", "w.yaml").out
    assert command("kinds", "list", "w.yaml").code == 0


def test_a_server_knows_its_own_kinds(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--url`, the key of a task of such a kind is that task, and not the identifiers of a speaker search."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    api = RunningApi(kinds=read_yaml_text(EXPORTS, "w.yaml")["kinds"])
    with api.running():
        api.post([{"kind": "exports", "taskId": "e-1"}])
        found = command("explain", "exports/e-1", "--url", api.url, "--json")
        assert (found.code, json.loads(found.out)["key"]) == (0, "exports/e-1")
        assert "speaker-search/abc/e-1: this task is not in the store" in command("explain", "abc/e-1", "--url", api.url).err


def test_the_key_of_a_task_can_have_a_target(command: Command, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands on a store take a key with any target, and find the target of an ARN in the configuration."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    recorded(RecordedTask("t1"))
    assert command("explain", "eu/exports/e-1", "w.yaml").err.startswith("eu/exports/e-1: this task is not in the store")
    with (own / "w.yaml").open("a") as file:
        file.write("targets: [{name: eu, region: eu-central-1}]\n")
    arn = "arn:aws:batch:eu-central-1:111122223333:job/f4e9b8c0-1f6c-4a0e-9d40-0d7c5a7f1f10"
    assert command("explain", arn, "w.yaml").err.startswith("eu/batch-job/")


def test_commands_know_the_kinds_of_their_configuration(command: Command, own: Path) -> None:
    """`submit`, and the commands on a store, accept a task of such a kind."""
    message = '{"kind": "exports", "taskId": "e-1"}'
    assert command("submit", message, "--dry-run").code == 64
    sent = command("submit", message, "--config", "w.yaml", "--dry-run")
    assert (sent.code, sent.out) == (0, f"{message}\n")
    recorded(RecordedTask("t1"))
    assert command("explain", "exports/e-1", "w.yaml").err.startswith("exports/e-1: this task is not in the store")


def test_watch_knows_the_kinds_of_a_configuration(command: Command, own: Path) -> None:
    """`watch --config` takes the key of a task of such a kind, and checks its identifiers."""
    found = command("watch", "exports/a..b", "--config", "w.yaml")
    assert (found.code, "task_id does not have the required form" in " ".join(found.err.split())) == (64, True)
