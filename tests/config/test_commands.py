from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from watcher.cli import app
from watcher.core.delivery.event_schema import event_schema
from watcher.core.intake.message_schema import message_schema
from watcher.kinds.catalog import builtin_catalog

GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"
KIND = """
kinds:
  - name: exports
    service: logs
    operation: describe_export_tasks
    params: {taskId: {}}
    task: exportTasks[0]
    status: status.code
    statuses: {PENDING: open, RUNNING: open, COMPLETED: succeeded, FAILED: failed, PENDING_CANCEL: open, CANCELLED: failed}
"""
load_yaml = YAML(typ="safe", pure=True).load


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "w.yaml"


def test_check_reports_a_valid_file(file: Path) -> None:
    """`config check` prints one line on stdout for a valid file and exits 0."""
    file.write_text(GOOD, encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, found.stdout, found.stderr) == (0, f"{file}: valid; 1 source, store sqlite, 1 sink\n", "")


def test_check_reports_every_mistake_and_exits_78(file: Path) -> None:
    """`config check` prints one line for each mistake on stderr, nothing on stdout, and exits 78."""
    file.write_text(GOOD + "pace: {rate: 0}\nlogs: {level: loud}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, found.stdout) == (78, "")
    assert [line.split(": ")[1] for line in found.stderr.splitlines()] == ["pace.rate", "logs.level"]


def test_check_reads_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config check` applies the variables that `run` would apply."""
    file.write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("WATCHER_PACE__RTE", "5")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, found.stderr) == (
        78,
        "environment: WATCHER_PACE__RTE: unknown key pace.rte; did you mean WATCHER_PACE__RATE?\n",
    )


def test_check_checks_paths(file: Path) -> None:
    """`config check` reports a sink in a directory that does not exist."""
    file.write_text("sources: [{type: lines}]\nsinks: [{type: jsonl, path: no/e.jsonl}]\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, found.stderr) == (78, f"{file}:2: sinks[0].path: directory no does not exist; create it\n")


ELSEWHERE = """sources:
  - {type: sqs, name: near, queue_url: "https://sqs.ap-southeast-2.amazonaws.com/111122223333/near"}
  - {type: sqs, name: far, queue_url: "https://sqs.eu-central-1.amazonaws.com/111122223333/far"}
sinks:
  - {type: sqs, queue_url: "http://localhost:4566/000000000000/local"}
  - {type: sns, topic_arn: "arn:aws:sns:eu-west-3:111122223333:far"}
  - {type: eventbridge, bus: "arn:aws:events:sa-east-1:111122223333:event-bus/far"}
  - {type: eventbridge, name: default}
"""


def test_check_compares_regions(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config check` notes each queue, topic and bus in another Region than AWS_REGION, with its line, and exits 0."""
    file.write_text(ELSEWHERE, encoding="utf-8")
    monkeypatch.setenv("AWS_REGION", "ap-southeast-2")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert found.exit_code == 0
    assert [line.partition(", and")[0] for line in found.stderr.splitlines()] == [
        f"{file}:3: sources[1].queue_url: is in eu-central-1",
        f"{file}:6: sinks[1].topic_arn: is in eu-west-3",
        f"{file}:7: sinks[2].bus: is in sa-east-1",
    ]
    assert all("configured Region is ap-southeast-2" in line for line in found.stderr.splitlines())


def test_check_compares_regions_with_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configured Region, `config check` says so beside each Region that a queue names."""
    file.write_text(ELSEWHERE, encoding="utf-8")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, found.stderr.count("set AWS_REGION")) == (0, 4)


