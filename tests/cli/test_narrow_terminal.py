"""The commands on a terminal of 80 columns: what is copied is whole, and sentences are broken between words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, recorded
from tests.process import PYTHON, completed
from tests.queries.recorded import RecordedTask, dead_letter
from tests.terminal import Seen, on_terminal
from watcher.cli.tables import wrapped

CONNECTOR, TASK = "abcdefghij0123456789a", "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"
KEY = f"speaker-search/{CONNECTOR}/{TASK}"
DETAIL = "expected an object with VoiceConnectorId and SpeakerSearchTaskId, and got a list of numbers without any of them at all"


def shown(*arguments: str, columns: int = 80) -> Seen:
    """What a command shows on a terminal."""
    dropped = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "WATCHER_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    return on_terminal([PYTHON, "-m", "watcher", *arguments], {**environment, "TERM": "xterm"}, columns)


@pytest.mark.process
@pytest.mark.parametrize("columns", [40, 80])
def test_the_key_of_a_task_is_whole(here: Path, columns: int) -> None:
    """Where a row is wider than the terminal, the key has a line of its own, and the other columns are below it."""
    recorded(RecordedTask(TASK, connector=CONNECTOR).seen("IN_PROGRESS", 5))
    lines = shown("tasks", "w.yaml", columns=columns).raw.decode().split("\r\n")
    assert KEY in lines
    assert lines[lines.index(KEY) + 1].split()[0] == "IN_PROGRESS"


@pytest.mark.process
def test_a_row_that_fits_is_one_line(here: Path) -> None:
    """On a terminal that is wide enough a task has one line."""
    recorded(RecordedTask(TASK, connector=CONNECTOR).seen("IN_PROGRESS", 5))
    seen = shown("tasks", "w.yaml", columns=140)
    assert any(KEY in line and "IN_PROGRESS" in line for line in seen.raw.decode().splitlines())


@pytest.mark.process
def test_the_detail_of_a_dead_letter_has_the_whole_width(here: Path) -> None:
    """The detail is below the other columns, broken between words only."""
    recorded(dead_letters=[dead_letter("1111aaaa1111aaaa", detail=DETAIL)])
    seen = shown("dead-letters", "list", "w.yaml")
    final = seen.final()
    assert max(seen.widths()) <= 80
    assert final[2].split()[:4] == ["1111aaaa1111aaaa", "input", "lines", "shape"]
    assert " ".join(" ".join(final[3:]).split()) == DETAIL
    assert len(final) <= 6


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [
        ("dead-letters", "show", "1111", "w.yaml"),
        ("explain", "abc/t1", "w.yaml"),
        ("explain", "abc/none", "w.yaml"),
        ("config", "check", "bad.yaml"),
        ("tasks",),
        ("doctor", "bad.yaml"),
    ],
    ids=" ".join,
)
def test_no_line_is_wider_than_the_terminal(here: Path, arguments: tuple[str, ...]) -> None:
    """Sentences, facts, mistakes and usage errors are broken between words on a terminal, and are whole lines in a pipe."""
    (here / "bad.yaml").write_text(CONFIG.replace("type: jsonl", "type: jsonl, flush_every_so_often_please: 10, partition: 3"))
    recorded(RecordedTask("t1").seen("IN_PROGRESS", 5), dead_letters=[dead_letter("1111aaaa1111aaaa", detail=DETAIL)])
    seen = shown(*arguments)
    assert max(seen.widths()) <= 80
    piped = completed([PYTHON, "-m", "watcher", *arguments], capture_output=True, text=True)
    lines = (piped.stdout + piped.stderr).splitlines()
    assert max(map(len, lines)) > 80


def test_a_word_is_never_broken() -> None:
    """A path or a command that is longer than the line stays whole, and a line keeps its indent."""
    path = "/a-b/" + "x" * 30
    assert wrapped(f"  see {path} for more", 20) == f"  see\n    {path}\n    for more"
    assert wrapped("as it is, " * 20, None) == "as it is, " * 20
