"""Reads a CloudFormation template as it is after its creation, as far as the tests need it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.pages import ROOT

TEMPLATES = ROOT / "config" / "deploy" / "cloudformation"
PSEUDO = {"AWS::Region": "us-east-1", "AWS::AccountId": "111122223333", "AWS::Partition": "aws", "AWS::StackName": "watcher"}
ARNS = {
    "AWS::SQS::Queue": ("sqs", "", "QueueName"),
    "AWS::Events::Rule": ("events", "rule/", "Name"),
    "AWS::Events::EventBus": ("events", "event-bus/", "Name"),
}


class _Function:
    """An intrinsic function that is not yet resolved."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value


def _construct(loader: Any, suffix: str, node: Any) -> _Function:
    construct = {"scalar": loader.construct_scalar, "sequence": lambda each: loader.construct_sequence(each, deep=True)}
    return _Function(suffix, construct[node.id](node))


class Template:
    """A template with the defaults of its parameters, or with other values."""

    def __init__(self, name: str, **parameters: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        yaml.constructor.add_multi_constructor("!", _construct)
        self.path: Path = TEMPLATES / name
        self._template = yaml.load(self.path.read_text())
        defaults = {key: each["Default"] for key, each in self._template["Parameters"].items() if "Default" in each}
        self.parameters: Mapping[str, str] = {**defaults, **parameters}

    def of_type(self, type_: str) -> dict[str, dict[str, Any]]:
        """Return the properties of the resources of a type, by their logical names."""
        resources = self._template["Resources"].items()
        return {name: self.resolved(each.get("Properties", {})) for name, each in resources if each["Type"] == type_}

    def properties(self, name: str) -> dict[str, Any]:
        """Return the properties of one resource."""
        found: dict[str, Any] = self.resolved(self._template["Resources"][name]["Properties"])
        return found

    @property
    def required(self) -> set[str]:
        """The names of the parameters without a default."""
        return {name for name, each in self._template["Parameters"].items() if "Default" not in each}

    @property
    def optional(self) -> set[str]:
        """The names of the parameters with a default."""
        return set(self._template["Parameters"]) - self.required

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs, by their names."""
        found: dict[str, Any] = self.resolved({name: each["Value"] for name, each in self._template["Outputs"].items()})
        return found

    def resolved(self, value: Any) -> Any:
        """Return a value with its intrinsic functions replaced. A condition chooses its first branch."""
        if isinstance(value, dict):
            return {key: self.resolved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        return self._call(value) if isinstance(value, _Function) else value

    def _call(self, function: _Function) -> Any:
        value = function.value
        if function.name == "Ref":
            return self._named(value)
        if function.name == "Sub":
            return re.sub(r"\$\{([\w:]+)\}", lambda match: str(self._named(match[1])), value)
        if function.name == "GetAtt":
            return self._attribute(*value.split("."))
        if function.name == "If":
            return self.resolved(value[1])
        assert function.name == "FindInMap", function.name
        name, *keys = (self.resolved(each) for each in value)
        found = self._template["Mappings"][name]
        for key in keys:
            found = found[key]
        return found

    def _named(self, name: str) -> Any:
        """The value of a parameter, or the name of a resource for another one."""
        return {**PSEUDO, **self.parameters}.get(name, f"<{name}>")

    def _attribute(self, name: str, attribute: str) -> str:
        resource = self._template["Resources"][name]
        if attribute == "Arn" and resource["Type"] in ARNS:
            service, prefix, key = ARNS[resource["Type"]]
            return f"arn:aws:{service}:us-east-1:111122223333:{prefix}{self.resolved(resource['Properties'][key])}"
        return f"<{name}.{attribute}>"
