"""Known bugs, planted one at a time: the oracle must find each of them, or its silence about the real watcher proves nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.simulation import store_mutants
from tests.simulation.batch_mutants import BATCH_MUTANTS
from tests.simulation.mutant import Mutant, assemble_with
from tests.simulation.token_mutants import TOKEN_MUTANTS
from watcher.core.delivery.refusals import Refusal, Refusals, Verdict
from watcher.core.polling.circuits import CallCircuits, Circuits
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import Invalid, RemoteError, Unreadable
from watcher.kinds.kind import Kind
from watcher.model import Event, Message, Observation, Step, Submission, Watch
from watcher.ports import Delivered, Outcome, Rejected, Source
from watcher.runtime import assembly
from watcher.runtime.admission import Admission, Admitted
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.delivery import SinkWorker
from watcher.runtime.feed import NOTHING_OBSERVED, Feed
from watcher.runtime.intake import Intake
from watcher.runtime.open_reads import OpenRead
from watcher.runtime.outlet import Gone
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.polling import Poller
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import ServiceSettings


class AcksBeforeAdmission(Intake):
    async def _take_in(self, source: Source, messages: Sequence[Message]) -> None:
        await self._acks.accept(source.name, [(message, ()) for message in messages])
        await self._admit(source.name, [self._read(source.name, message, message.id, source) for message in messages])


class SilentFeed(Feed):
    """Announces no admitted watch."""

    def admitted(self, watches: Sequence[Watch], observed: Mapping[str, Observation] = NOTHING_OBSERVED, source: str = "") -> None: ...


class StartsOver(Admission):
    """Begins again with the status in a message that comes after the start of its task."""

    async def submit(self, submissions: Sequence[Submission], source: str = "") -> Sequence[Admitted]:
        admitted = await super().submit(submissions, source)
        seen = {each.ref.key: each.observation for each in submissions if each.observation is not None}
        late = [each.watch for each in admitted if each.outcome != "admitted" and each.watch.key in seen]
        self._feed.admitted([watch._replace(status=None, updated_at=None, ended_at=None, end_reason=None) for watch in late], seen)
        return admitted


class ForgetsObserved(Poller):
    """Commits the status in a message, and never polls its task."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        settle = self._results.settle

        def settle_for_good(kind: Kind, step: Step, *, gone: Gone | None) -> None:
            settle(kind, replace(step, wait_s=(1e7, 1e7)), gone=gone)

        self._results.settle_submitted = settle_for_good  # type: ignore[method-assign]


class SkipsLastWatch(PollerSet):
    """Adopts all watches of a shard but the last one."""

    def adopt(self, watches: Sequence[Watch], read: OpenRead, *, new: bool = False) -> None:
        super().adopt(watches[:-1], read, new=new)


class GrowingBacklog(BacklogCounter):
    """Adds events and never subtracts one."""

    def settled(self, sink: str, events: Sequence[Event]) -> None: ...
    def drained(self, sink: str) -> None: ...


class SettlesBeforeSending(SinkWorker):
    async def _send(self, batch: Sequence[Event]) -> None:
        await self._store.settle(self.sink.name, batch, [], self.settlements._leases.held)
        await super()._send(batch)


class TakesAllAsDelivered(SinkWorker):
    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        await super()._settle(batch, [Delivered() for _ in outcomes])


class DropsRejected(SinkWorker):
    """Settles a rejected event without a dead letter."""

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        await super()._settle(batch, [Delivered() if isinstance(outcome, Rejected) else outcome for outcome in outcomes])


class GivesUpAllRefused(SinkWorker):
    """Makes a dead letter of each refused event, also while the sink refuses everything."""

    async def _settle(self, batch: Sequence[Event], outcomes: Sequence[Outcome]) -> None:
        final = [Rejected(outcome.reason, "event") if isinstance(outcome, Rejected) else outcome for outcome in outcomes]
        await super()._settle(batch, final)


