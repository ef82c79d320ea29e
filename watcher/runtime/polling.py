"""The heart: take what is due, wait for a permit, ask, advance, commit, put back.

A watch is in flight from `take` until `_settle`. Tasks of the event loop exist only for calls in flight.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import structlog

from watcher.core.delivery.events import EventWriter
from watcher.core.hints import hint
from watcher.core.polling.cadence import Cadence
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, Permit
from watcher.core.polling.pending import PendingEntry, PendingSet
from watcher.core.polling.poll_errors import on_poll_error
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import CredentialsRejected, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds import KINDS, Kind, Quota
from watcher.model import Change, Event, EventType, Observation, Step, Watch
from watcher.ports import OwnedStore, Probe
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying import until_stored
from watcher.runtime.wakeup import Wakeup

log = structlog.get_logger("watcher.polling")

TICK_S = 1e-4
"""A timer may fire a tick early: waiting for what is left of it would spin."""

SHARED_S = 5.0
"""With a circuit open, look again by then: a call under another quota may have closed it."""

Call = tuple[PendingEntry, Permit]
"""Whom to ask about, and the leave for it."""


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """The decisions the loop asks: when, how fast, whether at all, and what it means."""

    watch: WatchSettings
    cadence: Cadence
    pace: Pace
    circuits: Circuits
    writer: EventWriter


class Poller:
    """Asks about all open watches under one quota, as fast as its pace allows and as seldom as the cadence finds worth it."""

    def __init__(
        self,
        quota: Quota,
        probe: Probe,
        store: OwnedStore,
        rules: PollPolicy,
        *,
        max_in_flight: int,
        rng: random.Random,
        instruments: Instruments,
        committed: Callable[[Sequence[Event]], None],
    ) -> None:
        self.quota = quota
        self.pending = PendingSet()
        self.rules = rules
        self.schedule = Schedule(self.pending, rules.cadence, rules.pace, rules.circuits, max_in_flight)
        self._probe = probe
        self._store = store
        self._clock = instruments.clock
        self._rng = rng
        self._health = instruments.health
        self._metrics = instruments.metrics
        self._committed = committed
        self._component = f"quota:{quota.name}"
        self._wakeup = Wakeup()
        self._wakes_at = 0.0
        """When `run` looks by itself for what may go."""
        self._stopping = False

    def watch(self, watch: Watch) -> None:
        """Begin to ask about it, now."""
        self.pending.add(watch, self._clock.mono())
        self._wakeup.ring()

    def hint(self, key: str) -> bool:
        """Something happened to it: ask now. False when it is not watched."""
        known = self.pending.hint(key, self._clock.mono())
        if known:
            self._wakeup.ring()
        return known

    def watched(self, key: str) -> str | None:
        """The id of the watch under this key, None when there is none."""
        entry = self.pending.get(key)
        return None if entry is None else entry.watch.id

    def forget(self, key: str, watch_id: str) -> None:
        """Ask no more about the task by this watch. Another watch of it, begun since, goes on."""
        entry = self.pending.get(key)
        if entry is not None and entry.watch.id == watch_id and entry.successor is None:
            self.pending.drop(key)
            self._nothing_to_ask()

    def stop(self) -> None:
        """Take nothing more up. Calls in flight finish, and `run` returns."""
        self._stopping = True
        self._wakeup.ring()

    async def run(self) -> None:
        """Until `stop`."""
        async with anyio.create_task_group() as calls:
            while not self._stopping:
                call, wait = self._next()
                if call is not None:
                    calls.start_soon(self._polls, call, name="polls")
                elif wait > TICK_S:
                    if self.rules.circuits.open:
                        wait = min(wait, SHARED_S)
                    self._wakes_at = self._clock.mono() + wait
                    await self._wakeup.wait(wait)

    def _next(self) -> tuple[Call | None, float]:
        """The call that may go now, else the seconds until one may."""
        now = self._clock.mono()
        wait = self.schedule.wait(now)
        return (None, wait) if wait > TICK_S else (self.schedule.take(now), 0.0)

    async def _polls(self, first: Call) -> None:
        """This call, and after it whatever may go by then: with much to do, a task of the loop for each would cost more than the rest."""
        call: Call | None = first
        while call is not None:
            await self._poll(*call)
            call = None if self._stopping else self._next()[0]
            if self._clock.mono() + self.schedule.wait(self._clock.mono()) < self._wakes_at:
                self._wakeup.ring()

    async def _poll(self, entry: PendingEntry, permit: Permit) -> None:
        watch, kind = entry.watch, KINDS[entry.watch.ref.kind]
        began = self._clock.mono()
        seen: Observation | RemoteError = await self._ask(watch, began)
        self._account(kind, watch, seen, permit, began)
        if entry.why == "hint" and isinstance(seen, Throttled | CredentialsRejected):
            self.pending.hint(watch.key, began)  # not answered: still before all others
        step = self._decide(kind, watch, seen)
        ours = await self._commit(kind, step)
        self._learn(kind, watch, seen, step)
        self._settle(kind, step, ours)

    async def _ask(self, watch: Watch, began: float) -> Observation | RemoteError:
        try:
            return await self._probe.observe(watch.ref)
        except CredentialsRejected as error:
            if error.expired and self.rules.circuits.may_refresh(began):
                await self._refresh()
                self.rules.circuits.refreshed_at = self._clock.mono()
            return error
        except RemoteError as error:
            return error
        except Exception as error:
            log.exception("probe_broke_its_promise", error=type(error).__name__, hint="a bug in the probe: please report it")
            return Unreadable(type(error).__name__)

    async def _refresh(self) -> None:
        try:
            await self._probe.refresh()
        except RemoteError as error:
            log.warning("refresh_failed", code=error.code, hint=hint(error))

    def _decide(self, kind: Kind, watch: Watch, seen: Observation | RemoteError) -> Step:
        if isinstance(seen, Observation):
            return advance(kind, watch, seen, self.rules.watch)
        now, mono = self._clock.wall(), self._clock.mono()
        return on_poll_error(kind, watch, seen, now, self.rules.watch, mono=mono, suspect=bool(self.rules.circuits.open))

    async def _commit(self, kind: Kind, step: Step) -> bool:
        """The watch and its events, in one piece. False: somebody erased it meanwhile, and nothing was written."""
        if not step.changed:
            return True
        now = self._clock.wall()
        events = tuple(self.rules.writer.write(kind, step.watch, told, now) for told in step.transitions)
        began = self._clock.mono()
        gone = await until_stored(self._health, lambda: self._store.commit([Change(step.watch, events)]))
        self._metrics.store_seconds.labels("commit").observe(self._clock.mono() - began)
        if step.watch.key in gone:
            return False
        for event in events:
            self._metrics.events.labels(event.kind, event.type).inc()
        self._committed(events)
        return True

    def _settle(self, kind: Kind, step: Step, ours: bool) -> None:
        """Back into the pending set, or out of it."""
        watch = step.watch
        if not ours or not watch.open:
            self.pending.finish(watch)
            self._nothing_to_ask()
            if not ours:
                return
            self._metrics.ended.labels(watch.ref.kind, watch.end_reason).inc()
            self._metrics.calls_per_task.labels(watch.ref.kind).observe(watch.polls)
            return
        if step.wait_s is not None:
            gap, why = self._rng.uniform(*step.wait_s), step.reason
        elif watch.seen_at is None or step.reason in ("throttled", "credentials"):
            gap, why = 0.0, step.reason
        else:
            gap, why = self.schedule.gap(kind, watch, transient=self.rules.watch.partial_success == "transient")
        until_deadline = max(0.0, watch.deadline_at - self._clock.wall())
        if until_deadline > 0 and gap > until_deadline:
            gap, why = until_deadline, "deadline"
        self.pending.put_back(watch, self._clock.mono(), gap, why)

    def _account(self, kind: Kind, watch: Watch, seen: Observation | RemoteError, permit: Permit, began: float) -> None:
        """Tell the pace and the circuits how the call went."""
        now, pace = self._clock.mono(), self.rules.pace
        self._metrics.poll_seconds.labels(kind.name).observe(now - began)
        error = seen if isinstance(seen, RemoteError) else None
        if isinstance(error, Throttled):
            pace.throttled(permit, now)
            self._metrics.pace_throttles.labels(watch.ref.target, self.quota.name).inc()
            self._tell_quota()
        elif not isinstance(error, Unavailable):
            pace.success(permit, now)
            if not self._health.is_good(self._component):
                self._health.good(self._component)
            if not isinstance(error, CredentialsRejected):
                self.rules.circuits.accepted(began)
        for circuit, opened in self.rules.circuits.note(error, watch.key, watch.ref.params[0], now):
            self._metrics.circuit_open.labels(circuit).set(opened)
            if opened:
                self._open(circuit, error)
            else:
                self._health.good(f"circuit:{circuit}", "closed")

    def _open(self, circuit: str, error: RemoteError | None) -> None:
        code, what_to_do = ("", "") if error is None else (error.code, f"{hint(error)}. ")
        self._health.bad(f"circuit:{circuit}", f"open: {code}", f"{what_to_do}Watches are kept, and polling goes on by itself")

    def _nothing_to_ask(self) -> None:
        """A quota that nobody needs any more keeps the watcher unready no longer."""
        if not self.pending and not self._health.is_good(self._component):
            self._health.good(self._component, "nothing to ask about")

    def _tell_quota(self) -> None:
        if self.rules.pace.refused_from_the_start:
            raise_it = f"raise «{self.quota.title}» for this account and Region"
            self._health.bad(self._component, "every call since the start was throttled: the quota may be 0", raise_it)

    def _learn(self, kind: Kind, watch: Watch, seen: Observation | RemoteError, step: Step) -> None:
        """What one poll teaches the cadence and the metrics."""
        if isinstance(seen, RemoteError):
            self._metrics.polls.labels(kind.name, seen.reason).inc()
            return
        outcome = "changed" if step.changed else "stale" if step.reason == "stale" else "unchanged"
        self._metrics.polls.labels(kind.name, outcome).inc()
        if not any(told.type is EventType.TRANSITION for told in step.transitions):
            return
        if seen.updated_at is not None:
            self._metrics.detection_lag.labels(kind.name).observe(max(0.0, seen.observed_at - seen.updated_at))
        self.schedule.learn(kind, watch, seen, self._clock.mono())
