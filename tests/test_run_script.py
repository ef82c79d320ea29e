"""`config/deploy/run.sh` and the README start a container that can call AWS, also off AWS. A stub named docker records its arguments."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks
from tests.process import PYTHON, completed

pytestmark = pytest.mark.process

SCRIPT = ROOT / "config" / "deploy" / "run.sh"
DOCKER = f"""#!{PYTHON}
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + chr(10))
if "variables" in sys.argv:
    if os.environ.get("IMAGE_FAILS"):
        sys.exit(78)
    mounts = dict(reversed(each.removesuffix(":ro").split(":")) for each in sys.argv if each.endswith(":ro"))
    os.execv(sys.executable, [sys.executable, "-m", "watcher", "config", "variables", mounts[sys.argv[-1]]])
"""
"""A container engine that starts nothing; `config variables` in a container is answered by the watcher of this checkout."""

CONFIG = """
# ${COMMENTED} is no reference, and neither is the next value
sources: [{type: sqs, queue_url: "${TEAM_QUEUE}", name: "$${ESCAPED}"}]
sinks:
  - {type: webhook, url: "https://example.com/${HOOK_PATH:-hook}", secrets: ["${HOOK_SECRET}"]}
  - {type: jsonl, path: "${HOME}/${UNSET:-events}.jsonl"}
