from __future__ import annotations

import subprocess
import sys

import pytest

from watcher.registry import SINKS, SOURCES, STORES


@pytest.mark.parametrize("table", [SOURCES, STORES, SINKS])
def test_a_type_is_the_word_its_settings_take(table: dict[str, object]) -> None:
    """The word of the table is the default of `type`, so that settings made in code say what they are."""
    for word, entry in table.items():
        assert entry.settings.model_fields["type"].default == word  # type: ignore[attr-defined]


def test_the_registry_does_not_load_the_aws_sdk() -> None:
    """Commands that ask AWS nothing do not wait for it."""
    code = "import sys, watcher.registry; print(sorted({'aioboto3', 'botocore', 'boto3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
