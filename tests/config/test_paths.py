from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.config import load
from watcher.errors import ConfigMistakes


def mistakes(folder: Path, *, source: str = "-", store: str = ":memory:", sink: str = "-") -> list[str]:
    """Return the mistakes in these paths, without the name of the file."""
    file = folder / "w.yaml"
    text = f"sources: [{{type: lines, path: '{source}'}}]\n"
    text += f"store: {{type: sqlite, path: '{store}'}}\n"
    text += f"sinks: [{{type: jsonl, path: '{sink}'}}]\n"
    file.write_text(text, encoding="utf-8")
    before = sorted(folder.rglob("*"))
    try:
        load(file, {}, paths=True)
    except ConfigMistakes as error:
        return [line.removeprefix(f"{file}:") for line in error.mistakes]
    finally:
        assert sorted(folder.rglob("*")) == before, "a check creates nothing"
    return []


def test_paths_that_can_be_used_pass(tmp_path: Path) -> None:
    """A path passes if its file exists or can be created; the check creates nothing."""
    (tmp_path / "tasks").touch()
    (tmp_path / "events").touch()
    assert mistakes(tmp_path, source=f"{tmp_path}/tasks", store=f"{tmp_path}/w.db", sink=f"{tmp_path}/events") == []
    assert mistakes(tmp_path) == []


def test_a_named_pipe_is_a_source_and_a_sink(tmp_path: Path) -> None:
    """A named pipe passes without being opened, which would wait for the other end."""
    os.mkfifo(tmp_path / "in")
    os.mkfifo(tmp_path / "out")
    assert mistakes(tmp_path, source=f"{tmp_path}/in", sink=f"{tmp_path}/out") == []


def test_missing_files_and_directories_are_all_reported(tmp_path: Path) -> None:
    """A source must exist; a store and a sink need an existing directory."""
    found = mistakes(tmp_path, source=f"{tmp_path}/none", store=f"{tmp_path}/no/w.db", sink=f"{tmp_path}/nor/e.jsonl")
    assert found == [
        f"1: sources[0].path: file {tmp_path}/none does not exist; create it, or a named pipe",
        f"2: store.path: directory {tmp_path}/no does not exist; create it",
        f"3: sinks[0].path: directory {tmp_path}/nor does not exist; create it",
    ]


def test_directories_are_not_files(tmp_path: Path) -> None:
    """A directory in place of a file is reported."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    found = mistakes(tmp_path, source=f"{tmp_path}/a", store=f"{tmp_path}/b", sink=f"{tmp_path}/c")
    assert [line.partition("is a directory; ")[2] for line in found] == ["give the path of a file or a named pipe"] + [
        "give the path of a file in it"
    ] * 2


def test_a_store_in_a_pipe_is_reported(tmp_path: Path) -> None:
    """A store that is not a regular file is reported."""
    os.mkfifo(tmp_path / "w.db")
    assert mistakes(tmp_path, store=f"{tmp_path}/w.db") == [f"2: store.path: {tmp_path}/w.db is not a regular file; give another path"]


def _cannot_write(path: object, mode: int) -> bool:
    return not mode & os.W_OK


def test_a_path_without_permission_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be written and a directory in which no file can be created are reported."""
    (tmp_path / "w.db").touch()
    monkeypatch.setattr(os, "access", _cannot_write)  # the operating system gives this answer to all users but root
    assert mistakes(tmp_path, store=f"{tmp_path}/w.db", sink=f"{tmp_path}/e.jsonl") == [
        f"2: store.path: no permission to write {tmp_path}/w.db; allow it for this user",
        f"3: sinks[0].path: no permission to create files in {tmp_path}; allow it for this user",
    ]


def test_load_alone_ignores_paths(tmp_path: Path) -> None:
    """`load` without `paths` checks no file, so that a configuration can be read on another machine."""
    (tmp_path / "w.yaml").write_text("sources: [{type: lines, path: /nowhere/tasks}]\nsinks: [{type: jsonl}]\n", encoding="utf-8")
    assert load(tmp_path / "w.yaml", {}).sources[0].path == "/nowhere/tasks"
