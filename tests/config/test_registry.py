from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Mapping

import pytest

from watcher.registry import SINKS, SOURCES, STORES, AdapterType

GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"


def loaded_modules(code: str) -> set[str]:
    """Return the modules of the watcher and the AWS SDK that this code imports in a new process."""
    code += "\nimport sys; print(*(name for name in sys.modules if name.split('.')[0] in ('watcher', 'aioboto3', 'botocore', 'boto3')))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def adapters(modules: set[str]) -> set[str]:
    """Return the modules of sources, stores and sinks, without their packages."""
    parts = [name.split(".") for name in modules if name.startswith("watcher.adapters.")]
    return {".".join(part[2:4]) for part in parts if len(part) > 3 and part[2] in ("sources", "stores", "sinks")}


@pytest.mark.parametrize("table", [SOURCES, STORES, SINKS])
def test_a_type_is_the_default_of_its_settings(table: Mapping[str, AdapterType]) -> None:
    """The word of the table is the default of `type`, so that settings made in code name their type."""
    for word, adapter in table.items():
        assert adapter.settings.model_fields["type"].default == word


@pytest.mark.parametrize("table", [SOURCES, STORES, SINKS])
def test_a_line_names_what_the_constructor_takes(table: Mapping[str, AdapterType]) -> None:
    """Each line of the registry names the required parameters of its adapter's constructor, all but the settings."""
    for adapter in table.values():
        parameters = inspect.signature(adapter.adapter).parameters.values()
        required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
        assert required == ["settings", *adapter.takes]


def test_importing_the_configuration_imports_no_adapter() -> None:
    """Neither `watcher.config` nor the registry imports a source, a store, a sink or the AWS SDK."""
    modules = loaded_modules("import watcher.config, watcher.registry")
    assert adapters(modules) == set()
    assert not {"aioboto3", "botocore", "boto3"} & modules


def test_a_configuration_imports_its_own_adapters_only() -> None:
    """Parsing a configuration imports the adapters whose `type` it names, and the default store."""
    modules = loaded_modules(f"from watcher.config import parse; parse({GOOD!r}, 'w.yaml', {{}})")
    assert adapters(modules) == {"sources.lines", "stores.sqlite", "sinks.jsonl"}


@pytest.mark.parametrize("path", ["watcher.adapters.sinks.no_such:NoSuchSink", "watcher.adapters.sinks.jsonl:NoSuchSink"])
def test_a_line_that_names_no_class_is_reported_with_the_line(path: str) -> None:
    """The error names the registry, the line, and the class that is missing."""
    with pytest.raises(ImportError, match=f'watcher/registry.py: "{path}": NoSuchSinkSettings cannot be imported'):
        _ = AdapterType(path).settings
