"""`watcher store copy`: arguments, output, and exit codes. What is copied is tested in `tests/copying`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import CONFIG, Command, Ended, in_process, in_store, recorded
from tests.queries.recorded import RecordedTask, dead_letter
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.errors import StoreUnavailable
from watcher.model import Portion

SUMMARY = """\
tasks         2, 1 of them open
events        4
undelivered   4 events for sink log
dead letters  1
learned       1 text
"""


@pytest.fixture
def new(here: Path) -> Path:
    """A configuration whose store does not exist, beside the store of `w.yaml` with two tasks."""
    (here / "new.yaml").write_text(CONFIG.replace("w.db", "new.db"), encoding="utf-8")
    recorded(
        RecordedTask("t1").seen("IN_PROGRESS", 5).seen("SUCCEEDED", 9),
        RecordedTask("t2").seen("IN_QUEUE", 5).seen("IN_PROGRESS", 6),
        states=[("pace get-speaker-search-task", "3.0")],
        dead_letters=[dead_letter("a" * 16)],
    )
    return here


def tasks(command: Command, config: str) -> object:
    return json.loads(command("tasks", "--config", config, "--json").out)


@pytest.mark.parametrize("source", ["w.db", "w.yaml"])
def test_a_store_is_copied(command: Command, new: Path, source: str) -> None:
    """From a file or the store of a configuration: all is in the target, the numbers are printed, and what to do next."""
    ended = command("store", "copy", "--from", source, "new.yaml")
    assert ended.code == 0
    expected = f"Copied from {source} and verified: both stores have the same content.\n"
    assert ended.out == f"{SUMMARY}{expected}Next, start the watcher on the copy: watcher run --config new.yaml\n"
    assert tasks(command, "new.yaml") == tasks(command, "w.yaml")


def test_progress_is_on_stderr(command: Command, new: Path) -> None:
    """Where stderr is no terminal, each pass over a store prints a few plain lines."""
    lines = command("store", "copy", "--from", "w.db", "new.yaml").err.splitlines()
    assert lines[0] == "reading the source: 2"
    assert "copying: 7 of 7" in lines
    assert lines[-1] == "verifying the target: 7 of 7"
    assert "\x1b" not in "".join(lines)


def test_a_dry_run_writes_nothing(command: Command, new: Path) -> None:
    """--dry-run prints the same numbers, and creates no store."""
    ended = command("store", "copy", "--from", "w.db", "--config", "new.yaml", "--dry-run")
    assert (ended.code, ended.out) == (0, f"{SUMMARY}Nothing was written.\n")
    assert not (new / "new.db").exists()


def test_the_same_copy_again_changes_nothing(command: Command, new: Path) -> None:
    """A copy that is complete can be called again, until a watcher or its user has changed the target."""
    first = command("store", "copy", "--from", "w.db", "new.yaml")
    assert command("store", "copy", "--from", "w.db", "new.yaml").out == first.out
    open_copy(new)
    again = command("store", "copy", "--from", "w.db", "new.yaml")
    assert again.code == 74
    assert again.err.startswith("store: the target: it has tasks or dead letters of its own")


def open_copy(directory: Path) -> None:
    """What a watcher does first on a store."""

    async def owned() -> None:
        store = SqliteStore(SqliteStoreSettings(path=str(directory / "new.db")))
        await store.open(["log"])
        await store.close()

    anyio.run(owned)


def test_a_failed_copy_says_how_to_continue(command: Command, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the target fails, the exit code is 74 and the command says that the same call continues; no watcher starts meanwhile."""
    restore = SqliteStore.restore

    async def fail(store: SqliteStore, portion: Portion, progress: str) -> None:
        if portion.events:
            raise StoreUnavailable("new.db: the disk is full")
        await restore(store, portion, progress)

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "restore", fail)
        ended = command("store", "copy", "--from", "w.db", "new.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert "The copy is not complete. Run the same command again to continue.\nstore: new.db: the disk is full\n" in ended.err
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    refused = command("run", "new.yaml")
    assert refused.code == 74
    assert "it has an unfinished copy of another store" in refused.err
    assert command("store", "copy", "--from", "w.db", "new.yaml").code == 0
    assert tasks(command, "new.yaml") == tasks(command, "w.yaml")


@pytest.mark.process
def test_a_source_in_use_is_refused(command: Command, new: Path) -> None:
    """While a watcher runs on the source, the exit code is 74 and the text names its process; the target is not created."""
    found: list[Ended] = []

    async def work(store: SqliteStore) -> None:
        found.append(await in_process("store", "copy", "--from", "w.db", "new.yaml"))

    in_store(work)
    assert found[0].code == 74
    assert "store: the source: w.db: owned by another watcher, process" in found[0].err
    assert not (new / "new.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["new.yaml"], 64, "Missing option '--from'"),
        (["--from", "w.db", "w.yaml"], 64, "w.db is the store of w.yaml itself"),
        (["--from", "./w.db", "w.yaml"], 64, "w.db is the store of w.yaml itself"),
        (["--from", "w.yaml", "w.yaml"], 64, "w.yaml is the store of w.yaml itself"),
        (["--from", "none.db", "new.yaml"], 74, "there is no store here"),
        (["--from", "none.yaml", "new.yaml"], 78, "none.yaml"),
        (["--from", "new.yaml", "memory.yaml"], 74, "there is no store here"),
        (["--from", "w.db", "memory.yaml"], 78, "keeps nothing when the process ends"),
        (["--from", "tasks.txt", "new.yaml"], 74, "there is no store in this file"),
    ],
)
def test_what_cannot_be_copied(command: Command, new: Path, arguments: Sequence[str], code: int, message: str) -> None:
    """A source or target that is missing, the same, or of the wrong kind is refused with the reason, and no store is created."""
    (new / "memory.yaml").write_text(CONFIG.replace("type: sqlite, path: w.db", "type: memory"), encoding="utf-8")
    ended = command("store", "copy", *arguments)
    assert ended.code == code
    assert message in " ".join(ended.err.split())
    assert not (new / "new.db").exists()
