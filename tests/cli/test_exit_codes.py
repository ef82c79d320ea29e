from __future__ import annotations

import pytest

from tests.cli.conftest import Command
from watcher.cli import exit_codes
from watcher.cli.command_table import CommandTable
from watcher.errors import ConfigMistakes, CredentialsRejected, InvalidInput, PeerGone, StoreRefused, Unavailable


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ConfigMistakes(["w.yaml:1: a", "w.yaml:2: b"]), 78, "w.yaml:1: a\nw.yaml:2: b"),
        (StoreRefused("corrupt"), 74, "store: corrupt"),
        (InvalidInput("shape", "names no task"), 64, "shape: names no task"),
        (Unavailable("timeout"), 69, "timeout: check that it is running"),
        (CredentialsRejected("NoCredentialsError"), 78, "NoCredentialsError: no credentials were found"),
        (PeerGone(), 74, ""),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(143), 143, ""),
        (BrokenPipeError(), 74, ""),
        (OSError("disk full"), 74, "disk full"),
        (ZeroDivisionError(), 70, ""),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_each_error_has_an_exit_code_and_a_message(error: BaseException, code: int, message: str, grouped: bool) -> None:
    """An error has the same exit code and message alone and inside exception groups."""
    raised = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [error])]) if grouped else error
    found, text = exit_codes.describe(raised)
    assert found == code
    assert text.startswith(message)
    assert message or not text


def test_a_bug_prints_a_traceback(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception exits with 70, a traceback, and the request to report it."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("the bug")

    monkeypatch.setattr(CommandTable, "invoke", fail)
    ended = command("tasks", "--config", "w.yaml")
    assert ended.code == 70
    assert "ZeroDivisionError: the bug" in ended.err
    assert ended.err.endswith("Please report it with the lines above.\n")


def test_ctrl_c_prints_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during a command exits with 130 and prints nothing."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("watcher.cli.store_access.StoreAccess.__init__", interrupt)
    ended = command("tasks", "--config", "w.yaml")
    assert (ended.code, ended.out, ended.err) == (130, "", "")
