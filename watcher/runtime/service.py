"""A running watcher: opens the adapters, starts the loops, and stops both in order within a deadline.

Uses ports and loops only. `assembly.py` puts them together. No signals: the holder of the object calls `stop`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import anyio
import structlog

from watcher.errors import PeerGone
from watcher.observe.metrics import Metrics
from watcher.ports import Probe, Sink, Source, Store, TokenSink
from watcher.runtime.acks import Acknowledger
from watcher.runtime.admission import Admission
from watcher.runtime.arrivals import Arrivals
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.circuit_states import save_open_circuits
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.feed import Feed
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake import Intake
from watcher.runtime.leases import Leases
from watcher.runtime.maintenance import Maintenance
from watcher.runtime.operator_requests import OperatorRequests
from watcher.runtime.ownership import Ownership
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.wakeup import IntakeGate

log = structlog.get_logger("watcher.service")

CALLS_SHARE, FLUSH_SHARE = 0.65, 0.85
"""Shares of the stop deadline by which calls in flight, and then the outbox, must be done."""
IDLE_CHECK_S, BUSY_CHECK_S = 0.2, 1.0
"""Seconds between two checks whether all work is done: when every source is exhausted, and before that."""
CLOSE_S = 3.0
"""The longest time for closing the adapters, in seconds."""

Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters of a watcher."""

    sources: Sequence[Source]
    probe: Probe
    store: Store
    sinks: Sequence[Sink]


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of a watcher, in the order of the data."""

    leases: Leases
    ownership: Ownership
    arrivals: Arrivals
    intake: Intake
    pollers: PollerSet
    sink_workers: Sequence[SinkWorker]
    acks: Acknowledger
    backlog: BacklogCounter
    operator_requests: OperatorRequests
    maintenance: Maintenance


@dataclass(frozen=True, slots=True)
class Handles:
    """What the API uses of a watcher besides its store."""

    admission: Admission
    gate: IntakeGate
    feed: Feed
    loaded: anyio.Event
    """Set when the watches of earlier runs are loaded. A task that is submitted earlier could be in neither the load nor the feed."""


class Watcher:
    """`async with watcher: await watcher.run()`. `stop_deadline` is in seconds; `beside` are further loops to run.

    `drop_sinks` are the names of sinks that are no longer configured, and whose events are erased.
    """

    def __init__(
        self,
        adapters: Adapters,
        loops: Loops,
        handles: Handles,
        stop_deadline: float,
        instruments: Instruments,
        beside: Sequence[Loop] = (),
        drop_sinks: Collection[str] = (),
    ) -> None:
        self.adapters = adapters
        self.loops = loops
        self.handles = handles
        self.finished = False
        """The run ended because all work was done: finite sources, every watch ended, every event settled."""
        self._stop_deadline = stop_deadline
        self._instruments = instruments
        self._clock = instruments.clock
        self._beside = beside
        self._drop_sinks = drop_sinks
        self._stop = anyio.Event()
        self._stopped_at = 0.0
        self._resources = AsyncExitStack()

    @property
    def health(self) -> Health:
        """The conditions of the components."""
        return self._instruments.health

    @property
    def metrics(self) -> Metrics:
        """The metrics of this watcher."""
        return self._instruments.metrics

    async def __aenter__(self) -> Watcher:
        """Open the store, the sinks, the probe, and the sources, in this order, and restore what was learned."""
        try:
            await self._resources.__aenter__()
            await self._enter(self.adapters.store, self._open_store)
            self.loops.leases.shards = self.adapters.store.shards
            others: list[Sink | Probe | Source] = [*self.adapters.sinks, self.adapters.probe, *self.adapters.sources]
            for adapter in others:
                await self._enter(adapter, adapter.open)
            await self.loops.maintenance.restore()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
            await self._resources.aclose()

    def stop(self) -> None:
        """Receive nothing more, let calls in flight finish, flush the outbox for a while, save, and return from `run`."""
        self._stop.set()

    async def run(self) -> None:
        """Run until all work is done (finite sources), or until `stop`. Raises what ended it: StoreRefused, or a bug."""
        loops = self.loops
        async with anyio.create_task_group() as group:
            for worker in loops.sink_workers:
                group.start_soon(self._deliver, worker, name=f"deliver {worker.sink.name}")
            maintenance = (loops.maintenance.run_saves, loops.maintenance.run_prunes)
            sharing = (loops.ownership.run, loops.arrivals.run)
            upkeep = (*sharing, loops.pollers.steer, loops.backlog.run, loops.operator_requests.run, loops.acks.run)
            for loop in (*upkeep, *maintenance, *self._beside):
                group.start_soon(loop, name=getattr(loop, "__qualname__", "beside"))
            group.start_soon(save_open_circuits, self.adapters.store, self.health, name="circuits")
            await self._flow()
            await self._flush()
            group.cancel_scope.cancel()

    async def _enter(self, adapter: Store | Sink | Probe | Source, opening: Callable[[], Awaitable[None]]) -> None:
        self._resources.push_async_callback(adapter.close)
        await opening()

    async def _open_store(self) -> None:
        dropped = await self.adapters.store.open([sink.name for sink in self.adapters.sinks], self._drop_sinks)
        for name, left in dropped.items():
            hint = "requested by --drop-sink: remove this option from the command"
            log.warning("sink_dropped", sink=name, undelivered=left.undelivered, dead_letters=left.dead_letters, hint=hint)

    async def _deliver(self, worker: SinkWorker) -> None:
        """Run one sink worker. A sink whose reader is gone ends the run only if there is no other sink."""
        try:
            await worker.run()
        except* PeerGone as gone:
            if len(self.loops.sink_workers) == 1:
                raise
            hint = "a durable store (sqlite, postgres) keeps its events for the next start"
            self.health.bad(f"sink:{worker.sink.name}", str(gone.exceptions[0]), hint)

    async def _flow(self) -> None:
        """Intake and polling, until all work is done or a stop; then calls in flight finish."""
        async with anyio.create_task_group() as work:
            work.start_soon(self._receive, name="intake")
            work.start_soon(self.loops.pollers.run, name="polling")
            await self._until_done_or_stopped()
            self._stopped_at = self._clock.mono()
            self.loops.ownership.stop()
            self.loops.intake.stop()
            self.loops.pollers.stop()
            work.cancel_scope.deadline = self._stopped_at + CALLS_SHARE * self._stop_deadline

    async def _receive(self) -> None:
        """Receive only when the watches of earlier runs are loaded; these are polled in the meantime."""
        await self.loops.ownership.adoption.done.wait()
        sources = [source.name for source in self.adapters.sources]
        log.info("started", open_watches=len(self.loops.pollers), sources=sources)
        await self.loops.intake.run()

    async def _until_done_or_stopped(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_done, tasks.cancel_scope, name="completion")
            await self._stop.wait()
            tasks.cancel_scope.cancel()  # also a check that waits for a store that is down
        if not self.finished:
            log.info("stopping", in_flight=self.loops.pollers.in_flight, deadline_s=self._stop_deadline)

    async def _until_done(self, waiting: anyio.CancelScope) -> None:
        while not await self._done():  # noqa: ASYNC110 - no single event marks the end of all work
            await anyio.sleep(IDLE_CHECK_S if self.loops.intake.exhausted else BUSY_CHECK_S)
        self.finished = True
        log.info("finished", hint="to run until SIGTERM, add a source without an end, such as an SQS queue or a named pipe")
        waiting.cancel()

    async def _done(self) -> bool:
        """Whether all work is done. The store decides, not the count in memory, because the end is final.

        Also the work of other replicas counts: one that ends may leave it to this one. A watch of a kind or a target that is not
        configured does not count: no poll of this process could end it.
        """
        loops, store = self.loops, self.adapters.store
        idle = loops.ownership.adoption.done.is_set() and loops.intake.exhausted and not loops.pollers and not loops.backlog.total
        if not idle or (store.renew_s is not None and await store.count_open(*loops.pollers.polled)):
            return False
        if any(waiting.events for waiting in (await store.backlog()).values()):
            return False
        answers_tokens = any(isinstance(sink, TokenSink) for sink in self.adapters.sinks)
        return not (answers_tokens and await store.late_tokens(loops.leases.kept, 1))

    async def _flush(self) -> None:
        """Deliver what is committed, as far as the deadline allows. The rest stays in the outbox for the next owner.

        Other replicas deliver it at once, so this one then only lets its deliveries under way end.
        """
        loops, deadline = self.loops, self._stop_deadline
        with anyio.move_on_after(max(0.0, self._stopped_at + FLUSH_SHARE * deadline - self._clock.mono())):
            if loops.ownership.shared:
                await loops.ownership.hand_over(loops.leases.kept, polling=False)
            while loops.backlog.total or loops.acks.waiting:  # noqa: ASYNC110 - no single event marks the end of all deliveries
                await anyio.sleep(0.05)
        if loops.backlog.total:
            hint = "a durable store (sqlite, postgres) keeps them for the next owner; with the store memory, SQS keeps their inputs"
            log.warning("stopped_with_undelivered_events", events=loops.backlog.total, hint=hint)
        with anyio.move_on_after(max(1.0, self._stopped_at + deadline - CLOSE_S - self._clock.mono())):
            await loops.maintenance.save()
            await loops.ownership.give_back()
