"""docs/reliability.md: every test that it names exists."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from tests.pages import ROOT

NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", (ROOT / "docs" / "reliability.md").read_text())))


@pytest.mark.parametrize("named", NAMED)
def test_each_test_that_is_named_exists(named: str) -> None:
    """The page names a test by its file and its function."""
    file, _, test = named.partition("::")
    module = import_module(file.removesuffix(".py").replace("/", "."))
    assert callable(getattr(module, test, None))


def test_the_page_names_tests() -> None:
    """The expression that finds the names finds them."""
    assert len(NAMED) > 50
