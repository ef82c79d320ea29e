from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.config import load
from watcher.errors import ConfigMistakes


def refused(folder: Path, *, source: str = "-", store: str = ":memory:", sink: str = "-") -> list[str]:
    """What is wrong with these paths, without the place."""
    file = folder / "w.yaml"
    text = f"sources: [{{type: lines, path: '{source}'}}]\n"
    text += f"store: {{type: sqlite, path: '{store}'}}\n"
    text += f"sinks: [{{type: jsonl, path: '{sink}'}}]\n"
    file.write_text(text, encoding="utf-8")
    before = sorted(folder.rglob("*"))
    try:
        load(file, {}, paths=True)
    except ConfigMistakes as mistakes:
        return [line.removeprefix(f"{file}:") for line in mistakes.mistakes]
    finally:
        assert sorted(folder.rglob("*")) == before, "a check creates nothing"
    return []


def test_paths_that_can_be_used_pass(tmp_path: Path) -> None:
    """Files may be there or not yet be there; a check creates none of them."""
    (tmp_path / "tasks").touch()
    (tmp_path / "events").touch()
    assert refused(tmp_path, source=f"{tmp_path}/tasks", store=f"{tmp_path}/w.db", sink=f"{tmp_path}/events") == []
    assert refused(tmp_path) == []


def test_a_named_pipe_is_a_source_and_a_sink(tmp_path: Path) -> None:
    """The check does not open it: that would wait for the other end."""
    os.mkfifo(tmp_path / "in")
    os.mkfifo(tmp_path / "out")
    assert refused(tmp_path, source=f"{tmp_path}/in", sink=f"{tmp_path}/out") == []


def test_missing_files_and_directories_are_all_told(tmp_path: Path) -> None:
    """A source must be there; a store and a sink need their directory."""
    found = refused(tmp_path, source=f"{tmp_path}/none", store=f"{tmp_path}/no/w.db", sink=f"{tmp_path}/nor/e.jsonl")
    assert found == [
        f"1: sources[0].path: there is no file {tmp_path}/none; make it, or a named pipe, first",
        f"2: store.path: there is no directory {tmp_path}/no; make it first",
        f"3: sinks[0].path: there is no directory {tmp_path}/nor; make it first",
    ]


def test_directories_are_no_files(tmp_path: Path) -> None:
    """Each says that a file is needed."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    found = refused(tmp_path, source=f"{tmp_path}/a", store=f"{tmp_path}/b", sink=f"{tmp_path}/c")
    assert [line.partition("is a directory; ")[2] for line in found] == ["a file or a named pipe is needed"] + [
        "a file in it is needed"
    ] * 2


def test_a_store_in_a_pipe_is_refused(tmp_path: Path) -> None:
    """SQLite needs a regular file."""
    os.mkfifo(tmp_path / "w.db")
    assert refused(tmp_path, store=f"{tmp_path}/w.db") == [f"2: store.path: {tmp_path}/w.db is not a regular file"]


def _cannot_write(path: object, mode: int) -> bool:
    return not mode & os.W_OK


def test_an_unwritable_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts: a store that cannot be written, a directory that takes no file."""
    (tmp_path / "w.db").touch()
    monkeypatch.setattr(os, "access", _cannot_write)  # the operating system's answer, which root never gets
    assert refused(tmp_path, store=f"{tmp_path}/w.db", sink=f"{tmp_path}/e.jsonl") == [
        f"2: store.path: {tmp_path}/w.db may not be written by this user",
        f"3: sinks[0].path: no file can be made in {tmp_path} by this user",
    ]


def test_paths_are_not_looked_at_unless_asked(tmp_path: Path) -> None:
    """Loading alone judges the text: a configuration can be read on another machine."""
    (tmp_path / "w.yaml").write_text("sources: [{type: lines, path: /nowhere/tasks}]\nsinks: [{type: jsonl}]\n", encoding="utf-8")
    assert load(tmp_path / "w.yaml", {}).sources[0].path == "/nowhere/tasks"
