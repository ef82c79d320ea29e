"""A watcher: everything the flow needs, started in order, stopped in order, within a deadline.

Knows ports only. No signals and no arguments: whoever holds it calls `stop`.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import structlog

from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.schedule import noted
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import PeerGone
from watcher.kinds import QUOTAS, Quota
from watcher.model import Event
from watcher.observe.metrics import Metrics
from watcher.ports import OwnedStore, Probe, Sink, Source
from watcher.runtime.clock import Clock
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake import Intake
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller, PollPolicy
from watcher.runtime.retrying import until_stored
from watcher.runtime.settings import Limits
from watcher.runtime.upkeep import Upkeep
from watcher.runtime.wakeup import IntakeGate

log = structlog.get_logger("watcher.supervise")

CALLS_SHARE, FLUSH_SHARE = 0.65, 0.85
"""Adapters of the stop deadline by which calls in flight, and then the outbox, must be done with."""
IDLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters of a watcher."""

    sources: Sequence[Source]
    probe: Probe
    store: OwnedStore
    sinks: Sequence[Sink]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings its loops run by."""

    watch: WatchSettings = field(default_factory=WatchSettings)
    pace: PaceSettings = field(default_factory=PaceSettings)
    cadence: CadenceSettings = field(default_factory=CadenceSettings)
    events: EventSettings = field(default_factory=EventSettings)
    limits: Limits = field(default_factory=Limits)
    region: str | None = None


def _random_id() -> str:
    return uuid.uuid4().hex


class Watcher:
    """`async with Watcher(parts, plan) as watcher: await watcher.run()`."""

    def __init__(
        self,
        parts: Adapters,
        plan: ServiceSettings,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        new_id: Callable[[], str] = _random_id,
        metrics: Metrics | None = None,
        beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self.parts = parts
        self.plan = plan
        self.clock = clock or Clock()
        self.metrics = metrics or Metrics()
        self.health = Health(self.clock.wall)
        self._instruments = Instruments(self.clock, self.health, self.metrics)
        self.finished = False
        """It ended by itself: finite sources, every watch ended, every event settled."""
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._new_id = new_id
        self._beside = beside
        self._stop = anyio.Event()
        self._taken_up = False
        """The watches of an earlier life are all here."""
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Watcher:
        """Open store, sinks, probe and sources, in this order."""
        try:
            await self._resources.__aenter__()
            await self._open()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(3):
            await self._resources.aclose()

    def stop(self) -> None:
        """Take nothing more in, let calls in flight finish, flush the outbox for a while, save, and return from `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Until everything is done (finite sources), or `stop`. Raises what broke: StoreRefused, or a bug."""
        async with anyio.create_task_group() as house:
            for sink_worker in self._sink_workers:
                house.start_soon(self._carry, sink_worker, name=f"sink_worker {sink_worker.sink.name}")
            for loop in (self._upkeep.steer, self._upkeep.notes, self._upkeep.prune, *self._beside):
                house.start_soon(loop, name=getattr(loop, "__qualname__", "beside"))
            house.start_soon(self._upkeep.house, self._intake, name="house")
            for source in self.parts.sources if self._unacked is not None else ():
                house.start_soon(self._upkeep.acknowledge, self._intake, source, name=f"acknowledge {source.name}")
                house.start_soon(self._upkeep.extend, self._intake, source, name=f"extend {source.name}")
            await self._flow()
            await self._flush()
            house.cancel_scope.cancel()

    async def _carry(self, sink_worker: SinkWorker) -> None:
        """One sink's events, for ever. A sink that is gone for good ends the run only where there is no other to be told."""
        try:
            await sink_worker.run()
        except* PeerGone as gone:
            if len(self._sink_workers) == 1:
                raise
            hint = "its events stay in the outbox; the next start tells them"
            self.health.bad(f"sink:{sink_worker.sink.name}", str(gone.exceptions[0]), hint)

    async def _open(self) -> None:
        parts, plan, now = self.parts, self.plan, self.clock.mono()
        await self._keep(parts.store, lambda: parts.store.open([sink.name for sink in parts.sinks]))
        others: list[Sink | Probe | Source] = [*parts.sinks, parts.probe, *parts.sources]
        for part in others:
            await self._keep(part, part.open)
        self._unacked = None if parts.store.durable else UnackedMessages([sink.name for sink in parts.sinks])
        circuits, writer, gate = Circuits(), EventWriter(plan.events, plan.region or "local"), IntakeGate()
        rules = {name: PollPolicy(plan.watch, Cadence(plan.cadence), Pace(plan.pace, now), circuits, writer) for name in QUOTAS}
        for name, quota in QUOTAS.items():
            await self._remember(quota, rules[name])
        self._sink_workers = [SinkWorker(sink, parts.store, settled=self._settled, instruments=self._instruments) for sink in parts.sinks]
        self._poller_set = PollerSet(
            [
                Poller(
                    quota,
                    parts.probe,
                    parts.store,
                    rules[name],
                    max_in_flight=plan.limits.max_in_flight,
                    rng=self._rng,
                    committed=self._committed,
                    instruments=self._instruments,
                )
                for name, quota in QUOTAS.items()
            ]
        )
        self._upkeep = Upkeep(
            parts.store,
            self._poller_set,
            self._sink_workers,
            self._unacked,
            gate,
            limits=plan.limits,
            retention=plan.watch.retention,
            instruments=self._instruments,
        )
        self._intake = Intake(
            parts.sources,
            parts.store,
            self._poller_set,
            self._unacked,
            gate=gate,
            max_watches=plan.limits.max_watches,
            settings=plan.watch,
            region=plan.region,
            new_id=self._new_id,
            instruments=self._instruments,
        )

    async def _keep(self, part: OwnedStore | Sink | Probe | Source, opening: Callable[[], Awaitable[None]]) -> None:
        self._resources.push_async_callback(part.close)
        await opening()

    async def _remember(self, quota: Quota, rules: PollPolicy) -> None:
        """What an earlier life wrote down."""
        pace = await until_stored(self.health, lambda: self.parts.store.load_state(noted("pace", quota)))
        if pace is not None:
            with suppress(ValueError):  # a note that cannot be read is worth nothing, and costs nothing
                rules.pace.restore(float(pace), self.clock.mono())
        cadence = await until_stored(self.health, lambda: self.parts.store.load_state(noted("cadence", quota)))
        if cadence is not None:
            rules.cadence.restore(cadence)

    async def _flow(self) -> None:
        """Intake and polling, until there is nothing left to do or somebody stops it; then what is in flight finishes."""
        async with anyio.create_task_group() as work:
            work.start_soon(self._poller_set.run, name="polling")
            work.start_soon(self._take_up, name="intake")
            await self._until_done_or_stopped()
            self._stopped_at = self.clock.mono()
            self._intake.stop()
            self._poller_set.stop()
            work.cancel_scope.deadline = self._stopped_at + CALLS_SHARE * self.plan.limits.stop_deadline

    async def _take_up(self) -> None:
        """First the watches of an earlier life, then what sources bring. Those that are here are polled while the rest is still read."""
        await until_stored(self.health, self._load)
        self._taken_up = True
        log.info("watching", open_watches=len(self._poller_set), sources=[source.name for source in self.parts.sources])
        await self._intake.run()

    async def _load(self) -> None:
        """May be repeated. What stands there by now is newer than what was read."""
        async for watches in self.parts.store.load():
            if self._stop.is_set():
                return
            for watch in watches:
                if watch.key not in self._poller_set:
                    self._poller_set.watch(watch)

    async def _until_done_or_stopped(self) -> None:
        while not self._stop.is_set():
            if await self._done():
                self.finished = True
                return
            with anyio.move_on_after(IDLE_S):
                await self._stop.wait()
        log.info("stopping", in_flight=self._poller_set.in_flight, deadline_s=self.plan.limits.stop_deadline)

    async def _done(self) -> bool:
        idle = self._taken_up and self._intake.exhausted and not self._poller_set
        return idle and await self._upkeep.count() == 0

    async def _flush(self) -> None:
        """Deliver what is committed, as far as the deadline allows; what is left stands in the outbox for the next life."""
        deadline = self.plan.limits.stop_deadline
        with anyio.move_on_after(max(0.0, self._stopped_at + FLUSH_SHARE * deadline - self.clock.mono())):
            while await self._upkeep.count() > 0 or self._upkeep.unacknowledged:  # noqa: ASYNC110 - the store knows what is left, and rings no bell
                await anyio.sleep(0.05)
        if self._upkeep.backlog:
            log.warning("outbox_left", events=self._upkeep.backlog, hint="they are delivered after the next start")
        with anyio.move_on_after(max(1.0, self._stopped_at + deadline - 3 - self.clock.mono())):
            await self._upkeep.take_notes()

    def _committed(self, events: Sequence[Event]) -> None:
        for sink_worker in self._sink_workers:
            sink_worker.ring()

    def _settled(self, sink: str, events: Sequence[Event]) -> None:
        self._upkeep.settled(sink, events)
