from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.cli.conftest import Command, recorded
from tests.process import PYTHON, completed
from tests.queries.recorded import RecordedTask
from watcher.cli.tables import counted, duration, printable


@pytest.mark.parametrize(
    ("seconds", "text"),
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
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    """A duration is printed with its two largest units."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü\nnext", "plain ü\nnext"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
        ("\ud800\x7f\t", "\\ud800\\x7f\\t"),
    ],
)
def test_characters_that_do_not_print_are_escaped(text: str, shown: str) -> None:
    """Text from outside cannot move the cursor, hide text, or reverse it."""
    assert printable(text) == shown


def test_only_one_is_singular() -> None:
    """A noun is singular after 1 only."""
    assert [counted(n, "task") for n in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert [counted(n, "search", "searches") for n in (1, 2)] == ["1 search", "2 searches"]


@pytest.mark.process
@pytest.mark.usefixtures("command")
def test_a_terminal_shows_styles_but_no_markup() -> None:
    """On a terminal, headings have a style; markup and control characters in a status are printed as text."""
    recorded(RecordedTask("t1").seen("[red]ODD\x1b[2J", 5))
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


def test_a_row_is_one_line_in_a_pipe(command: Command) -> None:
    """Elsewhere than on a terminal, a row of a table is whole, however long it is, so that grep and awk see all of it."""
    recorded(RecordedTask("t" * 200).seen("IN_PROGRESS", 5))
    _, row = command("tasks", "--config", "w.yaml").out.splitlines()
    assert row.split()[:2] == [f"speaker-search/abc/{'t' * 200}", "IN_PROGRESS"]
