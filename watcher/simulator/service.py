"""The simulated service without a transport: quota, one call per task, faults, latency, tasks.

It decides what the reply is and when it comes. `http_api.py` turns a reply into HTTP, `probe.py` into an observation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anyio

from watcher.simulator.faults import BUSY, DENIED, FAULTS, INVALID, NOT_FOUND, THROTTLED, ServiceError, pick_fault
from watcher.simulator.id_rules import rule_of
from watcher.simulator.quota import TokenBucket
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_kinds import MAX_CONNECTOR, MAX_TASK_ID, TERMINAL, SimulatedKind
from watcher.simulator.simulated_task import SimulatedTask
from watcher.simulator.task_table import DENIED_PREFIX, Key, TaskTable

if TYPE_CHECKING:
    from watcher.simulator.task_file import TaskFile


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call of the API. `task_id` is empty for a Start."""

    action: Literal["Get", "Start", "Stop"]
    kind: SimulatedKind
    connector: str
    task_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiReply:
    """The reply of the service: an `error`, or a `task` as of `as_of`. A `fault` without an `error` breaks the reply with the task."""

    outcome: str
    """`ok`, an error code, or the name of a fault."""
    task: SimulatedTask | None = None
    as_of: float = 0.0
    error: ServiceError | None = None
    fault: str | None = None


@dataclass(slots=True)
class Stats:
    """Counts of requests and replies since the start."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Requests by `ApiReply.outcome`; `signature`, `unknown-operation`, `unknown-service` and `redirected` count those rejected by the
    HTTP server."""
    actions: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    peak_in_flight: int = 0
    peak_per_task: int = 0
    """The most requests for one task at the same time, including those that got a conflict."""
    after_end: int = 0
    """Gets for a task whose terminal status an earlier Get had returned: a good watcher makes none."""

    @property
    def requests(self) -> int:
        """The number of all requests."""
        return self.outcomes.total()


class VoiceService:
    """One simulated AWS account in one Region. With an open `file`, its tasks are kept there."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float], file: TaskFile | None = None) -> None:
        self.tasks = TaskTable(scenario, file, 0.0 if file is None else clock())
        self.clock = clock
        self.stats = Stats()
        self._requests: Counter[Key] = Counter()  # requests in flight for each task, whatever their reply
        self._locked: set[Key] = set()  # tasks with a request in progress: a second one gets a conflict
        self._others = 0  # requests that name no task, or are rejected
        self._buckets: dict[str, TokenBucket] = {}

    @property
    def scenario(self) -> Scenario:
        """The scenario with all changes so far."""
        return self.tasks.scenario

    def change(self, **updates: Any) -> None:
        """Change settings of the scenario while it runs: an outage, another quota. Tasks that exist stay as they were drawn."""
        kept = {name: getattr(self.scenario, name) for name in self.scenario.model_fields_set}
        self.tasks.scenario = Scenario(**{**kept, **updates})
        if {"quota", "burst"} & updates.keys():
            self._buckets.clear()

    @asynccontextmanager
    async def handle(self, request: ApiRequest) -> AsyncIterator[ApiReply]:
        """Yield the reply, after the latency. The request is in flight until the block ends: send the reply inside it."""
        key, stats = (request.kind.name, request.connector, request.task_id), self.stats
        self._requests[key] += 1
        stats.in_flight += 1
        stats.actions[request.action] += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        stats.peak_per_task = max(stats.peak_per_task, self._requests[key] if request.task_id else 0)
        now = self.clock()
        error = self._refusal(request, key, now)
        locks = error is None and request.task_id != ""
        if locks:
            self._locked.add(key)
        try:
            reply = await self._reply(request, key, error, now)
            stats.outcomes[reply.outcome] += 1
            yield reply
        finally:
            if locks:
                self._locked.discard(key)
            stats.in_flight -= 1
            self._requests[key] -= 1
            if not self._requests[key]:
                del self._requests[key]

    async def _reply(self, request: ApiRequest, key: Key, error: ServiceError | None, now: float) -> ApiReply:
        scenario, task = self.scenario, None
        if error is None and request.task_id:
            task = self.tasks.find(request.kind, request.connector, request.task_id, now)
            error = NOT_FOUND if task is None else None
        rng = self.tasks.rng("call", *key, str(self._count(task)))
        fault, latency = pick_fault(scenario.faults, rng.random()), scenario.latency.draw(rng)
        fault = rule_of(request.task_id).fault or fault
        await anyio.sleep(latency + (scenario.slow if fault == "slow" and error is None else 0.0))
        if error is not None:
            return ApiReply(error.code, error=error)
        if fault is not None and (FAULTS[fault].code or FAULTS[fault].status != 200):
            return ApiReply(FAULTS[fault].code or fault, error=FAULTS[fault], fault=fault)
        return self._act(request, task, fault)

    def _refusal(self, request: ApiRequest, key: Key, now: float) -> ServiceError | None:
        """Return the error that the service replies before it looks up the task."""
        if not self._bucket(request.kind).take(now):
            return THROTTLED
        if not _valid(request):
            return INVALID
        if request.connector.startswith(DENIED_PREFIX):
            return DENIED
        if (decided := rule_of(request.task_id).error) is not None:
            return decided
        return BUSY if key in self._locked else None

    def _act(self, request: ApiRequest, task: SimulatedTask | None, fault: str | None) -> ApiReply:
        now = self.clock()
        if task is None:
            task = self.tasks.start(request.kind, request.connector, request.body, now)
        elif not self.tasks.visible(task, now):
            return ApiReply(NOT_FOUND.code, error=NOT_FOUND)
        elif request.action == "Stop":
            task.stop(now)
            self.tasks.keep(task)
        elif task.period(now).status in TERMINAL:
            self.stats.after_end += task.end_seen
            task.end_seen = True
        as_of = max(task.created_at, now - self.scenario.stale) if fault == "stale" else now
        return ApiReply(fault or "ok", task=task, as_of=as_of, fault=fault)

    def _count(self, task: SimulatedTask | None) -> int:
        """Return the number of this call among those for its task, so that each call draws its own fault and latency."""
        if task is None:
            self._others += 1
            return self._others
        task.calls += 1
        return task.calls

    def _bucket(self, kind: SimulatedKind) -> TokenBucket:
        if kind.name not in self._buckets:
            self._buckets[kind.name] = TokenBucket(self.scenario.quota, self.scenario.burst)
        return self._buckets[kind.name]


def _valid(request: ApiRequest) -> bool:
    """Return whether the request is within the limits of the API model."""
    if not 1 <= len(request.connector) <= MAX_CONNECTOR or not request.connector.strip():
        return False
    if request.action == "Start":
        return all(isinstance(request.body.get(name), str) and request.body[name].strip() for name in request.kind.required)
    return 1 <= len(request.task_id) <= MAX_TASK_ID and bool(request.task_id.strip())
