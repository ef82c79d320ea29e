"""Keeps simulated tasks in a file, so that a simulator has the same tasks after a kill and a restart.

A task is written before the first reply that shows it, with all of its random values, so another seed or another version does not
change existing tasks. The file survives a kill of the process at any time, but not a loss of power.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from watcher.errors import StoreRefused
from watcher.simulator.simulated_kinds import RETENTION_S, SIMULATED_KINDS, Match
from watcher.simulator.simulated_task import CallDetails, Period, SimulatedTask

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, connector TEXT NOT NULL, task TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE (kind, connector, task)
)"""
_SAVE = """
INSERT INTO tasks (kind, connector, task, body) VALUES (?, ?, ?, ?)
ON CONFLICT (kind, connector, task) DO UPDATE SET body = excluded.body"""


class TaskFile:
    """The tasks of one simulator. The file is open, and locked by this process, while the block runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> TaskFile:
        """Open the file, which is created if there is none. Raises StoreRefused if another process has it open, or if it is invalid."""
        database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            for statement in ("PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", _SCHEMA):
                database.execute(statement)
        except sqlite3.Error as error:
            database.close()
            locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise StoreRefused(f"{self.path}: {'another process uses it' if locked else error}") from None
        self._database = database
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open().close()
        self._database = None

    def load(self, now: float) -> Iterator[SimulatedTask]:
        """Yield the tasks in the order of their creation, and remove those that the service no longer keeps."""
        database = self._open()
        for number, kind, connector, task_id, body in database.execute("SELECT * FROM tasks ORDER BY number").fetchall():
            task = _task(kind, connector, task_id, json.loads(body))
            if task.ended_at is not None and now > task.ended_at + RETENTION_S:
                database.execute("DELETE FROM tasks WHERE number = ?", (number,))
            else:
                yield task

    def save(self, task: SimulatedTask) -> None:
        """Write a task that is new, or that was changed."""
        self._open().execute(_SAVE, (task.kind.name, task.connector, task.task_id, json.dumps(_body(task))))

    def remove(self, task: SimulatedTask) -> None:
        """Remove a task."""
        self._open().execute(
            "DELETE FROM tasks WHERE kind = ? AND connector = ? AND task = ?", (task.kind.name, task.connector, task.task_id)
        )

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise RuntimeError("the file is not open; use it in a with block")
        return self._database


def _body(task: SimulatedTask) -> dict[str, Any]:
    """Return the stored form of a task. The number of its calls is not stored, because it decides only the fault of the next call."""
    return {
        "call": [task.call.transaction_id, task.call.is_caller],
        "periods": [[period.status, period.at, period.matches, period.voiceprint] for period in task.periods],
        "matches": [[match.profile_id, match.confidence] for match in task.matches],
        "voiceprint": task.voiceprint,
        "message": task.message,
        "hidden": task.hidden,
    }


def _task(kind: str, connector: str, task_id: str, body: dict[str, Any]) -> SimulatedTask:
    return SimulatedTask(
        kind=SIMULATED_KINDS[kind],
        connector=connector,
        task_id=task_id,
        call=CallDetails(*body["call"]),
        periods=tuple(Period(*period) for period in body["periods"]),
        matches=tuple(Match(*match) for match in body["matches"]),
        voiceprint=body["voiceprint"],
        message=body["message"],
        hidden=body["hidden"],
    )
