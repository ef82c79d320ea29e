from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.cli.conftest import SimulatedTask, recorded
from tests.process import PYTHON, completed
from watcher.cli.tables import counted, duration, printable


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.00 s"),
        (9.5, "9.50 s"),
        (59.9, "59.9 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (7500.9, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_said_in_two_units(seconds: float, said: str) -> None:
    """As a person would: never more digits than matter."""
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü\nnext", "plain ü\nnext"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("\ud800\x7f\t", "\\ud800\\x7f\\t"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    """Nothing that came from outside moves the cursor, hides text or turns it round."""
    assert printable(text) == shown


def test_one_is_singular() -> None:
    """`1 task`, but `0 tasks` and `2 tasks`."""
    assert [counted(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]


@pytest.mark.process
@pytest.mark.usefixtures("command")
def test_a_terminal_gets_colour_and_never_markup() -> None:
    """A status in square brackets stays what it is, and escapes of its own do not reach the terminal."""
    recorded(SimulatedTask("t1").seen("[red]ODD\x1b[2J", 5))
    ours, theirs = pty.openpty()
    try:
        script = [PYTHON, "-m", "watcher", "tasks", "--config", "w.yaml"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        completed(script, stdout=theirs, stderr=subprocess.DEVNULL, env=environment, check=True)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "\x1b[1mTASK" in shown
    assert "[red]ODD\\x1b[2J" in shown
