"""The simulated services of declared kinds without a transport: quota, faults, latency, tasks.

Scenario, clock and counts are those of the voice service, so one setting applies to all kinds. Two calls about one task do not
conflict: that is a rule of the voice service alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from watcher.errors import BatchFailed, NotFound, RemoteError, Unreadable
from watcher.kinds.kind import Kind, Phase
from watcher.model import Observation, TaskRef
from watcher.simulator.declared.catalog import Kinds, Route, ServedKinds
from watcher.simulator.declared.errors import error_about, failure_code
from watcher.simulator.declared.life import DeclaredTask, deciding_part
from watcher.simulator.declared.tasks import DeclaredTasks
from watcher.simulator.faults import DENIED, FAULTS, INVALID, NOT_FOUND, THROTTLED, ServiceError, pick_fault
from watcher.simulator.id_rules import rule_of
from watcher.simulator.quota import TokenBucket
from watcher.simulator.service import VoiceService
from watcher.simulator.task_table import DENIED_PREFIX


@dataclass(frozen=True, slots=True)
class Call:
    """One request about tasks of one kind. `params` are the identifiers of each task."""

    route: Route
    params: tuple[tuple[str, ...], ...]
    problem: str = ""
    """Why the request does not fit the API model; empty: it does."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A task of a batch that cannot be described, and the error code for it."""

    id: str
    code: str
    raises: type[RemoteError] = NotFound
    """The error that a client must raise for it."""

    def error(self, tasks: int) -> RemoteError:
        """Return this error, after a call about so many tasks. What a reply about several does not say, one about a single task may."""
        error = self.raises(self.code)
        return BatchFailed(error) if tasks > 1 and isinstance(error, Unreadable) else error


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of the service: an `error`, or the tasks as of `as_of`. A `fault` without an `error` breaks the reply with the tasks."""

    outcome: str
    """`ok`, an error code, or the name of a fault."""
    tasks: tuple[DeclaredTask | Missing, ...] = ()
    """In the order of the request."""
    as_of: float = 0.0
    error: ServiceError | None = None
    fault: str | None = None

    @property
    def found(self) -> list[DeclaredTask]:
        """The tasks that exist."""
        return [task for task in self.tasks if isinstance(task, DeclaredTask)]


class DeclaredService:
    """The services of all kinds of `kinds`, which is called at the first use, in the account of `voice`."""

    def __init__(self, kinds: Kinds, voice: VoiceService) -> None:
        self.voice = voice
        self.kinds = ServedKinds(kinds, voice.scenario.mark)
        self.tasks = DeclaredTasks(voice.tasks)
        self._in_flight: dict[tuple[str, ...], int] = {}
        self._others = 0  # requests about no task that exists
        self._buckets: dict[tuple[str, float | None, float | None], TokenBucket] = {}

    def call(self, refs: Sequence[TaskRef]) -> Call:
        """Return the request that a watcher makes for tasks of one batch group. Raises KeyError for a kind that is not served."""
        first, *others = self.kinds.routes_of(refs[0].kind)
        route = others[0] if others and len(refs) == 1 else first
        return Call(route, tuple(ref.params for ref in refs))

    def outcomes(self, call: Call, reply: Reply) -> Sequence[Observation | RemoteError]:
        """Return what a probe reads from a reply with tasks, for each task of the call."""
        now, contents = self.voice.clock(), call.route.contents
        return [
            item.error(len(call.params)) if isinstance(item, Missing) else contents.observation(item, reply.as_of, now)
            for item in reply.tasks
        ]

    @asynccontextmanager
    async def handle(self, call: Call) -> AsyncIterator[Reply]:
        """Yield the reply, after the latency. The request is in flight until the block ends: send the reply inside it."""
        stats, keys = self.voice.stats, [(call.route.kind.name, *params) for params in call.params]
        for key in keys:
            self._in_flight[key] = self._in_flight.get(key, 0) + 1
            stats.peak_per_task = max(stats.peak_per_task, self._in_flight[key])
        stats.in_flight += 1
        stats.actions[call.route.operation.name] += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        try:
            reply = await self._reply(call)
            stats.outcomes[reply.outcome] += 1
            yield reply
        finally:
            stats.in_flight -= 1
            for key in keys:
                self._in_flight[key] -= 1
                if not self._in_flight[key]:
                    del self._in_flight[key]

    async def _reply(self, call: Call) -> Reply:
        scenario, kind, now = self.voice.scenario, call.route.kind, self.voice.clock()
        error = self._refusal(call, now)
        found = [] if error is not None else [self.tasks.find(kind, params, now) for params in call.params]
        existing = [task for task in found if task is not None]
        rng = self.voice.tasks.rng("call", kind.name, *(existing[0].params if existing else ()), str(self._count(existing)))
        fault, latency = pick_fault(scenario.faults, rng.random()), scenario.latency.draw(rng)
        fault = next((rule.fault for params in call.params if (rule := rule_of(deciding_part(params[-1]))).fault), fault)
        if fault == "wrong-id" and kind.reply.id is None and not call.route.batched:
            fault = None  # the reply has no id
        await anyio.sleep(latency + (scenario.slow if fault == "slow" and error is None else 0.0))
        if error is not None:
            return self._failed(call, error)
        if fault is not None and (FAULTS[fault].code or FAULTS[fault].status != 200):
            return self._failed(call, FAULTS[fault], fault)
        return self._act(call, found, fault)

    def _refusal(self, call: Call, now: float) -> ServiceError | None:
        """Return the error that the service replies before it looks up the tasks."""
        if not self._bucket(call.route.kind).take(now):
            return THROTTLED
        if problem := call.problem or _excess(call):
            return ServiceError(problem, INVALID.raises, INVALID.status, INVALID.code)
        if any(params[:-1] and params[0].startswith(DENIED_PREFIX) for params in call.params):
            return DENIED
        if self._has_failures(call):
            return None  # each task has its own error
        return next((rule.error for params in call.params if (rule := rule_of(deciding_part(params[-1]))).error), None)

    def _has_failures(self, call: Call) -> bool:
        batch = call.route.kind.batch
        return call.route.batched and batch is not None and batch.failure_code is not None

    def _act(self, call: Call, found: Sequence[DeclaredTask | None], fault: str | None) -> Reply:
        now = self.voice.clock()
        tasks = [task if task is not None and self.tasks.visible(task, now) else None for task in found]
        described = [task or self._missing(call, params) for task, params in zip(tasks, call.params, strict=True)]
        described = [self._refused(call, item) for item in described]
        if not call.route.batched and any(isinstance(item, Missing) for item in described):
            return self._failed(call, NOT_FOUND)
        as_of = now - self.voice.scenario.stale if fault == "stale" else now
        for task in described:
            if isinstance(task, DeclaredTask) and task.kind.phase(task.period(now).status) is Phase.TERMINAL:
                self.voice.stats.after_end += task.end_seen
                task.end_seen = True
        return Reply(fault or "ok", tuple(described), as_of, fault=fault)

    def _missing(self, call: Call, params: tuple[str, ...]) -> Missing:
        return Missing(params[-1], failure_code(call.route.operation, call.route.kind))

    def _refused(self, call: Call, item: DeclaredTask | Missing) -> DeclaredTask | Missing:
        """Return the error of a task whose id asks for one, in a reply that has errors of single tasks."""
        if isinstance(item, Missing) or not self._has_failures(call):
            return item
        error = rule_of(deciding_part(item.params[-1])).error
        if error is None:
            return item
        own = error_about(call.route.operation, call.route.kind, error, item.params[-1])
        return Missing(item.params[-1], own.code, own.raises or NotFound)

    def _failed(self, call: Call, error: ServiceError, fault: str | None = None) -> Reply:
        own = error_about(call.route.operation, call.route.kind, error, call.params[0][-1] if call.params else "")
        return Reply(own.code or fault or "", error=own, fault=fault)

    def _count(self, tasks: Sequence[DeclaredTask]) -> int:
        """Return the number of this call among those for its first task, so that each call draws its own fault and latency."""
        if not tasks:
            self._others += 1
            return self._others
        for task in tasks:
            task.calls += 1
        return tasks[0].calls

    def _bucket(self, kind: Kind) -> TokenBucket:
        """Return the permits of the quota of a kind. Another quota in the scenario begins with a full bucket."""
        scenario = self.voice.scenario
        key = (kind.quota.name, scenario.quota, scenario.burst)
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(scenario.quota, scenario.burst)
        return self._buckets[key]


def _excess(call: Call) -> str:
    batch = call.route.kind.batch
    if batch is None or not call.route.batched or len(call.params) <= batch.size:
        return ""
    return f"{batch.param} has {len(call.params)} ids; at most {batch.size} are allowed"
