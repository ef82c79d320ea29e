"""Simulated tasks in a file: what another process finds there."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.errors import StoreRefused
from watcher.model import TaskRef
from watcher.simulator import Scenario, TaskTable
from watcher.simulator.simulated_kinds import RETENTION_S, SPEAKER_SEARCH, VOICE_TONE
from watcher.simulator.task_file import TaskFile

T0 = 1_800_000_000.0
SCENARIO = Scenario(seed=7, partial=0.5, faults={"404": 0.3})


def all_tasks(tasks: TaskTable) -> list[object]:
    """The tasks in the order of their creation."""
    return [tasks.get(ref) for ref in tasks.refs()]


def test_tasks_are_the_same_after_a_restart(tmp_path: Path) -> None:
    """Each task keeps all that was drawn for it, with another seed too, and its changes, such as a Stop."""
    with TaskFile(tmp_path / "tasks.db") as file:
        tasks = TaskTable(SCENARIO, file)
        for n in range(50):
            tasks.find(VOICE_TONE if n % 5 == 0 else SPEAKER_SEARCH, "vc", f"t{n}", T0 + n)
        tasks.find(SPEAKER_SEARCH, "vc", "stuck-1", T0)
        stopped = tasks.start(SPEAKER_SEARCH, "vc", {"TransactionId": "call-1", "CallLeg": "Callee"}, T0)
        stopped.stop(T0 + 0.001)
        tasks.keep(stopped)
        before = all_tasks(tasks)
    with TaskFile(tmp_path / "tasks.db") as file:
        assert all_tasks(TaskTable(Scenario(seed=8), file, T0 + 100)) == before


def test_a_start_after_a_restart_makes_a_new_task(tmp_path: Path) -> None:
    """A Start request without a token gets an id that no task of an earlier process has."""
    ids = set()
    for _ in range(3):
        with TaskFile(tmp_path / "tasks.db") as file:
            tasks = TaskTable(SCENARIO, file)
            ids |= {tasks.start(SPEAKER_SEARCH, "vc", {"TransactionId": "call-1"}, T0).task_id for _ in range(2)}
    assert len(ids) == 6


def test_the_file_forgets_what_the_table_forgets(tmp_path: Path) -> None:
    """Tasks beyond the limit, and those that ended longer ago than the service keeps them, are removed."""
    with TaskFile(tmp_path / "tasks.db") as file:
        tasks = TaskTable(SCENARIO.model_copy(update={"max_tasks": 3}), file)
        for name in ("succeeded-1", "succeeded-2", "stuck-1", "succeeded-3"):
            tasks.find(SPEAKER_SEARCH, "vc", name, T0)
    with TaskFile(tmp_path / "tasks.db") as file:
        assert [ref.params[1] for ref in TaskTable(SCENARIO, file, T0).refs()] == ["succeeded-2", "stuck-1", "succeeded-3"]
        later = T0 + RETENTION_S + 3600
        assert TaskTable(SCENARIO, file, later).refs() == [TaskRef("speaker-search", ("vc", "stuck-1"))]
        assert TaskTable(SCENARIO, file, T0).refs() == [TaskRef("speaker-search", ("vc", "stuck-1"))]


def test_a_file_belongs_to_one_process(tmp_path: Path) -> None:
    """A second opening is refused while the first one lasts, and so is a file that is something else."""
    with TaskFile(tmp_path / "tasks.db"), pytest.raises(StoreRefused, match="another process uses it"), TaskFile(tmp_path / "tasks.db"):
        pass
    (tmp_path / "text").write_text("something else " * 100)
    with pytest.raises(StoreRefused, match="not a database"), TaskFile(tmp_path / "text"):
        pass
