"""The polling loop: take what is due, wait for a permit, call, decide, commit, put back.

A watch is in flight from `take` until `_settle`. The event loop has a task only for each call in flight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
import structlog

from watcher.core.polling.call_progress import CallProgress
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.pace import Permit
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.poll_errors import on_poll_error, overdue_since, polled_alone
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.target_quota import TargetQuota
from watcher.core.polling.transitions import advance
from watcher.errors import CredentialsRejected, Denied, NotFound, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Quota
from watcher.model import Lease, Observation, Step, TaskRef, Watch
from watcher.ports import Probe
from watcher.runtime.call_accounting import CallAccounting
from watcher.runtime.cancellations import Cancellations, ends
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases
from watcher.runtime.outlet import Outlet
from watcher.runtime.poll_policy import PollPolicy
from watcher.runtime.poll_results import PollResults
from watcher.runtime.remote_calls import Outcome, RemoteCalls
from watcher.runtime.submitted_statuses import SubmittedStatuses
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.polling")

TICK_S = 1e-4
"""A timer may fire a tick early; waiting for the remainder would spin."""

SHARED_CIRCUIT_S = 5.0
"""While a circuit is open, check again after this time: a call of another poller may have closed it."""


@dataclass(slots=True)
class Call:
    """The tasks of one call, which are of one batch group, its permit, and the leases to commit under, which end at `until`."""

    entries: Sequence[PendingEntry]
    permit: Permit
    leases: Mapping[int, Lease]
    until: float


class Poller:
    """Polls all open watches under one quota of one target, as fast as its pace allows and when the cadence expects a change."""

    def __init__(
        self, of: TargetQuota, catalog: Catalog, probe: Probe, policy: PollPolicy, leases: Leases, outlet: Outlet, instruments: Instruments
    ) -> None:
        self.of = of
        self._catalog = catalog
        self.policy = policy
        self.pending = PendingSet(self._outer)
        policy.circuits.add_caller(lambda: bool(self.pending))
        self.progress = CallProgress()
        self.schedule = Schedule(self.pending, policy.cadence, policy.pace, policy.circuits, policy.max_in_flight)
        self._leases = leases
        self._outlet = outlet
        self._clock = instruments.clock
        self._metrics = instruments.metrics
        self._tracer = instruments.tracer
        self._results = PollResults(self.schedule, self.progress, policy, instruments, self._removed)
        self._calls = RemoteCalls(probe, policy.circuits, self._clock)
        self._accounting = CallAccounting(of, policy, instruments)
        self._submitted = SubmittedStatuses(self.pending, self._clock)
        self._cancellations = Cancellations(self.pending)
        self._wakeup = Wakeup()
        self._wakes_at = 0.0
        """When `run` looks for work again without a wake-up."""
        self._stopping = False

    @property
    def quota(self) -> Quota:
        """The quota that its calls count against."""
        return self.of.quota

    def on_ended(self, subscriber: Callable[[str], None]) -> None:
        """Call `subscriber` with the id of each watch that has ended or was erased."""
        self._results.on_ended = subscriber

    def add(self, watch: Watch, seen: Observation | None = None, source: str = "", *, adopted: bool = False) -> None:
        """Start to poll this watch. No effect on one that is polled already.

        `seen`: what its message says about the task is the first observation, and no poll is due now. Otherwise a task that was
        never seen gets its first look when the cadence says, by what it learned about this `source`; any other task is polled
        now. `adopted`: the watch came with its shard and waits in the backlog.
        """
        if self.watched(watch.key) == watch.id:
            return  # two reads of the store may return it, and the later reply may show an older state
        if adopted:
            self.pending.add(watch, self._clock.mono(), ADOPTED)
            self.progress.note_adopted(watch)
        elif seen is None:
            self._add(watch, source)
        else:
            self._submitted.add(watch, seen, self._outlet.current_leases())
        self._wakeup.set()

    def _outer(self, ref: TaskRef) -> tuple[str, ...]:
        """The params that all tasks of a call have in common. Without a batch call each task has a call of its own."""
        return () if self._catalog[ref.kind].batch is None else ref.params[:-1]

    def _add(self, watch: Watch, source: str) -> None:
        now, gap = self._clock.mono(), 0.0
        if watch.status is None:
            gap = self.schedule.first_gap(self._catalog[watch.ref.kind], source, now)
            if gap > 0:
                now_s = self._clock.wall()
                gap = max(0.0, min(gap - max(0.0, now_s - watch.admitted_at), watch.deadline_at - now_s))
        self.pending.add(watch, now, gap=gap, source=source)

    def poll_now(self, key: str) -> bool:
        """Poll this task before all others: `Feed.notified` was called about it. Returns False when it is not watched here."""
        known = self.schedule.poll_now(key, self._clock.mono(), self._clock.wall())
        if known:
            self._wakeup.set()
        return known

    def cancel(self, watches: Mapping[str, str]) -> None:
        """End these watches (ids by key) as soon as no call about them is in flight. Replaces an earlier request."""
        if self._cancellations.request(watches):
            self._wakeup.set()

    def watched(self, key: str) -> str | None:
        """The id of the watch under which this task is polled, also after a call about it that is in flight. None: it is not."""
        entry = self.pending.get(key)
        if entry is None:
            return None
        watch = entry.successor if entry.successor is not None or entry.dropped else entry.watch
        return None if watch is None else watch.id

    def polls(self, key: str) -> bool:
        """Whether this task is polled, also after a call about it that is in flight."""
        return self.watched(key) is not None

    def forget(self, key: str, watch_id: str) -> None:
        """Stop polling the task for this watch. Another watch of the same task, added since, stays."""
        if self.watched(key) == watch_id:
            self.pending.drop(key)
            self.progress.drop(watch_id)
            self._results.on_ended(watch_id)
            self._removed()

    def drop_where(self, predicate: Callable[[str], bool]) -> None:
        """Stop polling the tasks whose key satisfies `predicate`. Calls in flight finish."""
        self.pending.drop_where(predicate)
        self.progress.clear()
        self._removed()

    def wake(self) -> None:
        """Look for work again: the leases were renewed after they had nearly ended."""
        self._wakeup.set()

    def stop(self) -> None:
        """Start no more calls. Calls in flight finish, and `run` returns."""
        self._stopping = True
        self._wakeup.set()

    async def run(self) -> None:
        """Poll until `stop`."""
        async with anyio.create_task_group() as calls:
            while not self._stopping:
                if self._submitted:
                    calls.start_soon(self._observe_submitted, self._submitted.take(), name="submitted")
                if taken := self._cancellations.take():
                    calls.start_soon(self._end_cancelled, taken, self._outlet.current_leases(), name="cancelled")
                call, wait = self._next()
                if call is not None:
                    calls.start_soon(self._polls, call, name="polls")
                elif wait > TICK_S:
                    await self._rest(min(wait, SHARED_CIRCUIT_S) if self.policy.circuits.open else wait)

    async def _rest(self, wait: float) -> None:
        self._wakes_at = self._clock.mono() + wait
        await self._wakeup.wait(wait)

    def _next(self) -> tuple[Call | None, float]:
        """The call that may start now, else None and the seconds until one may."""
        now = self._clock.mono()
        wait = self.schedule.wait(now)
        if wait > TICK_S:
            return None, wait
        if not self._leases.may_start(now):
            return None, math.inf  # until `wake`
        first = self.schedule.first(now)
        kind = self._catalog.get(first.watch.ref.kind) if first is not None else None
        taken = self.schedule.take(now, 1 if kind is None else self.policy.batch_sizes.limit(kind))
        return (None if taken is None else Call(*taken, self._outlet.current_leases(), self._leases.until)), 0.0

    async def _polls(self, first: Call) -> None:
        """Make this call, and then each further call that may start by then: under load, one event-loop task per call costs too much."""
        call: Call | None = first
        while call is not None:
            await self._poll(call)
            if taken := self._cancellations.take():
                await self._end_cancelled(taken, self._outlet.current_leases())
            call = None if self._stopping else self._next()[0]
            now = self._clock.mono()
            if now + self.schedule.wait(now) < self._wakes_at:
                self._wakeup.set()

    async def _observe_submitted(self, statuses: SubmittedStatuses) -> None:
        """Commit what messages say about their new tasks, and plan the first poll of each."""
        for kind, steps in statuses.steps(self._catalog, self.policy.watch):
            gone = await self._outlet.commit(kind, steps, statuses.leases)
            for step in steps:
                self._results.settle_submitted(kind, step, gone=gone.get(step.watch.key))
        self._wakeup.set()  # `run` rests until something is due, and knows nothing of these yet

    async def _end_cancelled(self, taken: Sequence[PendingEntry], leases: Mapping[int, Lease]) -> None:
        """Commit the ends of watches that operators cancelled, under the leases that were valid when they were taken."""
        for kind, steps in ends(taken, self._catalog, self._clock.wall()):
            gone = await self._outlet.commit(kind, steps, leases)
            for step in steps:
                self._results.settle(kind, step, gone=gone.get(step.watch.key))
            if len(gone) < len(steps):
                example = next(step.watch.key for step in steps if step.watch.key not in gone)
                log.info("watches_cancelled", watches=len(steps) - len(gone), example=example)

    async def _poll(self, call: Call) -> None:
        """Make one call, account for it once, and apply the outcome of each task once."""
        kind = self._catalog[call.entries[0].watch.ref.kind]
        began = self._clock.mono()
        refs = [entry.watch.ref for entry in call.entries]
        with self._tracer.poll(kind, call.entries) as span:
            outcomes, error = await self._calls.observe(refs, began, call.until)
            self._accounting.record(kind, refs, error, call.permit, began)
            steps = []
            for entry, outcome in zip(call.entries, outcomes, strict=True):
                if entry.reason == "poll_now" and isinstance(outcome, Throttled | CredentialsRejected):
                    self.pending.poll_now(entry.watch.key, began)  # no answer yet: keep it before all others
                self.pending.poll_alone(entry.watch.key, alone=kind.batch is not None and polled_alone(outcome, entry.alone))
                steps.append(self._decide(kind, entry, outcome))
            span.polled(outcomes, steps)
        gone = await self._outlet.commit(kind, steps, call.leases)
        for entry, outcome, step in zip(call.entries, outcomes, steps, strict=True):
            self._results.learn(kind, entry, outcome, step)
            self._results.settle(kind, step, gone=gone.get(step.watch.key))

    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Outcome) -> Step:
        watch, settings, circuits = entry.watch, self.policy.watch, self.policy.circuits
        if isinstance(outcome, Observation):
            return advance(kind, watch, outcome, settings)
        now, mono = self._clock.wall(), self._clock.mono()
        if isinstance(outcome, NotFound):
            since = overdue_since(kind, watch, now, settings, mono=mono)
            if since is not None:
                self._accounting.overdue(since, outcome)
        lasting = isinstance(outcome, Denied) and now >= watch.deadline_at  # missing tasks are no reason to watch a denied one for ever
        suspect = circuits.holding if lasting or isinstance(outcome, Unreadable | Unavailable) else bool(circuits.open)
        repeated = entry.reason == outcome.reason
        return on_poll_error(kind, watch, outcome, now, settings, mono=mono, suspect=suspect, repeated=repeated)

    def _removed(self) -> None:
        self._outlet.on_removed()
        if not self.pending:
            self._accounting.idle()
