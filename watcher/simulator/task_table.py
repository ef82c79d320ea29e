"""All simulated tasks and their lives as a function of time. No waiting, no sockets, no quota: those are `service.py`'s.

The life of a task depends on the seed and its own ids, never on the order in which tasks are asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random
from typing import Any

from watcher.kinds import KINDS, Kind
from watcher.model import TaskRef
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_task import Call, SimulatedTask, Truth, born, random_id

MISSING = "missing-"
"""A task id that begins so is never found."""
DENIED = "denied-"
"""Nobody has a permission for a voice connector whose id begins so."""

Key = tuple[str, str, str]
"""Kind, VoiceConnectorId, task id."""


class TaskTable:
    """The tasks of one scenario. Every method that needs the time is handed `now`, wall seconds."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._lives: dict[Key, SimulatedTask] = {}  # in the order of their beginning
        self._started = 0

    def start(self, kind: Kind, connector: str, request: Mapping[str, Any], now: float) -> SimulatedTask:
        """What a Start call does. The same `ClientRequestToken` on the same connector is the same task."""
        token = request.get("ClientRequestToken")
        if token is None:
            self._started += 1
        task_id = random_id(self.dice("start", kind.name, connector, str(token) if token else f"#{self._started}"))
        call = Call(str(request["TransactionId"]), request.get("CallLeg", "Caller") == "Caller")
        return self._lives.get((kind.name, connector, task_id)) or self._begin(kind, connector, task_id, call, now)

    def find(self, kind: Kind, connector: str, task_id: str, now: float) -> SimulatedTask | None:
        """The task of these ids, which begins now if it may; None: there is none, or it was over long ago."""
        life = self._lives.get((kind.name, connector, task_id))
        if life is None:
            unknown = self.scenario.known_only or task_id.startswith(MISSING)
            return None if unknown else self._begin(kind, connector, task_id, None, now)
        over = life.ended_at is not None and now > life.ended_at + kind.retention_s
        return None if over else life

    def visible(self, life: SimulatedTask, now: float) -> bool:
        """Whether a Get finds it already (the fault `404`)."""
        return not life.hidden or now >= life.created_at + self.scenario.hidden

    def life(self, ref: TaskRef) -> SimulatedTask | None:
        """The life of a task that has begun, for those who want to know it all."""
        return self._lives.get((ref.kind, ref.params[0], ref.params[1]))

    def truth(self, ref: TaskRef) -> Truth:
        """Every status of this task, past and to come, with the time at which it begins. Empty before it begins."""
        life = self.life(ref)
        return life.truth() if life is not None else ()

    def refs(self) -> list[TaskRef]:
        """Every task that has begun, in that order."""
        return [TaskRef(kind, (connector, task_id)) for kind, connector, task_id in self._lives]

    def __len__(self) -> int:
        return len(self._lives)

    def dice(self, *what: str) -> Random:
        """Dice that belong to this seed and these words."""
        text = "\0".join((str(self.scenario.seed), *what))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return Random(int.from_bytes(digest[:8], "big"))  # noqa: S311  a simulation is to be repeatable

    def _begin(self, kind: Kind, connector: str, task_id: str, call: Call | None, now: float) -> SimulatedTask:
        if len(self._lives) >= self.scenario.max_tasks:
            del self._lives[next(iter(self._lives))]
        life = born(self.scenario, kind, connector, task_id, call, now, self.dice("life", kind.name, connector, task_id))
        self._lives[kind.name, connector, task_id] = life
        return life


PATHS: Mapping[str, Kind] = {"speaker-search-tasks": KINDS["speaker-search"], "voice-tone-analysis-tasks": KINDS["voice-tone"]}
"""The word in the path that names the kind of task."""
