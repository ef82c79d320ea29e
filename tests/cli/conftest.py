from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
from tests.postgres import database, postgres_server  # noqa: F401  the fixtures
from tests.process import PYTHON, completed
from tests.queries.recorded import RecordedTask, record
from tests.scripted_aws import scripted_aws  # noqa: F401  the fixture
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.cli import main
from watcher.model import DeadLetter

CONFIG = (
    "sources: [{type: lines, path: tasks.txt}]\nsinks: [{type: jsonl, name: log, path: out.jsonl}]\nstore: {type: sqlite, path: w.db}\n"
)


@dataclass(frozen=True)
class Ended:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a configuration in `w.yaml` and an empty `tasks.txt`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tasks.txt").touch()
    return tmp_path


@pytest.fixture
def command(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the console script in this process, with arguments and stdin. Returns its exit code and output."""

    def run(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["watcher", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        output = capsys.readouterr()
        return Ended(code, output.out, output.err)

    return run


async def in_thread(command: Command, *arguments: str) -> Ended:
    """The console script in a thread of this process, for tests whose own event loop serves what it calls."""
    return await anyio.to_thread.run_sync(partial(command, *arguments))


async def in_process(*arguments: str) -> Ended:
    """The console script in a process of its own."""
    run = partial(completed, [PYTHON, "-m", "watcher", *arguments], capture_output=True, text=True)
    done = await anyio.to_thread.run_sync(run)
    return Ended(done.returncode, done.stdout, done.stderr)


def in_store(work: Callable[[SqliteStore], Awaitable[None]]) -> None:
    """Run `work` as the owner of the store that the configuration names."""

    async def owned() -> None:
        store = SqliteStore(SqliteStoreSettings(path="w.db"))
        await store.open(["log"])
        try:
            await work(store)
        finally:
            await store.close()

    anyio.run(owned)


def recorded(*tasks: RecordedTask, states: Sequence[tuple[str, str]] = (), dead_letters: Sequence[DeadLetter] = ()) -> None:
    """Create the store that the configuration names, with these tasks, saved states and dead letters."""

    async def work(store: SqliteStore) -> None:
        await record(store, *tasks, states=states, dead_letters=dead_letters)

    in_store(work)
