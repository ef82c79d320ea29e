"""The programs of Prometheus. Without them the tests of the alerts are skipped; with CI=true they fail, since nothing was tested."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of `promtool` or `prometheus`. Skips the test, or fails it with CI=true, where there is none."""
    path = shutil.which(name)
    if path is None:
        missing = f"{name} is not installed (Debian: apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return path
