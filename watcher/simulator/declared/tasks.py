"""All simulated tasks of declared kinds, as a function of time: a task depends on the seed and on its own ids only."""

from __future__ import annotations

from watcher.kinds.kind import Kind
from watcher.model import TaskRef
from watcher.simulator.declared.life import DeclaredTask, create_task, deciding_part
from watcher.simulator.id_rules import rule_of
from watcher.simulator.simulated_task import Truth
from watcher.simulator.task_table import TaskTable

Key = tuple[str, tuple[str, ...]]
"""The name of the kind, and the params."""


class DeclaredTasks:
    """The tasks of one account. Scenario and random numbers are those of the voice service's `table`; times are wall seconds."""

    def __init__(self, table: TaskTable) -> None:
        self._table = table
        self._tasks: dict[Key, DeclaredTask] = {}  # in the order of their creation

    def find(self, kind: Kind, params: tuple[str, ...], now: float) -> DeclaredTask | None:
        """Return the task with these ids, created now if it is new and the scenario allows it.

        None: it does not exist, or it ended longer ago than the service keeps it.
        """
        task = self._tasks.get((kind.name, params))
        if task is None:
            unknown = self._table.scenario.known_only or not rule_of(deciding_part(params[-1])).exists
            return None if unknown else self._create(kind, params, now)
        return None if task.ended_at is not None and now > task.ended_at + kind.retention_s else task

    def peek(self, kind: Kind, params: tuple[str, ...]) -> DeclaredTask | None:
        """Return a task that exists; never creates one."""
        return self._tasks.get((kind.name, params))

    def ensure(self, kind: Kind, params: tuple[str, ...], now: float) -> DeclaredTask:
        """Return the task with these ids, created now if it is new, whatever the scenario allows."""
        return self.peek(kind, params) or self._create(kind, params, now)

    def visible(self, task: DeclaredTask, now: float) -> bool:
        """Return whether a request finds the task at `now`; the fault `404` hides some at first."""
        return not task.hidden or now >= task.created_at + self._table.scenario.hidden

    def truth(self, ref: TaskRef) -> Truth:
        """Return every status of this task, past and future, with the time at which it begins. Empty for an unknown task."""
        task = self._tasks.get((ref.kind, ref.params))
        return () if task is None else task.truth()

    def refs(self) -> list[TaskRef]:
        """Return all tasks in the order of their creation."""
        return [TaskRef(kind, params) for kind, params in self._tasks]

    def __len__(self) -> int:
        return len(self._tasks)

    def _create(self, kind: Kind, params: tuple[str, ...], now: float) -> DeclaredTask:
        scenario = self._table.scenario
        while len(self._tasks) >= scenario.max_tasks:
            self._tasks.pop(next(iter(self._tasks)))
        task = create_task(scenario, kind, params, now, self._table.rng("life", kind.name, *params))
        self._tasks[kind.name, params] = task
        return task
