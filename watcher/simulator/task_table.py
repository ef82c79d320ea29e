"""All simulated tasks, as a function of time. Waiting, sockets and quota are not here: see `service.py`.

A task depends on the seed and on its own ids, never on the order of the calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Any

from watcher.model import TaskRef
from watcher.simulator.id_rules import rule_of
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_kinds import RETENTION_S, SimulatedKind
from watcher.simulator.simulated_task import CallDetails, SimulatedTask, Truth, create_task, random_id

DENIED_PREFIX = "denied-"
"""Every call for a voice connector whose id begins with this is denied. `id_rules.py` has what task ids decide."""

Key = tuple[str, str, str]
"""Kind, VoiceConnectorId, task id."""


class TaskTable:
    """The tasks of one scenario. Each method that depends on the time takes it as `now`, in wall seconds."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._tasks: dict[Key, SimulatedTask] = {}  # in the order of their creation
        self._started = 0

    def start(self, kind: SimulatedKind, connector: str, request: Mapping[str, Any], now: float) -> SimulatedTask:
        """Do what a Start request does. The same `ClientRequestToken` on the same connector returns the same task."""
        token = request.get("ClientRequestToken")
        if token is None:
            self._started += 1
        task_id = random_id(self.rng("start", kind.name, connector, str(token) if token else f"#{self._started}"))
        call = CallDetails(str(request["TransactionId"]), request.get("CallLeg", "Caller") == "Caller")
        return self._tasks.get((kind.name, connector, task_id)) or self._create(kind, connector, task_id, call, now)

    def find(self, kind: SimulatedKind, connector: str, task_id: str, now: float) -> SimulatedTask | None:
        """Return the task with these ids, created now if it is new and the scenario allows it.

        None: it does not exist, or it ended longer ago than the service keeps it.
        """
        task = self._tasks.get((kind.name, connector, task_id))
        if task is None:
            unknown = self.scenario.known_only or not rule_of(task_id).exists
            return None if unknown else self._create(kind, connector, task_id, None, now)
        ended_at = task.ended_at
        return None if ended_at is not None and now > ended_at + RETENTION_S else task

    def peek(self, kind: SimulatedKind, connector: str, task_id: str) -> SimulatedTask | None:
        """Return a task that exists; never creates one."""
        return self._tasks.get((kind.name, connector, task_id))

    def ensure(self, kind: SimulatedKind, connector: str, task_id: str, now: float) -> SimulatedTask:
        """Return the task with these ids, created now if it is new, whatever the scenario allows."""
        return self.peek(kind, connector, task_id) or self._create(kind, connector, task_id, None, now)

    def visible(self, task: SimulatedTask, now: float) -> bool:
        """Return whether a Get finds the task at `now`; the fault `404` hides some at first."""
        return not task.hidden or now >= task.created_at + self.scenario.hidden

    def get(self, ref: TaskRef) -> SimulatedTask | None:
        """Return a task that exists; never creates one."""
        return self._tasks.get((ref.kind, ref.params[0], ref.params[1]))

    def truth(self, ref: TaskRef) -> Truth:
        """Return every status of this task, past and future, with the time at which it begins. Empty for an unknown task."""
        task = self.get(ref)
        return task.truth() if task is not None else ()

    def refs(self) -> list[TaskRef]:
        """Return all tasks in the order of their creation."""
        return [TaskRef(kind, (connector, task_id)) for kind, connector, task_id in self._tasks]

    def clear(self) -> None:
        """Forget all tasks. A later call for one of them creates it again."""
        self._tasks.clear()

    def __len__(self) -> int:
        return len(self._tasks)

    def rng(self, *labels: str) -> Random:
        """Return a random number generator that depends on the seed and these labels only."""
        text = "\0".join((str(self.scenario.seed), *labels))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return Random(int.from_bytes(digest[:8], "big"))  # noqa: S311  a simulation must be repeatable

    def _create(self, kind: SimulatedKind, connector: str, task_id: str, call: CallDetails | None, now: float) -> SimulatedTask:
        if len(self._tasks) >= self.scenario.max_tasks:
            del self._tasks[next(iter(self._tasks))]
        rng = self.rng("life", kind.name, connector, task_id)  # another label would change every task of every seed
        task = create_task(self.scenario, kind, (connector, task_id), call, now, rng)
        self._tasks[kind.name, connector, task_id] = task
        return task