def test_show_prints_what_is_in_effect(file: Path) -> None:
    """`config show` prints the settings as YAML with the origin of each value."""
    file.write_text(GOOD + "pace: {rate: 5}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "show", "--config", str(file)])
    assert found.exit_code == 0
    assert load_yaml(found.stdout)["pace"] == {"rate": 5, "burst": 1}
    assert f"# {file}:3" in found.stdout


def test_show_without_a_file_prints_the_defaults(file: Path) -> None:
    """`config show` without a file prints the defaults."""
    found = CliRunner().invoke(app, ["config", "show"])
    assert found.exit_code == 0
    assert load_yaml(found.stdout)["store"] == {"type": "sqlite", "path": "watcher.db"}


def test_show_reports_an_invalid_file(file: Path) -> None:
    """`config show` prints the lines of `config check` for an invalid file and exits 78."""
    found = CliRunner().invoke(app, ["config", "show", "--config", str(file)])
    assert (found.exit_code, found.stdout) == (78, "")
    assert found.stderr.startswith(f"{file}:1: file: does not exist")


def test_variables_prints_the_names_that_the_file_refers_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`config variables` prints each name once, sorted, set or not; no name of a comment, of `$${`, or of an overridden key is one."""
    text = "# ${COMMENT}\nsources: [{type: lines, path: '${DIR}/${ZED:-in}.txt'}]\nsinks: [{type: jsonl, path: '$${NOT}/${DIR}'}]\n"
    file.write_text(text + 'pace: {rate: "${RATE}"}\n', encoding="utf-8")
    monkeypatch.setenv("RATE", "fast")
    found = CliRunner().invoke(app, ["config", "variables", str(file)])
    assert (found.exit_code, found.stdout, found.stderr) == (0, "DIR\nRATE\nZED\n", "")


def test_variables_reports_a_file_that_is_no_yaml(file: Path) -> None:
    """`config variables` prints what is wrong with the text of the file, with its line, and exits 78."""
    file.write_text(GOOD + "pace: {rate: [}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "variables", str(file)])
    assert (found.exit_code, found.stdout) == (78, "")
    assert found.stderr.startswith(f"{file}:3: ")


def test_schema_prints_json() -> None:
    """`config schema` prints a JSON Schema on stdout."""
    found = CliRunner().invoke(app, ["config", "schema"])
    assert found.exit_code == 0
    assert json.loads(found.stdout)["$schema"].startswith("https://json-schema.org/")


def test_schema_prints_the_schema_of_messages() -> None:
    """`config schema --messages` prints the JSON Schema of the messages that name tasks."""
    found = CliRunner().invoke(app, ["config", "schema", "--messages"])
    assert found.exit_code == 0
    assert json.loads(found.stdout) == message_schema(builtin_catalog())


def test_schema_prints_the_schema_of_events() -> None:
    """`config schema --events` prints the JSON Schema of the events; with `--messages` too, the command is wrong."""
    found = CliRunner().invoke(app, ["config", "schema", "--events"])
    assert found.exit_code == 0
    assert json.loads(found.stdout) == event_schema(builtin_catalog())
    both = CliRunner().invoke(app, ["config", "schema", "--events", "--messages"])
    assert (both.exit_code, "exclude each other" in both.stderr) == (2, True)


def test_schemas_include_the_kinds_of_the_configuration(file: Path) -> None:
    """`config schema --messages` and `--events` with a configuration describe its kinds too."""
    file.write_text(GOOD + KIND, encoding="utf-8")
    for option in ("--messages", "--events"):
        without = CliRunner().invoke(app, ["config", "schema", option]).stdout
        found = CliRunner().invoke(app, ["config", "schema", option, "--config", str(file)])
        assert (found.exit_code, "exports" in found.stdout, "exports" in without) == (0, True, False)


@pytest.mark.parametrize(("events", "notes"), [("{results: hashed}", 1), ("{results: hashed, hash_key: 0123456789abcdef}", 0), ("{}", 0)])
def test_check_notes_digests_without_a_key(file: Path, events: str, notes: int) -> None:
    """`config check` notes that digests without a key can be tested, with its line, and exits 0."""
    file.write_text(f"{GOOD}events: {events}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["config", "check", str(file)])
    assert (found.exit_code, len(found.stderr.splitlines())) == (0, notes)
    assert not notes or found.stderr.startswith(f"{file}:3: events.results: is hashed without events.hash_key: ")
