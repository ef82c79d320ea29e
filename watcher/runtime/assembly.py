"""Connects the loops of one watcher, in the order of their dependencies: over any adapters, and without opening anything.

`watcher.app` chooses the adapters of a configuration; tests and `watcher watch` bring their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher import __version__
from watcher.core.delivery.events import EventWriter
from watcher.core.intake.unacked_messages import UnackedMessages
from watcher.core.polling.cadence import Cadence
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace
from watcher.kinds.kind import Quota
from watcher.model import DEFAULT_TARGET
from watcher.observe.metrics import Metrics
from watcher.observe.tracing import NO_TRACER, Tracer
from watcher.runtime.acks import Acknowledger
from watcher.runtime.admission import Admission
from watcher.runtime.adoption import Owned
from watcher.runtime.arrivals import Arrivals
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.components import expect_components
from watcher.runtime.dead_letter_counter import DeadLetterCounter
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.feed import Feed
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.intake import Intake, MessageReader
from watcher.runtime.leases import Leases
from watcher.runtime.maintenance import Maintenance
from watcher.runtime.open_reads import OpenReads
from watcher.runtime.operator_requests import OperatorRequests
from watcher.runtime.outlet import Outlet
from watcher.runtime.ownership import Ownership
from watcher.runtime.pending_writes import HungWrites
from watcher.runtime.poll_policy import PollPolicy
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller
from watcher.runtime.retrying_store import RetryingStore
from watcher.runtime.service import Adapters, Handles, Loop, Loops, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.runtime.wakeup import IntakeGate


def assemble(
    adapters: Adapters,
    settings: ServiceSettings | None = None,
    *,
    determinism: Determinism | None = None,
    metrics: Metrics | None = None,
    beside: Sequence[Loop] = (),
    tracer: Tracer = NO_TRACER,
) -> Watcher:
    """A watcher over these adapters. Opens nothing."""
    determinism, settings = determinism or Determinism(), settings or ServiceSettings()
    metrics = metrics or Metrics(settings.catalog)
    clock = determinism.clock
    instruments = Instruments(clock, Health(clock.wall, metrics.show_component), metrics, tracer=tracer)
    return _Assembly(adapters, settings, determinism, instruments, beside).watcher()


class _Assembly:
    """Builds the loops of one watcher, in the order of their dependencies."""

    def __init__(
        self, adapters: Adapters, settings: ServiceSettings, determinism: Determinism, instruments: Instruments, beside: Sequence[Loop]
    ) -> None:
        self.adapters = adapters
        self.settings = settings
        self.determinism = determinism
        self.beside = beside
        self.instruments = instruments
        self.store = RetryingStore(adapters.store, self.instruments)
        self.leases = Leases()
        self.reads = OpenReads(self.leases)
        self.feed = Feed()
        self.gate = IntakeGate()
        new_id, owns = determinism.new_id, self.leases.owns
        self.admission = Admission(self.store, self.feed, settings.watch, new_id, determinism.clock, self.reads, owns)
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
        ownership = Ownership(store, leases, Owned(backlog, workers, pollers, acks), self.instruments, __version__)
        self._subscribe(ownership, backlog, workers, pollers, acks)
        loops = Loops(
            leases,
            ownership,
            Arrivals(store, leases, ownership, pollers),
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
        handles = Handles(self.admission, self.gate, self.feed, ownership.adoption.done)
        return Watcher(adapters, loops, handles, settings.limits.stop_deadline, self.instruments, beside, settings.drop_sinks)

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
        return PollerSet(pollers, settings.catalog, self.leases, self.gate, settings.limits.max_watches, self.instruments, self.reads)

    def _poller(self, quota: Quota, circuits: Circuits) -> Poller:
        settings, determinism = self.settings, self.determinism
        service = next(kind.service for kind in settings.catalog if kind.quota == quota)
        policy = PollPolicy(
            watch=settings.watch,
            cadence=Cadence(settings.cadence, settings.catalog, granted=settings.pace.rate is not None),
            pace=Pace(settings.pace),
            circuits=circuits.of(DEFAULT_TARGET, service),
            max_in_flight=settings.limits.max_in_flight,
            rng=determinism.rng,
        )
        return Poller(quota, settings.catalog, self.adapters.probe, policy, self.leases, self.outlet, self.instruments)

    def _unacked(self) -> UnackedMessages | None:
        return None if self.store.durable else UnackedMessages([sink.name for sink in self.adapters.sinks])

    def _intake(self, acks: Acknowledger) -> Intake:
        reader = MessageReader(self.settings.catalog, self.settings.scopes)
        return Intake(self.adapters.sources, reader, self.admission, acks, self.store, self.gate, self.instruments)
