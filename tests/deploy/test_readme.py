"""The commands of `config/deploy/README.md` name files, services, parameters, and Secrets that exist."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from tests.deploy.cloudformation import Template
from tests.deploy.kustomize import APPLICABLE, compose, pod_templates
from tests.pages import ROOT, blocks

README = ROOT / "config" / "deploy" / "README.md"
COMMANDS = [re.sub(r"\\\n\s*", " ", block) for block in blocks(README, "console")]
LINES = [line.removeprefix("$ ") for block in COMMANDS for line in block.splitlines()]


def test_each_way_needs_five_commands_at_most() -> None:
    """A block of commands can be followed without a break."""
    assert all(len(block.splitlines()) <= 5 for block in COMMANDS)


def test_files_of_commands_exist() -> None:
    """Each file or directory of this repository that a command names exists, except the password, which a command creates."""
    named = {path for line in LINES for path in re.findall(r"\bconfig/deploy/[\w./-]+", line)} - {"config/deploy/postgres-password"}
    assert len(named) >= 8
    assert all((ROOT / path).exists() for path in named)
    assert {path.rpartition("/")[2] for path in named if path.startswith("config/deploy/kubernetes/") and "base" not in path} == set(
        APPLICABLE
    )


def test_compose_knows_the_services_and_the_profile() -> None:
    """Each service that is started by name exists, and so does each profile."""
    services = YAML(typ="safe", pure=True).load((README.parent / "compose.yaml").read_text())["services"]
    started = [name for line in LINES for name in re.findall(r"docker compose .* up --build ([\w ]+)", line)]
    assert {name for names in started for name in names.split()} == {"trial", "grafana"} <= set(services)
    profiles = {profile for line in LINES for profile in re.findall(r"--profile (\S+)", line)}
    assert profiles == {"monitoring"} <= {profile for service in services.values() for profile in service.get("profiles", ())}


@pytest.mark.parametrize("name", ["feed.yaml", "ecs.yaml"])
def test_the_parameters_of_stacks_are_complete(name: str) -> None:
    """Each command that creates a stack gives all required parameters, and no unknown ones."""
    template = Template(name)
    (command,) = [line for line in LINES if f"--template-file config/deploy/cloudformation/{name}" in line]
    given = set(re.findall(r"(\w+)=", command.partition("--parameter-overrides ")[2].partition("?")[0]))
    assert template.required <= given <= template.required | template.optional


def test_secrets_have_the_keys_that_the_pods_read() -> None:
    """The commands create each Secret that the pods mount, with the files that the settings name."""
    made = dict(re.findall(r"create secret generic (\S+) ([^`\n]*)", re.sub(r"\\\n\s*", " ", README.read_text())))
    mounted = {
        volume["secret"]["secretName"]
        for name in ("sqlite", "postgres")
        for template in pod_templates(compose(ROOT / "config" / "deploy" / "kubernetes" / name))
        for volume in template["spec"]["volumes"]
        if "secret" in volume
    }
    assert set(made) == mounted
    assert re.findall(r"--from-file=(\S+)", made["watcher-postgres"]) == ["password", "ca.pem"]
