"""All simulated tasks, as a function of time. Waiting, sockets and quota are not here: see `service.py`.

A task depends on the seed and on its own ids, never on the order of the calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from watcher.model import TaskRef
from watcher.simulator.id_rules import rule_of
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_kinds import RETENTION_S, SimulatedKind
from watcher.simulator.simulated_task import CallDetails, SimulatedTask, Truth, create_task, random_id

if TYPE_CHECKING:
    from watcher.simulator.task_file import TaskFile

DENIED_PREFIX = "denied-"
"""Every call for a voice connector whose id begins with this is denied. `id_rules.py` has what task ids decide."""

Key = tuple[str, str, str]
"""Kind, VoiceConnectorId, task id."""


class TaskTable:
    """The tasks of one scenario. Each method that depends on the time takes it as `now`, in wall seconds.

    With a `file`, which must be open, it starts with the tasks in the file, and stores its tasks there.
    """

    def __init__(self, scenario: Scenario, file: TaskFile | None = None, now: float = 0.0) -> None:
        self.scenario = scenario
        self._file = file
        loaded = file.load(now) if file is not None else ()
        self._tasks: dict[Key, SimulatedTask] = {key_of(task): task for task in loaded}  # in the order of their creation
        self._started = 0

    def start(self, kind: SimulatedKind, connector: str, request: Mapping[str, Any], now: float) -> SimulatedTask:
        """Do what a Start request does. The same `ClientRequestToken` on the same connector returns the same task."""
        token = request.get("ClientRequestToken")
        task_id = self._new_id(kind, connector) if token is None else self._drawn_id(kind, connector, str(token) or "#0")
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

    def keep(self, task: SimulatedTask) -> None:
        """Write a task that was changed to the file, if there is one."""
        if self._file is not None:
            self._file.save(task)

    def clear(self) -> None:
        """Forget all tasks. A later call for one of them creates it again."""
        while self._tasks:
            self._forget_oldest()

    def __len__(self) -> int:
        return len(self._tasks)

    def rng(self, *labels: str) -> Random:
        """Return a random number generator that depends on the seed and these labels only."""
        text = "\0".join((str(self.scenario.seed), *labels))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return Random(int.from_bytes(digest[:8], "big"))  # noqa: S311  a simulation must be repeatable

    def _new_id(self, kind: SimulatedKind, connector: str) -> str:
        """Draw the id of a Start request without a token. Tasks from the file can already have the first ids."""
        while True:
            self._started += 1
            task_id = self._drawn_id(kind, connector, f"#{self._started}")
            if self.peek(kind, connector, task_id) is None:
                return task_id

    def _drawn_id(self, kind: SimulatedKind, connector: str, label: str) -> str:
        return random_id(self.rng("start", kind.name, connector, label))

    def _create(self, kind: SimulatedKind, connector: str, task_id: str, call: CallDetails | None, now: float) -> SimulatedTask:
        while len(self._tasks) >= self.scenario.max_tasks:
            self._forget_oldest()
        rng = self.rng("life", kind.name, connector, task_id)  # another label would change every task of every seed
        task = create_task(self.scenario, kind, (connector, task_id), call, now, rng)
        self._tasks[key_of(task)] = task
        self.keep(task)
        return task

    def _forget_oldest(self) -> None:
        task = self._tasks.pop(next(iter(self._tasks)))
        if self._file is not None:
            self._file.remove(task)


def key_of(task: SimulatedTask) -> Key:
    """Return the key of a task in the table."""
    return task.kind.name, task.connector, task.task_id
