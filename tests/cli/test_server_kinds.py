"""Commands with `--url` read tasks by the kinds and the targets of the watcher."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.running_api import RunningApi
from tests.cli.scripted_replies import answering
from tests.cli.test_kinds import EXPORTS
from watcher.yaml_text import read_yaml_text

ROLE = "arn:aws:iam::111122223333:role/watched"
TARGETS = [
    {"name": "eu", "region": "eu-central-1", "role_arn": ROLE},
    {"name": "one", "region": "eu-west-1"},
    {"name": "two", "region": "eu-west-1"},
]
JOB = "arn:aws:batch:eu-central-1:111122223333:job/j-1"
OWN: list[dict[str, Any]] = read_yaml_text(EXPORTS, "w.yaml")["kinds"]


@pytest.fixture
def api(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningApi]:
    """A running watcher with a kind and targets of its configuration. The command has no configuration."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    api = RunningApi(kinds=OWN, targets=TARGETS)
    with api.running():
        (here / "w.yaml").unlink()
        yield api


def keys(command: Command, api: RunningApi) -> set[str]:
    return {task["key"] for task in json.loads(command("tasks", "--url", api.url, "--json").out)}


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("exports/e-1",), "exports/e-1"),
        (("eu/exports/e-1", "--context", '{"call": "c-1"}', "--deadline", "2h"), "eu/exports/e-1"),
        (("e-1", "--kind", "exports"), "exports/e-1"),
        (('{"kind": "exports", "taskId": "e-1", "target": "eu"}',), "eu/exports/e-1"),
        ((JOB,), "eu/batch-job/j-1"),
        (("abc/t-1", "--context", "1"), "speaker-search/abc/t-1"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_task_of_any_kind_and_target_is_submitted(command: Command, api: RunningApi, arguments: tuple[str, ...], key: str) -> None:
    """As a text or as JSON, with the options of `submit`, by a command that has no configuration."""
    ended = command("submit", *arguments, "--url", api.url)
    assert (ended.code, ended.out) == (0, f"Submitted 1 task to {api.url}, of which 1 is new.\n"), ended.err
    assert keys(command, api) == {key}
    if "--context" in arguments:
        assert json.loads(command("explain", key, "--url", api.url, "--json").out)["task"]["context"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("us/exports/e-1",), "the target is not configured; use one of default, eu, one, two"),
        ((JOB.replace("eu-central-1", "ap-south-1"),), "no target is in the Region of the task, ap-south-1; configured: default is in us-"),
        ((JOB.replace("eu-central-1", "eu-west-1"),), "several targets are in the account and Region of the task: one, two"),
        (('{"kind": "exporst", "taskId": "e-1"}',), "unknown kind; did you mean exports?"),
        (('{"taskId": "e-1"}',), "several kinds fit the identifiers: polly-synthesis, exports; add the kind to the message"),
        (("e-1", "--kind", "exporst"), "did you mean exports?"),
        (("exports/a..b",), "task_id does not have the required form"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_the_watcher_would_refuse_is_not_sent(command: Command, api: RunningApi, arguments: tuple[str, ...], words: str) -> None:
    """All messages are checked with the kinds and the targets of the watcher, and the error names what would be right."""
    valid = () if "--kind" in arguments else ("exports/e-2",)
    ended = command("submit", *valid, *arguments, "--url", api.url)
    assert (ended.code, words in " ".join(ended.err.split())) == (64, True), ended.err
    assert keys(command, api) == set()


def test_an_arn_names_a_task_of_a_target(command: Command, api: RunningApi) -> None:
    """`explain` and `events` find the target of an ARN, and take the key of a target that is not configured any more."""
    api.post([{"arn": JOB}])
    found = command("explain", JOB, "--url", api.url, "--json")
    assert (found.code, json.loads(found.out)["key"]) == (0, "eu/batch-job/j-1")
    assert command("events", JOB, "--url", api.url).code == 0
    assert command("explain", "us/exports/e-1", "--url", api.url).err.startswith("us/exports/e-1: this task is not in the store")


def test_the_kinds_of_a_watcher_are_listed(command: Command, api: RunningApi) -> None:
    """`kinds list --url` marks those of its configuration, and `--json` has their declarations."""
    *_, last = command("kinds", "list", "--url", api.url).out.splitlines()
    assert last.split() == ["exports", "(own)", "logs", "1", "describe_export_tasks"]
    (own,) = (kind for kind in json.loads(command("kinds", "list", "--url", api.url, "--json").out) if kind["own"])
    assert own["declaration"] == OWN[0]


def test_a_dry_run_needs_no_answer(command: Command, api: RunningApi) -> None:
    """`--dry-run --url` checks with the kinds of the watcher if it answers, and else says that it does not know them; nothing is sent."""
    shown = command("submit", "exports/e-1", "--dry-run", "--url", api.url)
    assert (shown.code, json.loads(shown.out)) == (0, {"kind": "exports", "task_id": "e-1"})
    assert keys(command, api) == set()
    alone = command("submit", "abc/t-1", "--dry-run", "--url", "http://127.0.0.1:1")
    assert (alone.code, "with the kinds that ship with the watcher only: http://127.0.0.1:1: ECONNREFUSED" in alone.err) == (0, True)


def test_a_kind_that_cannot_be_read_is_left_out(command: Command) -> None:
    """A declaration of a later version, or of a kind that ships with this one, is a warning; all other kinds are known."""
    later = {"kind": "later", "own": True, "declaration": {**OWN[0], "name": "later", "a_new_key": 1}}
    shipped = {"kind": "batch-job", "own": True, "declaration": {**OWN[0], "name": "batch-job"}}
    known = {"kind": "exports", "own": True, "declaration": OWN[0]}
    document = {"kinds": [later, shipped, known], "targets": [{"name": "default", "region": None, "account": None}]}
    with answering(200, json.dumps(document).encode(), content_type="application/json") as replies:
        ended = command("submit", "exports/e-1", "batch-job/j-1", "--dry-run", "--url", replies.url)
    assert (ended.code, len(ended.out.splitlines())) == (0, 2)
    assert [line.rpartition("kind ")[2] for line in ended.err.splitlines() if line.startswith("Warning")] == [
        "later of the server",
        "batch-job of the server",
    ]


@pytest.mark.parametrize("document", [{}, {"kinds": 1, "targets": []}, {"kinds": [], "targets": [1]}], ids=str)
def test_a_reply_of_another_shape_is_an_error(command: Command, document: dict[str, Any]) -> None:
    """Not a traceback: something else than a watcher answered."""
    with answering(200, json.dumps(document).encode(), content_type="application/json") as replies:
        ended = command("submit", "abc/t-1", "--url", replies.url)
    assert (ended.code, "unknown shape" in ended.err) == (69, True), ended
