"""A start compares the kinds of its configuration with their APIs."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import CONFIG, Command, in_process
from tests.cli.test_kinds import EXPORTS

WRONG = [
    ("service: logs", "service: logging"),
    ("operation: describe_export_tasks", "operation: describe_exports"),
    ("{taskId: {}}", "{taskid: {}}"),
    ("task: exportTasks[0]", "task: exports[0]"),
    ("status: status.code", "status: state.code"),
    ("status: status.code", "status: status.code\n    private: []\n    result: '{logs: @}'\n    types: {taskName: number}"),
]


@pytest.fixture
def start(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a configuration whose only source is empty, so that a start ends at once. No call is made."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return here / "w.yaml"


@pytest.mark.process
def test_run_warns_of_statuses_that_differ_and_starts(start: Path) -> None:
    """An update of the SDK may add a status, so a difference is one line of the log for each kind, and no reason to stop."""
    text = EXPORTS.replace("FAILED: failed, ", "").replace("COMPLETED", "COMPLETE")
    start.write_text(CONFIG + text, encoding="utf-8")
    ended = anyio.run(in_process, "run", "w.yaml")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.err.splitlines()]
    [line] = [line for line in lines if line["event"] == "kind_statuses_differ"]
    assert (line["level"], line["kind"]) == ("warning", "exports")
    added, missing = line["differences"]
    assert added == "w.yaml:11: kinds[0].statuses.COMPLETE: the API has no such status; did you mean COMPLETED?"
    assert missing.endswith("kinds[0].statuses: COMPLETED, FAILED are missing; classify every status of the API")


@pytest.mark.parametrize(("right", "wrong"), WRONG, ids=[wrong.partition(":")[0] + str(n) for n, (_, wrong) in enumerate(WRONG)])
def test_run_refuses_what_config_check_refuses(command: Command, start: Path, right: str, wrong: str) -> None:
    """A kind that cannot be polled ends the start with exit code 78 and the same lines, and `watch` too; no store is created."""
    start.write_text(CONFIG + EXPORTS.replace(right, wrong), encoding="utf-8")
    checked = command("config", "check", "w.yaml")
    mistakes = [line for line in checked.err.splitlines() if line.startswith("w.yaml:")]
    assert mistakes
    for arguments in (("run", "w.yaml"), ("watch", "exports/e-1", "--config", "w.yaml")):
        ended = command(*arguments)
        assert (checked.code, ended.code) == (78, 78)
        assert [line for line in ended.err.splitlines() if line.startswith("w.yaml:")] == mistakes
    assert not (start.parent / "w.db").exists()
