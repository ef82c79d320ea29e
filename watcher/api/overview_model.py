"""The schema of `GET /v1/overview`. Members can be added, but never removed or renamed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

Column = list[float | None]
"""One value for each time of `HistoryColumns.at`; null where there is none."""


class Component(BaseModel):
    """A component of /readyz."""

    name: str
    ok: bool
    reason: str
    since: datetime
    hint: str


class Pause(BaseModel):
    """A limit at which intake is paused."""

    reason: str
    hint: str


class TaskCount(BaseModel):
    """The number of open tasks of this kind that have had this status for a time in this age class."""

    kind: str
    status: str | None
    """None before the first poll that saw the task. The age is then the time since its admission."""
    upto_s: float | None
    """The upper bound of the age class, one of `OpenTasks.ages`."""
    count: int


class OpenTasks(BaseModel):
    """The open tasks of the whole store."""

    count: int | None = None
    ages: list[float | None] = Field(default_factory=list)
    """The upper bounds of the age classes in seconds, the youngest first. None: no bound."""
    groups: list[TaskCount] = Field(default_factory=list)
    unavailable: str | None = None
    """Why the store could not be read. The other members are then empty."""


class Calls(BaseModel):
    """The calls of this process under one quota of one target. Rates are calls per second, over the last minute."""

    quota: str
    target: str = "default"
    """Whose quota it is. `HistoryColumns.quotas` has the calls under `quota`, or under `quota:target` if this is not `default`."""
    title: str
    open: int
    """Open tasks that this process polls under this quota."""
    pace: float
    """The call rate that the pace allows now."""
    configured: float | None
    """The highest rate that the configuration allows to this replica. None: the watcher finds the rate."""
    answered: float
    throttled: float
    failed: float
    in_flight: int
    price_s: float
    """The expected lag at which a task is polled."""
    lateness_s: float
    """How long the most overdue poll has been due."""


class SinkState(BaseModel):
    """The deliveries of this process to one sink."""

    name: str
    ok: bool
    backlog: int
    oldest_s: float | None
    """The age of the oldest event that is not settled, in seconds. None: there is none."""
    delivered: int
    """Since the start of this process."""


class DeadLetterCounts(BaseModel):
    """The dead letters in the store, as counted at most ten seconds ago. At the limit, nothing more is accepted."""

    inputs: int
    events: int
    limit: int


class Replicas(BaseModel):
    """The replicas that share the store. `shared` is false for a store with a single owner, which has no replicas."""

    shared: bool
    shards: int = 0
    unowned: int = 0
    trouble: list[str] = Field(default_factory=list)
    """What is wrong, and what to do about it: a sentence each."""
    replicas: list[dict[str, Any]] = Field(default_factory=list)
    unavailable: str | None = None


class QuotaColumns(BaseModel):
    """The calls under one quota, in calls per second."""

    answered: Column
    throttled: Column
    failed: Column
    pace: Column
    price_s: Column


class HistoryColumns(BaseModel):
    """Samples of the last hour, of this process."""

    every_s: float
    at: list[float]
    """Seconds since the epoch."""
    open: Column
    events_per_s: Column
    lag_mean_s: Column
    lag_p95_s: Column
    calls_per_task: Column
    quotas: dict[str, QuotaColumns]
    """By quota; by `quota:target` for a target other than the default one. Null before the first task under it."""
    backlog: dict[str, Column]
    """By sink."""


class Overview(BaseModel):
    """The state of one watcher, for the page for operators. It has no results, messages, or contexts."""

    at: datetime
    version: str
    started_at: datetime
    ok: bool
    """Whether all components work, as in /readyz."""
    components: list[Component]
    kinds: dict[str, dict[str, str]]
    """By kind, the class of each status (open, provisional, succeeded, failed), in the order of a task's life."""
    paused: list[Pause]
    tasks: OpenTasks
    calls: list[Calls]
    sinks: list[SinkState]
    dead_letters: DeadLetterCounts
    replicas: Replicas
    history: HistoryColumns
