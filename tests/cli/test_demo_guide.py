"""The commands that `watcher demo --serve` prints can be pasted."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.cli.demo_guide import program


def test_a_watcher_that_the_path_does_not_find_is_named_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `make demo`, `watcher` alone is found by no shell, so the commands have the path of the script in .venv."""
    script = tmp_path / "a b" / "watcher"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program("a b/watcher") == f"'{script}'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program(str(script)) == "watcher"
    assert program("/anywhere/watcher/__main__.py") == "watcher"
