"""The simulated service behind whatever door it is asked through: quota, one call per task, faults, latency, the task.

It decides what is answered and when. How an answer looks on a wire is for `server.py`, as an observation for `probe.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

from watcher.kinds import Kind
from watcher.simulator.faults import BUSY, DENIED, FAULTS, INVALID, NOT_FOUND, THROTTLED, Problem, pick
from watcher.simulator.quota import TokenBucket
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_task import TERMINAL, SimulatedTask
from watcher.simulator.task_table import DENIED as DENIED_CONNECTOR
from watcher.simulator.task_table import Key, TaskTable

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "speaker-search": ("TransactionId", "VoiceProfileDomainId"),
    "voice-tone": ("TransactionId", "LanguageCode"),
}
"""What a Start call must say, by the API model."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the API. `task_id` is empty for a Start."""

    action: Literal["Get", "Start", "Stop"]
    kind: Kind
    connector: str
    task_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says: a task (`life` as of `as_of`), or a problem; or a task and a `fault` to send it with."""

    outcome: str
    """`ok`, an error code, or the name of a fault."""
    life: SimulatedTask | None = None
    as_of: float = 0.0
    problem: Problem | None = None
    fault: str | None = None


@dataclass(slots=True)
class Stats:
    """What was asked and how it was answered, since the beginning."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Requests by `Answer.outcome`; `signature` counts those refused before they were read."""
    actions: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    peak_in_flight: int = 0
    peak_per_task: int = 0
    """The most requests about one task at the same time, those answered with a conflict included."""
    after_end: int = 0
    """Gets about a task whose end an earlier Get had already told: calls that a good watcher saves."""

    @property
    def requests(self) -> int:
        """All of them."""
        return self.outcomes.total()


class Service:
    """One simulated account in one Region."""

    def __init__(self, scenario: Scenario, clock: Callable[[], float]) -> None:
        self.world = TaskTable(scenario)
        self.clock = clock
        self.stats = Stats()
        self._asking: Counter[Key] = Counter()  # requests about a task, whatever they will be told
        self._held: set[Key] = set()  # tasks that a request is being answered about: a second one is refused
        self._others = 0  # requests that are about no task, or are refused
        self._buckets: dict[str, TokenBucket] = {}

    @property
    def scenario(self) -> Scenario:
        """As it is now."""
        return self.world.scenario

    def change(self, **updates: Any) -> None:
        """Change the scenario while it plays: an outage, another quota. Lives that have begun go on as they were drawn."""
        kept = {name: getattr(self.scenario, name) for name in self.scenario.model_fields_set}
        self.world.scenario = Scenario(**{**kept, **updates})
        if {"quota", "burst"} & updates.keys():
            self._buckets.clear()

    @asynccontextmanager
    async def ask(self, request: Request) -> AsyncIterator[Answer]:
        """The answer, after the latency. The request counts as in flight until the block ends: send the reply inside."""
        key, stats = (request.kind.name, request.connector, request.task_id), self.stats
        self._asking[key] += 1
        stats.in_flight += 1
        stats.actions[request.action] += 1
        stats.peak_in_flight = max(stats.peak_in_flight, stats.in_flight)
        stats.peak_per_task = max(stats.peak_per_task, self._asking[key] if request.task_id else 0)
        problem = self._refusal(request, key)
        holds = problem is None and request.task_id != ""
        if holds:
            self._held.add(key)
        try:
            answer = await self._answer(request, key, problem)
            stats.outcomes[answer.outcome] += 1
            yield answer
        finally:
            if holds:
                self._held.discard(key)
            stats.in_flight -= 1
            self._asking[key] -= 1
            if not self._asking[key]:
                del self._asking[key]

    async def _answer(self, request: Request, key: Key, problem: Problem | None) -> Answer:
        scenario = self.scenario
        life = None
        if problem is None and request.task_id:
            life = self.world.find(request.kind, request.connector, request.task_id, self.clock())
            problem = NOT_FOUND if life is None else None
        dice = self.world.dice("call", *key, str(self._count(life)))
        fault, latency = pick(scenario.faults, dice.random()), scenario.latency.draw(dice)
        await anyio.sleep(latency + (scenario.slow if fault == "slow" and problem is None else 0.0))
        if problem is not None:
            return _problem(problem)
        if fault is not None and (FAULTS[fault].code or FAULTS[fault].status != 200):
            return Answer(FAULTS[fault].code or fault, problem=FAULTS[fault], fault=fault)
        return self._act(request, life, fault)

    def _refusal(self, request: Request, key: Key) -> Problem | None:
        """What is said before anything is looked up."""
        if not self._bucket(request.kind).take(self.clock()):
            return THROTTLED
        if not _valid(request):
            return INVALID
        if request.connector.startswith(DENIED_CONNECTOR):
            return DENIED
        return BUSY if key in self._held else None

    def _act(self, request: Request, life: SimulatedTask | None, fault: str | None) -> Answer:
        now = self.clock()
        if life is None:
            life = self.world.start(request.kind, request.connector, request.body, now)
        elif not self.world.visible(life, now):
            return _problem(NOT_FOUND)
        elif request.action == "Stop":
            life.stop(now)
        else:
            self._note_end(life, now)
        as_of = max(life.created_at, now - self.scenario.stale) if fault == "stale" else now
        return Answer(fault or "ok", life=life, as_of=as_of, fault=fault)

    def _note_end(self, life: SimulatedTask, now: float) -> None:
        if life.span(now).status in TERMINAL:
            self.stats.after_end += life.end_seen
            life.end_seen = True

    def _count(self, life: SimulatedTask | None) -> int:
        if life is None:
            self._others += 1
            return self._others
        life.calls += 1
        return life.calls

    def _bucket(self, kind: Kind) -> TokenBucket:
        if kind.name not in self._buckets:
            self._buckets[kind.name] = TokenBucket(self.scenario.quota, self.scenario.burst)
        return self._buckets[kind.name]


def _problem(problem: Problem) -> Answer:
    return Answer(problem.code, problem=problem)


def _valid(request: Request) -> bool:
    """What the API model promises about a request."""
    if not 1 <= len(request.connector) <= 128 or not request.connector.strip():
        return False
    if request.action == "Start":
        return all(isinstance(request.body.get(name), str) and request.body[name].strip() for name in REQUIRED[request.kind.name])
    return 1 <= len(request.task_id) <= 256 and bool(request.task_id.strip())