"""


@dataclass(frozen=True)
class Container:
    """The container that was started last."""

    arguments: list[str]
    errors: str

    def options(self, name: str) -> list[str]:
        """The values of an option, by its long name."""
        return [value for option, value in pairwise(self.arguments) if option == f"--{name}"]

    @property
    def passed(self) -> set[str]:
        """The variables that are passed by name, so that their values are in no list of processes."""
        return {each for each in self.options("env") if "=" not in each}

    @property
    def set(self) -> dict[str, str]:
        """The variables that are set to a value."""
        return dict(each.split("=", 1) for each in self.options("env") if "=" in each)

    @property
    def mounts(self) -> dict[str, str]:
        """What is mounted read-only, by its place in the container."""
        read_only = [each.removesuffix(":ro") for each in self.options("volume") if each.endswith(":ro")]
        return {place: source for source, place in (each.split(":") for each in read_only)}


def start(directory: Path, *arguments: str, code: int = 0, **environ: str) -> Container:
    """Run the script with nothing but these variables, in a home directory of its own."""
    (directory / "bin").mkdir(exist_ok=True)
    (directory / "bin" / "docker").write_text(DOCKER)
    (directory / "bin" / "docker").chmod(0o755)
    calls = directory / "calls"
    calls.unlink(missing_ok=True)
    plain = {"PATH": f"{directory / 'bin'}:{os.environ['PATH']}", "HOME": str(directory), "CALLS": str(calls)}
    done = completed(["/bin/sh", SCRIPT, *arguments], cwd=directory, env={**plain, **environ}, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    recorded = calls.read_text().splitlines() if calls.exists() else ["[]"]
    return Container(json.loads(recorded[-1]), done.stderr)


KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_SESSION_TOKEN": "canary-token"}


def test_keys_and_region_are_passed_by_name(tmp_path: Path) -> None:
    """The variables of AWS, OpenTelemetry, and the watcher reach the container, none of them by value; what is not set is not passed."""
    given = {**KEYS, "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL_SQS": "http://10.0.0.1:9324", "WATCHER_QUEUE_URL": "https://sqs/1/q"}
    given |= {
        "WATCHER_PACE__RATE": "5",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "10.0.0.0/8",
    }
    container = start(tmp_path, **given)
    assert container.passed == set(given)
    assert "canary" not in " ".join(container.arguments)
    assert container.errors == ""
    assert container.options("user") == []
    assert container.arguments[-4:] == ["speaker-search-watcher", "run", "--config", "/etc/watcher/watcher.yaml"]


@pytest.mark.parametrize(
    ("given", "passed", "said"),
    [
        ({"AWS_DEFAULT_REGION": "ap-southeast-2"}, {"AWS_DEFAULT_REGION"}, False),
        ({"AWS_REGION": "us-west-2"}, {"AWS_REGION"}, False),
        ({}, {"AWS_REGION"}, True),
    ],
)
def test_a_region_is_never_replaced(tmp_path: Path, given: dict[str, str], passed: set[str], said: bool) -> None:
    """The Region is the one that is set, under either name; only without any it is us-east-1, and the script says so."""
    container = start(tmp_path, **given)
    assert container.passed == passed
    assert ("us-east-1" in container.errors) == said


def test_a_profile_is_mounted_read_only(tmp_path: Path) -> None:
    """With AWS_PROFILE, the container reads ~/.aws as the user who may, and takes the Region from the profile; without it, it has none."""
    (tmp_path / ".aws").mkdir()
    container = start(tmp_path, AWS_PROFILE="team-eu")
    assert container.mounts == {"/var/lib/watcher/.aws": str(tmp_path / ".aws")}
    assert container.passed == {"AWS_PROFILE"}
    assert container.set == {"HOME": "/var/lib/watcher"}
    assert container.options("user") == [f"{os.getuid()}:10001"]
    assert start(tmp_path, AWS_PROFILE="team-eu", RUN_AS="0:10001").options("user") == ["0:10001"]
    assert start(tmp_path, AWS_REGION="eu-west-1").mounts == {}


def test_files_that_variables_name_are_mounted(tmp_path: Path) -> None:
    """Each file of credentials or certificates is mounted read-only where its variable says; certificates need no other user."""
    files = {
        "AWS_CONFIG_FILE": "conf",
        "AWS_SHARED_CREDENTIALS_FILE": "cred",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "token",
        "AWS_CA_BUNDLE": "ca.pem",
    }
    for file in files.values():
        (tmp_path / file).write_text("")
    container = start(tmp_path, **files, AWS_REGION="eu-west-1")
    places = {name: str(tmp_path / file) for name, file in files.items()}
    assert container.mounts == {place: place for place in places.values()}
    assert container.set == {**places, "HOME": "/var/lib/watcher"}
    assert container.passed == {"AWS_REGION"}
    assert start(tmp_path, AWS_REGION="eu-west-1", SSL_CERT_FILE="ca.pem").options("user") == []


def test_the_variables_of_the_configuration_are_passed(tmp_path: Path) -> None:
    """Each set variable that the configuration refers to is passed by name, wherever it stands; HOME stays that of the container."""
    (tmp_path / "own.yaml").write_text(CONFIG)
    given = {"TEAM_QUEUE": "https://sqs/1/q", "HOOK_PATH": "a", "HOOK_SECRET": "canary", "COMMENTED": "x", "ESCAPED": "x", "OTHER": "x"}
    container = start(tmp_path, "--version", CONFIG="own.yaml", AWS_REGION="eu-west-1", **given)
    assert container.passed == {"TEAM_QUEUE", "HOOK_PATH", "HOOK_SECRET", "AWS_REGION"}
    assert container.mounts == {"/etc/watcher/watcher.yaml": str(tmp_path / "own.yaml")}
    assert container.arguments[-1] == "--version"
    assert "canary" not in " ".join(container.arguments)


def test_a_configuration_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    """When the image cannot read the configuration, the script ends with the exit code of the image."""
    (tmp_path / "own.yaml").write_text("sources: [")
    assert "variables" in start(tmp_path, code=78, CONFIG="own.yaml", IMAGE_FAILS="1").arguments


def test_the_command_of_the_readme_passes_region_credentials_and_references(tmp_path: Path) -> None:
    """The README's `docker run` passes the Region and the keys by name, publishes the port, and mounts the configuration read-only."""
    (run,) = [block for block in blocks(ROOT / "README.md", "console") if "docker run" in block]
    command = re.sub(r"^\$ ", "", run, flags=re.MULTILINE)
    (tmp_path / "watcher.yaml").write_text("")
    start(tmp_path)  # writes the stub
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), "PWD": str(tmp_path)}
    done = completed(["/bin/sh", "-euc", command], cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arguments = json.loads((tmp_path / "calls").read_text().splitlines()[-1])
    assert arguments[0] == "run"
    passed = {value for option, value in pairwise(arguments) if option == "-e"}
    assert passed >= {"AWS_REGION", *KEYS}
    assert f"{tmp_path}/watcher.yaml:/etc/watcher/watcher.yaml:ro" in arguments
    assert "127.0.0.1:8080:8080" in arguments
