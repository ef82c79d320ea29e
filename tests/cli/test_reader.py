from __future__ import annotations

import os
import subprocess

import pytest

from tests.process import PYTHON, completed


@pytest.mark.process
def test_a_reader_who_left_is_not_taken_for_ctrl_c() -> None:
    """`watcher --help | head` ends quietly and with 74: nobody interrupted it."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = completed([PYTHON, "-m", "watcher", "--help"], stdout=writes, stderr=subprocess.PIPE)
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (74, b"")
