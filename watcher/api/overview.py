"""The data of the page for operators: the health, the open tasks, the calls, the deliveries, the replicas, and the last hour.

It contains no result, no status message, and no context. The tasks and the replicas are read from the store, everything else from
memory. If a read of the store fails, only its part of the overview is unavailable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Query, Response

from watcher import __version__
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.overview_example import OVERVIEW
from watcher.api.overview_model import (
    Calls,
    Component,
    DeadLetterCounts,
    HistoryColumns,
    OpenTasks,
    Overview,
    Pause,
    QuotaColumns,
    Replicas,
    SinkState,
    TaskCount,
)
from watcher.api.problems import responses
from watcher.api.replies import NO_STORE
from watcher.api.store_parts import Part, StoreParts
from watcher.observe.history import History, QuotaSample, Sample, sums_by
from watcher.queries.replicas import living_replicas
from watcher.query import AGE_BOUNDS_S, OpenCount
from watcher.runtime.health import Health
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller

RECENT_S = 60.0
"""The time over which the current call rates are averaged, in seconds."""


class OverviewReader:
    """Reads the overview of one running watcher. `run` must run beside it."""

    def __init__(self, backend: Backend, health: Health, pollers: PollerSet) -> None:
        self._backend = backend
        self._health = health
        self._pollers = pollers
        self._started_at = backend.wall()
        self._history = History(backend.metrics, backend.catalog, wall=backend.wall)
        self._parts = StoreParts({"tasks": self._open_tasks, "replicas": lambda: living_replicas(backend.store)})

    async def run(self) -> None:
        """Take samples, and read the store while pages request it, until cancelled."""
        async with anyio.create_task_group() as loops:
            loops.start_soon(self._history.run, name="history")
            loops.start_soon(self._parts.run, name="overview")

    async def read(self, since: float) -> Overview:
        """Return the current overview, with the samples that are newer than `since` (seconds since the epoch)."""
        backend, parts = self._backend, await self._parts.latest()
        ok, conditions = self._health.ready()
        return Overview(
            at=_time(backend.wall()),
            version=__version__,
            started_at=_time(self._started_at),
            ok=ok,
            components=[
                Component(name=name, ok=each.ok, reason=each.reason, since=_time(each.since), hint=each.hint)
                for name, each in conditions.items()
            ],
            kinds={kind.name: {status: str(found) for status, found in kind.statuses.items()} for kind in backend.catalog},
            paused=[Pause(reason=reason, hint=hint) for reason, hint in sorted(backend.gate.hints.items())],
            tasks=_tasks(parts["tasks"]),
            calls=[self._calls(poller) for poller in self._pollers],
            sinks=list(self._sinks()),
            dead_letters=self._dead_letters(),
            replicas=self._replicas(parts["replicas"]),
            history=history_columns(self._history.every_s, self._history.since(since)),
        )

    async def _open_tasks(self) -> Sequence[OpenCount]:
        return await self._backend.store.count_by_state(self._backend.wall())

    def _calls(self, poller: Poller) -> Calls:
        pace, now = poller.policy.pace, anyio.current_time()
        recent = self._history.rate(poller.of.name, RECENT_S)
        return Calls(
            quota=poller.quota.name,
            target=poller.of.target,
            title=poller.quota.title,
            open=len(poller.pending),
            pace=pace.rate,
            configured=pace.ceiling if math.isfinite(pace.ceiling) else None,
            answered=recent.answered if recent else 0.0,
            throttled=recent.throttled if recent else 0.0,
            failed=recent.failed if recent else 0.0,
            in_flight=poller.pending.calls_in_flight,
            price_s=poller.policy.cadence.price,
            lateness_s=max(0.0, poller.pending.lateness(now)),
        )

    def _sinks(self) -> Iterator[SinkState]:
        metrics, health = self._backend.metrics, self._health
        ages = sums_by("sink", metrics.outbox_age)
        delivered = sums_by("sink", metrics.deliveries, outcome="delivered")
        for name, backlog in sums_by("sink", metrics.outbox_events).items():
            yield SinkState(
                name=name,
                ok=health.is_good(f"sink:{name}"),
                backlog=round(backlog),
                oldest_s=ages.get(name) if backlog else None,
                delivered=round(delivered.get(name, 0)),
            )

    def _dead_letters(self) -> DeadLetterCounts:
        metrics = self._backend.metrics
        kept, limits = sums_by("what", metrics.dead_letters_kept), sums_by("what", metrics.dead_letters_limit)
        return DeadLetterCounts(inputs=round(kept["input"]), events=round(kept["event"]), limit=round(limits["event"]))

    def _replicas(self, part: Part) -> Replicas:
        if self._backend.store.renew_s is None:
            return Replicas(shared=False)
        if part.value is None:
            return Replicas(shared=True, unavailable=part.unavailable)
        found = part.value.as_json()
        return Replicas(shared=True, shards=found["shards"], unowned=found["unowned"], trouble=found["trouble"], replicas=found["replicas"])


def overview_router(reader: OverviewReader, access: Access) -> APIRouter:
    """Return the route of the overview."""
    routes = APIRouter(prefix="/v1/overview", tags=["overview"])

    @routes.get(
        "",
        response_model=Overview,
        dependencies=[Depends(access.require("read"))],
        summary="Get the data of the page",
        responses={200: {"content": {"application/json": {"example": OVERVIEW}}}, **responses(400, 401, 403)},
    )
    async def overview(
        since: Annotated[
            float, Query(allow_inf_nan=False, description="Leave out samples up to this time, in seconds since the epoch.")
        ] = 0.0,
    ) -> Response:
        """Health, open tasks, calls, deliveries, replicas, and the last hour in samples. It has no results, messages, or contexts."""
        found = await reader.read(since)
        return Response(found.model_dump_json(), headers=NO_STORE, media_type="application/json")

    return routes


def history_columns(every_s: float, samples: Sequence[Sample]) -> HistoryColumns:
    """Return the samples as columns, which reduces the size of an hour to a third."""
    newest = samples[-1] if samples else None
    return HistoryColumns(
        every_s=every_s,
        at=[sample.at for sample in samples],
        open=_column(sample.open for sample in samples),
        events_per_s=_column(sample.events for sample in samples),
        lag_mean_s=_column(sample.lag_mean_s for sample in samples),
        lag_p95_s=_column(sample.lag_p95_s for sample in samples),
        calls_per_task=_column(sample.calls_per_task for sample in samples),
        quotas={name: _quota_columns([sample.quotas.get(name) for sample in samples]) for name in (newest.quotas if newest else ())},
        backlog={name: _column(sample.backlog.get(name) for sample in samples) for name in (newest.backlog if newest else ())},
    )


def _quota_columns(samples: Sequence[QuotaSample | None]) -> QuotaColumns:
    """A sample is missing before the first watch under the quota."""
    return QuotaColumns(
        answered=_column(None if sample is None else sample.answered for sample in samples),
        throttled=_column(None if sample is None else sample.throttled for sample in samples),
        failed=_column(None if sample is None else sample.failed for sample in samples),
        pace=_column(None if sample is None else sample.pace for sample in samples),
        price_s=_column(None if sample is None else sample.price_s for sample in samples),
    )


def _column(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else round(value, 4) for value in values]


def _tasks(part: Part) -> OpenTasks:
    if part.value is None:
        return OpenTasks(unavailable=part.unavailable)
    groups = [
        TaskCount(kind=each.kind, status=each.status, upto_s=_bound(each.upto_s), count=each.watches)
        for each in sorted(part.value, key=lambda each: (each.kind, each.status or "", each.upto_s))
    ]
    return OpenTasks(count=sum(group.count for group in groups), ages=[_bound(age) for age in AGE_BOUNDS_S], groups=groups)


def _bound(age_s: float) -> float | None:
    return age_s if math.isfinite(age_s) else None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
