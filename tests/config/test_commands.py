from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from watcher.cli.config import app

GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "w.yaml"


def test_check_says_that_all_is_well(file: Path) -> None:
    """One line on stdout, exit 0."""
    file.write_text(GOOD, encoding="utf-8")
    found = CliRunner().invoke(app, ["check", str(file)])
    assert (found.exit_code, found.stdout, found.stderr) == (0, f"{file}: good; 1 source, store sqlite, 1 sink\n", "")


def test_check_tells_every_mistake_and_exits_78(file: Path) -> None:
    """One line for each mistake on stderr, nothing on stdout."""
    file.write_text(GOOD + "pace: {rate: 0}\nlogs: {level: loud}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["check", str(file)])
    assert (found.exit_code, found.stdout) == (78, "")
    assert [line.split(": ")[1] for line in found.stderr.splitlines()] == ["pace.rate", "logs.level"]


def test_check_reads_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It judges what `run` would run with."""
    file.write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("WATCHER_PACE__RTE", "5")
    found = CliRunner().invoke(app, ["check", str(file)])
    assert (found.exit_code, found.stderr) == (
        78,
        "environment: WATCHER_PACE__RTE: there is no key pace.rte; did you mean WATCHER_PACE__RATE?\n",
    )


def test_check_looks_at_paths(file: Path) -> None:
    """A sink in a missing directory is found before the run."""
    file.write_text("sources: [{type: lines}]\nsinks: [{type: jsonl, path: no/e.jsonl}]\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["check", str(file)])
    assert (found.exit_code, found.stderr) == (78, f"{file}:2: sinks[0].path: there is no directory no; make it first\n")


def test_show_prints_what_is_in_effect(file: Path) -> None:
    """YAML again, with the origin of each value."""
    file.write_text(GOOD + "pace: {rate: 5}\n", encoding="utf-8")
    found = CliRunner().invoke(app, ["show", "--config", str(file)])
    assert found.exit_code == 0
    assert yaml.safe_load(found.stdout)["pace"] == {"rate": 5, "burst": 1}
    assert f"# {file}:3" in found.stdout


def test_show_without_a_file_prints_the_defaults(file: Path) -> None:
    """To look up what holds where a file says nothing."""
    found = CliRunner().invoke(app, ["show"])
    assert found.exit_code == 0
    assert yaml.safe_load(found.stdout)["store"] == {"type": "sqlite", "path": "watcher.db"}


def test_show_refuses_a_bad_file(file: Path) -> None:
    """With the same lines as check, exit 78."""
    found = CliRunner().invoke(app, ["show", "--config", str(file)])
    assert (found.exit_code, found.stdout) == (78, "")
    assert found.stderr.startswith(f"{file}:1: file: does not exist")


def test_schema_prints_json() -> None:
    """JSON Schema, to be sent into a file."""
    found = CliRunner().invoke(app, ["schema"])
    assert found.exit_code == 0
    assert json.loads(found.stdout)["$schema"].startswith("https://json-schema.org/")
