from __future__ import annotations

import io
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.moto_server import moto_server, moto_url  # noqa: F401  the fixtures
from tests.process import PYTHON, completed
from tests.scripted_aws import scripted_aws  # noqa: F401  the fixture
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.cli import main
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import WatchSettings, advance, end
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Change, DeadLetter, Observation, TaskRef, Watch

CONFIG = (
    "sources: [{type: lines, path: tasks.txt}]\nsinks: [{type: jsonl, name: log, path: out.jsonl}]\nstore: {type: sqlite, path: w.db}\n"
)
CANARY = "profile-canary-77"
CATALOG = builtin_catalog()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with a configuration in `w.yaml`, and no variables of AWS."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "tasks.txt").touch()
    return tmp_path


@pytest.fixture
def command(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The console script, in this process: its arguments and stdin in, its exit code and output out."""

    def run(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["watcher", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

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
    """Do something as the owner of the store that the configuration names."""

    async def owned() -> None:
        store = SqliteStore(SqliteStoreSettings(path="w.db"))
        await store.open(["log"])
        try:
            await work(store)
        finally:
            await store.close()

    anyio.run(owned)


@dataclass
class SimulatedTask:
    """A task of voice connector `abc`, as a watcher would have recorded it. Times are seconds before now."""

    task: str
    kind: str = "speaker-search"
    connector: str = "abc"

    def __post_init__(self) -> None:
        self.now = time.time()
        self.watch = Watch(
            TaskRef(self.kind, (self.connector, self.task)), "0" * 32, self.now - 60, self.now + 3600, context='{"call":"c-42"}'
        )
        self._changes: list[Change] = []

    def seen(self, status: str, ago: float, *, lag: float = 0.5, result: Any = None) -> SimulatedTask:
        """One poll saw this status; it had begun `lag` seconds before."""
        at = self.now - ago
        started = at - lag if status == "IN_PROGRESS" else self.watch.started_at
        seen = Observation(status, at, result, self.now - 60, started, at - lag)
        step = advance(CATALOG[self.kind], self.watch, seen, WatchSettings())
        return self._add(step)

    def ended(self, reason: str, ago: float) -> SimulatedTask:
        """The watch ended without a terminal status."""
        return self._add(end(self.watch, reason, self.now - ago))

    def _add(self, step: Any) -> SimulatedTask:
        writer = EventWriter(EventSettings(), "us-east-1")
        events = tuple(writer.write(CATALOG[self.kind], step.watch, transition, transition.observed_at) for transition in step.transitions)
        self.watch = step.watch
        self._changes.append(Change(step.watch, events))
        return self

    async def record(self, store: SqliteStore) -> None:
        await store.admit([Watch(self.watch.ref, self.watch.id, self.watch.admitted_at, self.watch.deadline_at, self.watch.context)])
        leases = {lease.shard: lease for lease in await store.claim()}
        for change in self._changes:
            await store.commit([change], leases)


def recorded(*lives: SimulatedTask, notes: Sequence[tuple[str, str]] = (), letters: Sequence[DeadLetter] = ()) -> None:
    """A store in which these tasks stand, with these notes and dead letters."""

    async def work(store: SqliteStore) -> None:
        for life in lives:
            await life.record(store)
        for name, note in notes:
            await store.save_state(name, note)
        await store.add_dead_letters(letters)

    in_store(work)


def letter(id_: str, body: bytes = b"nonsense", **facts: Any) -> DeadLetter:
    """An input from which nothing could be made, a minute ago."""
    given = {"what": "input", "origin": "lines", "reason": "shape", "detail": "it names no task", "at": time.time() - 60}
    return DeadLetter(id_, body=body, **(given | facts))


def found(profile: str = CANARY) -> dict[str, Any]:
    """What a speaker search found."""
    return {"voiceprint": "VoiceprintGenerationSuccess", "matches": [{"voice_profile_id": profile, "confidence": 0.9}]}
