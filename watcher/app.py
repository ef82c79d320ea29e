"""All wiring: adapters from the registry, the loops over them, and HTTP beside them.

`async with build(settings) as app: await app.run()`. No signals and no arguments: the command line handles those.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.core.delivery.events import EventWriter
from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.core.polling.cadence import Cadence
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace
from watcher.errors import ConfigMistakes, Unavailable
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Quota
from watcher.model import DEFAULT_TARGET
from watcher.observe.loop_lag import Heartbeat, measure_loop_lag
from watcher.observe.metrics import Metrics
from watcher.ports import Sink
from watcher.runtime.acks import Acknowledger
from watcher.runtime.admission import Admission
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.clock import Clock
from watcher.runtime.components import expect_components
from watcher.runtime.dead_letter_counter import DeadLetterCounter
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.feed import Feed
from watcher.runtime.health import Condition, Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake import Intake, MessageReader
from watcher.runtime.leases import Leases
from watcher.runtime.maintenance import Maintenance
from watcher.runtime.operator_requests import OperatorRequests
from watcher.runtime.outlet import Outlet
from watcher.runtime.ownership import Owned, Ownership
from watcher.runtime.pending_writes import HungWrites
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller, PollPolicy
from watcher.runtime.retrying_store import RetryingStore
from watcher.runtime.service import Adapters, Loop, Loops, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.runtime.wakeup import IntakeGate

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients
    from watcher.api.server import HttpServer
    from watcher.config import Settings

ALIVE_S = 60.0
"""An event loop that has not run for this long, in seconds, makes /healthz return 503."""


def assemble(
    adapters: Adapters,
    settings: ServiceSettings | None = None,
    *,
    determinism: Determinism | None = None,
    metrics: Metrics | None = None,
    beside: Sequence[Loop] = (),
) -> Watcher:
    """A watcher over these adapters. Opens nothing."""
    return _Assembly(adapters, settings or ServiceSettings(), determinism or Determinism(), metrics, beside).watcher()


class _Assembly:
    """Builds the loops of one watcher, in the order of their dependencies."""

    def __init__(
        self, adapters: Adapters, settings: ServiceSettings, determinism: Determinism, metrics: Metrics | None, beside: Sequence[Loop]
    ) -> None:
        self.adapters = adapters
        self.settings = settings
        self.determinism = determinism
        self.beside = beside
        clock = determinism.clock
        metrics = metrics or Metrics(settings.catalog)
        self.instruments = Instruments(clock, Health(clock.wall, metrics.show_component), metrics)
        self.store = RetryingStore(adapters.store, self.instruments)
        self.leases = Leases()
        self.feed = Feed()
        self.gate = IntakeGate()
        self.outlet = Outlet(self.store, self.leases, self.feed, EventWriter(settings.events, settings.region or "local"), self.instruments)
        self.dead_letters = DeadLetterCounter(self.store, self.gate, settings.limits.max_dead_letters, self.instruments)

    def watcher(self) -> Watcher:
        """Connect all loops."""
        settings, store, leases = self.settings, self.store, self.leases
        backlog = BacklogCounter([sink.name for sink in self.adapters.sinks], self.gate, settings.limits.max_outbox, self.instruments)
        patience = settings.limits.retry_refused
        workers = [SinkWorker(sink, store, leases, backlog, self.instruments, patience) for sink in self.adapters.sinks]
        pollers = self._pollers()
        expect_components(self.adapters, settings.catalog, self.instruments)
        acks = Acknowledger(self.adapters.sources, self._unacked(), self.instruments)
        intake = self._intake(acks)
        ownership = Ownership(store, leases, Owned(backlog, workers, pollers, acks), self.determinism.clock)
        self._subscribe(ownership, backlog, workers, pollers, acks)
        loops = Loops(
            leases,
            ownership,
            intake,
            pollers,
            workers,
            acks,
            backlog,
            OperatorRequests(store, leases, pollers, workers, acks, intake),
            Maintenance(store, pollers, settings.watch, self.determinism.clock),
        )
        adapters = Adapters(self.adapters.sources, self.adapters.probe, store, self.adapters.sinks)
        hung = HungWrites(self.instruments.writes, self.instruments.health, self.determinism.clock)
        beside = [hung.run, self.dead_letters.run, *self.beside]
        return Watcher(adapters, loops, settings.limits.stop_deadline, self.instruments, beside, settings.drop_sinks)

    def _subscribe(
        self, ownership: Ownership, backlog: BacklogCounter, workers: Sequence[SinkWorker], pollers: PollerSet, acks: Acknowledger
    ) -> None:
        """Connect the subscribers: the feed announces commits, each worker its settlements and lost shards."""
        self.feed.on_admitted(pollers.add)
        self.feed.on_notified(pollers.poll_now)
        self.feed.on_events(backlog.committed)
        self.outlet.on_fenced = ownership.fenced
        self.outlet.on_removed = pollers.check_limit
        for worker in workers:
            self.feed.on_events(worker.wake)
            worker.dead_letters_full = self.dead_letters.full
            worker.settlements.on_fenced = ownership.fenced
            worker.settlements.on_settled = acks.settled

    def _pollers(self) -> PollerSet:
        settings, circuits = self.settings, Circuits()
        pollers = [self._poller(quota, circuits) for quota in settings.catalog.quotas.values()]
        return PollerSet(pollers, settings.catalog, self.leases, self.gate, settings.limits.max_watches, self.instruments)

    def _poller(self, quota: Quota, circuits: Circuits) -> Poller:
        settings, determinism = self.settings, self.determinism
        service = next(kind.service for kind in settings.catalog if kind.quota == quota)
        policy = PollPolicy(
            watch=settings.watch,
            cadence=Cadence(settings.cadence),
            pace=Pace(settings.pace),
            circuits=circuits.of(DEFAULT_TARGET, service),
            max_in_flight=settings.limits.max_in_flight,
            rng=determinism.rng,
        )
        return Poller(quota, settings.catalog, self.adapters.probe, policy, self.outlet, self.instruments)

    def _unacked(self) -> UnackedMessages | None:
        return None if self.store.durable else UnackedMessages([sink.name for sink in self.adapters.sinks])

    def _intake(self, acks: Acknowledger) -> Intake:
        settings, determinism = self.settings, self.determinism
        reader = MessageReader(settings.catalog, settings.region)
        admission = Admission(self.store, self.feed, settings.watch, determinism.new_id, determinism.clock)
        return Intake(self.adapters.sources, reader, admission, acks, self.store, self.gate, self.instruments)


def build(
    settings: Settings, *, sinks: Sequence[Sink] = (), drop_sinks: Collection[str] = (), clock: Callable[[], float] = time.time
) -> App:
    """An app as configured. Opens nothing. `sinks` receive the events in addition to the configured ones.

    `drop_sinks` are the names of sinks that are no longer configured, and whose events are erased.
    """
    from watcher.adapters.aws.probe import AwsProbe
    from watcher.adapters.aws.session import AwsClients
    from watcher.registry import SINKS, SOURCES, STORES, AdapterContext

    catalog, limits = builtin_catalog(), settings.limits
    aws = AwsClients(
        max_connections=limits.max_in_flight * len(catalog.quotas),
        call_deadline=limits.call_deadline,
        clock=clock,
        polled_services=catalog.services,
    )
    context = AdapterContext(aws, clock)
    adapters = Adapters(
        sources=[SOURCES[s.type].build(s, context) for s in settings.sources],
        probe=AwsProbe(aws, catalog, call_deadline=limits.call_deadline, clock=clock),
        store=STORES[settings.store.type].build(settings.store, context),
        sinks=[*(SINKS[s.type].build(s, context) for s in settings.sinks), *sinks],
    )
    return App(settings, catalog, adapters, aws, clock, frozenset(drop_sinks))


class App:
    """The object behind `watcher run`. Entering it opens everything; leaving it closes everything, in the opposite order."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        adapters: Adapters,
        aws: AwsClients,
        clock: Callable[[], float],
        drop_sinks: frozenset[str] = frozenset(),
    ) -> None:
        self.settings = settings
        self.adapters = adapters
        self.metrics = Metrics(catalog)
        self.heartbeat = Heartbeat()
        self.http: HttpServer | None = None
        if settings.api.listen:
            from watcher.api.server import HttpServer

            self.http = HttpServer(settings.api, self, self.metrics)
        self._aws = aws
        service = ServiceSettings(
            settings.watch, settings.pace, settings.cadence, settings.events, settings.limits, aws.region_required(), catalog, drop_sinks
        )
        beside: list[Loop] = [self._measure] if self.http is None else [self._measure, self.http.serve]
        self.watcher = assemble(adapters, service, determinism=Determinism(clock=Clock(clock)), metrics=self.metrics, beside=beside)

    async def __aenter__(self) -> App:
        """Open the store before the port: a second owner is the more useful error to report."""
        try:
            await self.watcher.__aenter__()
            await self._listen()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.watcher.__aexit__(*error)
        await self._close()

    async def run(self) -> None:
        """Run until all work is done (finite sources), or until `stop`."""
        await self.watcher.run()

    def stop(self) -> None:
        """Drain and return from `run`, within the stop deadline."""
        self.watcher.stop()

    def alive(self) -> tuple[bool, dict[str, Any]]:
        """Whether the event loop runs. Depends on nothing else."""
        age = self.heartbeat.age()
        return age < ALIVE_S, {"loop_turned_s_ago": round(age, 3)}

    def ready(self) -> tuple[bool, Mapping[str, Condition]]:
        """Whether all components work, and the condition of each one."""
        return self.watcher.health.ready()

    async def _measure(self) -> None:
        await measure_loop_lag(self.metrics, heartbeat=self.heartbeat)

    async def _listen(self) -> None:
        """Raises ConfigMistakes when the address cannot be used: only the operator can choose another one."""
        if self.http is None:
            return
        try:
            await self.http.open()
        except Unavailable as error:
            hint = "choose a free address, or stop the process that uses it"
            raise ConfigMistakes([f"api.listen: {error.detail} ({error.code}): {hint}"]) from None

    async def _close(self) -> None:
        if self.http is not None:
            await self.http.close()
        await self._aws.close()
