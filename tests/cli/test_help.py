from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Command
from watcher.cli import app
from watcher.cli.command_table import COMMANDS
from watcher.cli.completion import INSTALLATIONS
from watcher.cli.simulate import FAULT_NAMES
from watcher.cli.submit import DEFAULT_KIND
from watcher.kinds.catalog import builtin_catalog
from watcher.simulator.faults import FAULTS


def paths(group: click.Group = app, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that name each command and each group of commands."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from paths(command, (*path, name))
        else:
            yield (*path, name)


def help_of(path: tuple[str, ...]) -> str:
    """The help of a command on a terminal of 80 columns."""
    return CliRunner().invoke(app, [*path, "--help"], prog_name="watcher", terminal_width=80).output


@pytest.mark.parametrize("path", list(paths()), ids=" ".join)
def test_help_fits_80_columns(path: tuple[str, ...]) -> None:
    """No line of any help is longer than 80 characters, and none shows a Python type."""
    text = help_of(path)
    assert text.startswith("Usage: watcher")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert not re.search(r"<\w+>|INTEGER|FLOAT|BOOLEAN", text)


@pytest.mark.parametrize("path", [(), ("config",), ("dead-letters",), ("kinds",)], ids=" ".join)
@pytest.mark.parametrize("width", [50, 78])
def test_no_summary_is_cut(path: tuple[str, ...], width: int) -> None:
    """The help of a group has the whole summary of each command, also on a narrow terminal."""
    text = CliRunner().invoke(app, [*path, "--help"], prog_name="watcher", terminal_width=width).output
    commands = text.partition("\nCommands:\n")[2]
    assert commands
    assert [line for line in commands.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("path", list(paths()), ids=" ".join)
def test_h_is_short_for_help(path: tuple[str, ...]) -> None:
    """-h prints the help of each command, and of the command line as a whole."""
    short = CliRunner().invoke(app, [*path, "-h"], prog_name="watcher", terminal_width=80)
    assert (short.exit_code, short.output) == (0, help_of(path))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_a_command_is_the_first_line_of_its_help(name: str) -> None:
    """The table of commands repeats the first line of each command's help, and it fits one line of the top-level help."""
    summary = COMMANDS[name].summary
    assert (app.commands[name].help or "").splitlines()[0] == summary
    assert f"  {name.ljust(max(map(len, COMMANDS)))}  {summary}" in help_of(()).splitlines()


def test_the_top_level_help_says_what_is_guaranteed() -> None:
    """The top-level help claims delivery at least once, in order per task, with stable ids, and nothing more."""
    text = " ".join(help_of(()).split())
    assert "at least once, in order per task, with stable ids" in text
    assert not re.search(r"exactly once|\bonce and\b", text)


def test_texts_that_the_help_repeats_are_current() -> None:
    """The default kind and the names of faults in the help, which are repeated so that it imports little, are those of the code."""
    assert builtin_catalog().default.name == DEFAULT_KIND
    assert FAULT_NAMES.split(", ") == list(FAULTS)


@pytest.mark.parametrize("arguments", [("sing",), ("tasks", "--nope"), ("tasks",), ("explain",), (), ("config",)])
def test_a_usage_error_exits_with_64(command: Command, arguments: tuple[str, ...]) -> None:
    """An unknown command or option, a missing argument or no command prints the usage on stderr and exits with 64."""
    ended = command(*arguments)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err.startswith("Usage: watcher")


def test_a_misspelled_command_has_a_suggestion(command: Command) -> None:
    """The error for an unknown command names a similar one."""
    assert "Did you mean 'submit'?" in command("submi").err


@pytest.mark.parametrize("shell", INSTALLATIONS)
def test_completion_is_installed_once(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """--install-completion adds one line to the file of the shell, also when it is called again; --show-completion prints a script."""
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    monkeypatch.setenv("HOME", str(here))
    file, line = INSTALLATIONS[shell]
    (here / file).parent.mkdir(parents=True, exist_ok=True)
    (here / file).write_text("first line", encoding="utf-8")
    assert [command("--install-completion").code for _ in range(2)] == [0, 0]
    assert (here / file).read_text(encoding="utf-8") == f"first line\n{line}\n"
    assert "_WATCHER_COMPLETE" in command("--show-completion").out


def test_completion_needs_a_known_shell(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a shell without completion, the error lists the supported ones."""
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    ended = command("--show-completion")
    assert ended.code == 64
    assert "bash, zsh, fish" in ended.err


def test_commands_are_completed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell gets the names of the commands and options that begin with the typed text."""
    monkeypatch.setenv("_WATCHER_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "watcher dead-letters re")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "retry" in command().out
    assert json.dumps("purge") not in command().out
