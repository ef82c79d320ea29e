"""Connects the loops of one watcher, in the order of their dependencies: over any adapters, and without opening anything.

`watcher.app` chooses the adapters of a configuration; tests and `watcher watch` bring their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from watcher import __version__
from watcher.core.delivery.events import EventWriter
from watcher.core.intake.unacked_messages import UnackedMessages
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
from watcher.runtime.poller_factory import PollerFactory
from watcher.runtime.poller_set import PollerSet
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
        self.outlet = Outlet(self.store, self.leases, self.feed, EventWriter(settings.events, scopes=settings.scopes), self.instruments)
        self.dead_letters = DeadLetterCounter(self.store, self.gate, settings.limits.max_dead_letters, self.instruments)

    def watcher(self) -> Watcher:
        """Connect all loops."""
        settings, store, leases = self.settings, self.store, self.leases
        backlog = BacklogCounter([sink.name for sink in self.adapters.sinks], self.gate, settings.limits.max_outbox, self.instruments)
        patience = settings.limits.retry_refused
        workers = [SinkWorker(sink, store, leases, backlog, self.instruments, patience) for sink in self.adapters.sinks]
        pollers = self._pollers()
        expect_components(self.adapters, self.instruments)
        acks = Acknowledger(self.adapters.sources, self._unacked(), self.instruments)
        intake = self._intake(acks)
        ownership = Ownership(store, leases, Owned(backlog, workers, pollers, acks), self.instruments, __version__)
        self._subscribe(ownership, backlog, workers, pollers, acks)
        maintenance = Maintenance(store, pollers, settings.watch, self.determinism.clock)
        pollers.restore, pollers.on_started = maintenance.restore_poller, ownership.wake
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
            maintenance,
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
        settings, leases, instruments = self.settings, self.leases, self.instruments
        factory = PollerFactory(settings, self.adapters.probe, leases, self.outlet, instruments, self.determinism)
        return PollerSet(factory, leases, self.gate, settings.limits.max_watches, instruments, self.reads)

    def _unacked(self) -> UnackedMessages | None:
        return None if self.store.durable else UnackedMessages([sink.name for sink in self.adapters.sinks])

    def _intake(self, acks: Acknowledger) -> Intake:
        reader = MessageReader(self.settings.catalog, self.settings.scopes)
        return Intake(self.adapters.sources, reader, self.admission, acks, self.store, self.gate, self.instruments)
