from __future__ import annotations

import os
import subprocess

import pytest

from tests.process import PYTHON, completed


@pytest.mark.process
def test_a_closed_stdout_exits_with_74() -> None:
    """When the reader of stdout is gone, as in `watcher --help | true`, the command exits with 74 and prints nothing."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = completed([PYTHON, "-m", "watcher", "--help"], stdout=writes, stderr=subprocess.PIPE)
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (74, b"")