class GivesUpAfterOneComparison(SinkWorker):
    """Makes a dead letter of each refused event as soon as another event is accepted."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._refusals = _Hasty(self._refusals.retry_for)


class _Hasty(Refusals):
    def judge(self, accepted: Sequence[Event], refused: Sequence[Refusal], now: float) -> Verdict:
        for held in self._waiting.values():
            held.compared = True
        self._row.clear()
        return super().judge(accepted, refused, now)


class MissesNewEvents(SinkWorker):
    """Reads the outbox of a shard when it is adopted, and no more."""

    def wake(self, shard: int, events: Sequence[Event]) -> None:
        if not events:
            super().wake(shard, events)


class DeliversOneShard(SinkWorker):
    def wake(self, shard: int, events: Sequence[Event]) -> None:
        if shard == 0:
            super().wake(shard, events)


class NoPace(Pace):
    def wait(self, now: float) -> float:
        return 0.0


class StuckPace(Pace):
    """Once throttled, it grants one call in two minutes forever."""

    def throttled(self, permit: Permit, now: float) -> bool:
        self.ceiling = 1 / 120
        return super().throttled(permit, now)

    def _set(self, rate: float, now: float) -> None:
        super()._set(rate, now)
        self.rate = min(self.rate, self.ceiling)


class UnlimitedRefreshes(Circuits):
    """Lets every call that finds the credentials expired refresh them."""

    def of(self, target: str, service: str) -> CallCircuits:
        circuits = super().of(target, service)
        circuits.may_refresh = lambda began: True  # type: ignore[method-assign]
        return circuits


class MissesEndOfCall(Poller):
    """Does not wake up when the end of a call lets another one go sooner."""

    _wakes_at = property(lambda self: -math.inf, lambda self, at: None)  # type: ignore[assignment]


class NamesTasksInMetrics(Poller):
    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Observation | RemoteError) -> Step:
        self._metrics.ended.labels(entry.watch.key, "status").inc()
        return super()._decide(kind, entry, outcome)


class ReportsStaleStatuses(Poller):
    """Takes a status that goes backwards for a new one."""

    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Observation | RemoteError) -> Step:
        watch = entry.watch
        if isinstance(outcome, Observation) and watch.status is not None and outcome.status != watch.status:
            entry = replace(entry, watch=watch._replace(updated_at=None, status="NEWS"))
        return super()._decide(kind, entry, outcome)


class BelievesProxies(Poller):
    """Takes the answer of something else for one of the service."""

    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Observation | RemoteError) -> Step:
        foreign = isinstance(outcome, Unreadable) and outcome.foreign
        return super()._decide(kind, entry, Invalid("400") if foreign else outcome)


def _assemble_without_grace(adapters: Adapters, settings: ServiceSettings, **options: Any) -> Watcher:
    """A watcher that ends a watch when its task is not found for the first time."""
    return assembly.assemble(adapters, replace(settings, watch=WatchSettings(not_found_grace=0)), **options)


def _assemble_and_break(break_store: Callable[[Any], None]) -> Callable[..., Watcher]:
    """A function like `assemble` whose watcher calls `break_store` with its store, once that is open."""

    def make(adapters: Adapters, *args: Any, **options: Any) -> Watcher:
        watcher = assembly.assemble(adapters, *args, **options)
        original = watcher.loops.maintenance.restore

        async def restore() -> None:
            await original()
            break_store(adapters.store)

        watcher.loops.maintenance.restore = restore  # type: ignore[method-assign]
        return watcher

    return make


MUTANTS: dict[str, Mutant] = {
    "acknowledged before admitted": Mutant(assemble_with(Intake=AcksBeforeAdmission), 1),
    "an admitted watch is not announced": Mutant(assemble_with(Feed=SilentFeed), 0),
    "the last watch of a shard is not adopted": Mutant(assemble_with(PollerSet=SkipsLastWatch), 0),
    "an old message moves a watch back": Mutant(assemble_with(Admission=StartsOver), 7),
    "a status in a message ends the polling": Mutant(assemble_with(Poller=ForgetsObserved), 8),
    "no deduplication": Mutant(_assemble_and_break(store_mutants.admit_everything), 0),
    "an erased watch is written again": Mutant(_assemble_and_break(store_mutants.commit_erased_watches), 59),
    "reported before COMMIT": Mutant(_assemble_and_break(store_mutants.commit_late), 0),
    "a log that is not synced": Mutant(_assemble_and_break(store_mutants.lose_the_log), 4),
    "settled before sent": Mutant(assemble_with(SinkWorker=SettlesBeforeSending), 26),
    "all counts as delivered": Mutant(assemble_with(SinkWorker=TakesAllAsDelivered), 0),
    "no dead letter for a rejected event": Mutant(assemble_with(SinkWorker=DropsRejected), 0),
    "refused events are given up": Mutant(assemble_with(SinkWorker=GivesUpAllRefused), 0),
    "held events are given up when the sink recovers": Mutant(assemble_with(SinkWorker=GivesUpAfterOneComparison), 0),
    "no wake-up for new events": Mutant(assemble_with(SinkWorker=MissesNewEvents), 0),
    "only one shard is delivered": Mutant(assemble_with(SinkWorker=DeliversOneShard), 3),
    "the backlog never decreases": Mutant(assemble_with(BacklogCounter=GrowingBacklog), 4),
    "no wake-up at the end of a call": Mutant(assemble_with(Poller=MissesEndOfCall), 0),
    "no pace": Mutant(assemble_with(Pace=NoPace), 0),
    "a pace that never recovers": Mutant(assemble_with(Pace=StuckPace), 3),
    "credentials refreshed by every call": Mutant(assemble_with(Circuits=UnlimitedRefreshes), 6),
    "a stale status is reported": Mutant(assemble_with(Poller=ReportsStaleStatuses), 10),
    "a proxy ends a watch": Mutant(assemble_with(Poller=BelievesProxies), 16),
    "not found ends a watch at once": Mutant(_assemble_without_grace, 5),
    "a task in the metrics": Mutant(assemble_with(Poller=NamesTasksInMetrics), 0),
    **BATCH_MUTANTS,
    **TOKEN_MUTANTS,
}
