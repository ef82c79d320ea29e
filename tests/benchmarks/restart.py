"""The lag after a restart with more overdue watches than calls: of the tasks that arrive then, and of the overdue ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Literal

from tests.benchmarks.distributions import Distribution, after
from tests.benchmarks.polling_simulation import DEADLINE_S, KIND, SETTINGS
from tests.benchmarks.table import Table, command
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import advance
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, Observation, TaskRef, Watch

Order = Literal["no restart", "two lanes", "one lane"]
ORDERS: tuple[Order, ...] = ("no restart", "two lanes", "one lane")
LONG = replace(KIND, name="long-task")
"""The kind of the tasks that still run after the restart, so that their durations are learned separately."""
SHORT_S, LONG_S = after(10, 4), after(0, 600)
LEARNED = 256


@dataclass(frozen=True, slots=True)
class Case:
    """What is overdue at the restart, what arrives, and how many calls a second there are for both."""

    name: str
    overdue: int
    quota: float
    arrivals: float
    """New tasks a second."""
    running: bool = False
    """The overdue tasks run on, for ten minutes on average, and others replace those that end. Else they ended while the watcher
    was down."""
    floor: float = 0.1
    """`cadence.price_floor`."""
    cold: bool = False
    """What was learned before is lost, and the price too."""

    @property
    def window(self) -> float:
        """For how many seconds after the restart the arrivals are measured: as long as the overdue tasks need at least."""
        return self.overdue / self.quota

    @property
    def before(self) -> float:
        """For how many seconds to run before the restart: until the price hardly changes."""
        return 600.0 if self.running else 60.0


CASES = (
    Case("ended, 10/s; new 0.6/s", 3000, 10, 0.6),
    Case("ended, 10/s; new 0.8/s", 3000, 10, 0.8),
    Case("ended, 10/s; new 1.8/s", 3000, 10, 1.8),
    Case("ended, 10/s; new 0.8/s, floor 0", 3000, 10, 0.8, floor=0.0),
    Case("running, 100/s; new 5/s", 3000, 100, 5.0, running=True),
    Case("running, 100/s; new 5/s, cold", 3000, 100, 5.0, running=True, cold=True),
)
SEEDS = 8

NOTE = """
A restart with 3,000 overdue watches. Their tasks ended while the watcher was down, or they run on for ten minutes on average. New tasks
(10 + exp 4) arrive at random all the time; those that arrive within the time that one call for each overdue task takes are measured. *No
restart* is the same without a backlog: there are no overdue tasks, or the running ones are polled as usual. *Calls* is the part of the
quota that the new tasks take without a restart. *Two lanes* is the watcher. *One lane* is the order without lanes: the watch that has been
due for longest is polled first. After a *cold* restart nothing is learned, and the price is the price floor. Each cell has the mean lag of
the ends in seconds, then the p99; for tasks that ended before the restart, the time since it.

Aim: if the new tasks take at most half of the calls, their lag stays near the usual one. If they take more, it is the lag that half of the
calls allow. In each case the lag of the overdue tasks is at most twice that with one lane. With a price floor of 0, new tasks take all
calls that are left over, and fewer calls are left over while there is a backlog.
"""


@dataclass(slots=True)
class Lags:
    """The lags of ends in seconds: of the tasks that arrived after the restart, and of those that were overdue at it."""

    fresh: list[tuple[float, float]] = field(default_factory=list)
    """With the time of the arrival, in seconds after the restart."""
    overdue: list[float] = field(default_factory=list)
    calls: int = 0
    """Those about new tasks in the window."""


class RestartSimulation:
    """The real schedule over tasks that arrive at random, on virtual time. The restart is at 0."""

    def __init__(self, case: Case, order: Order, seed: int) -> None:
        self.case, self.order, self.lags = case, order, Lags()
        self.cadence = Cadence(CadenceSettings(price_floor=case.floor))
        self._rng, self._rng_overdue = Random(seed), Random(-seed)
        """Apart, so that the new tasks are the same in each order."""
        self.now, self._next_steer = -case.before, -case.before
        self._next_arrival = self.now
        self._ids = count()
        self._truth: dict[str, tuple[Kind, float, float]] = {}
        """The kind, the begin, and the end of each task that is watched."""
        self._missing = 0
        """New tasks of the window whose end was not observed yet."""
        for kind, law in ((KIND, SHORT_S), (LONG, LONG_S)):
            for n in range(LEARNED):
                self.cadence.learn(kind.name, kind.running_status or "", law.draw(self._rng), float(n))
        self._start()

    def run(self) -> Lags:
        """Run until the end of each task that was measured is observed."""
        for _ in range(self.case.overdue if self.case.running else 0):
            self._add(LONG, LONG_S, f"old-{next(self._ids)}")
        self._run_until(0.0)
        if self.order != "no restart":
            self._restart()
        self._run_until(self.case.window)
        while self._missing or (self.order != "no restart" and not self.case.running and len(self.lags.overdue) < self.case.overdue):
            self._run_until(self.now + 1)
        return self.lags

    def _start(self) -> None:
        pace = Pace(PaceSettings(rate=self.case.quota), self.now)
        pace.restore(self.case.quota, self.now)
        circuits = Circuits().of(DEFAULT_TARGET, KIND.service)
        self.schedule = Schedule(PendingSet(), self.cadence, pace, circuits, max_in_flight=1)

    def _restart(self) -> None:
        """A new process: the cadence goes on as saved, and all watches are due."""
        before = self.schedule.pending
        watches = [entry.watch for key in self._truth if (entry := before.get(key)) is not None]
        saved, self.cadence = self.cadence.dump(), Cadence(self.cadence.settings)
        if not self.case.cold:
            self.cadence.restore(saved)
        self._start()
        if not self.case.running:
            for _ in range(self.case.overdue):
                watch = self._watch(KIND, f"old-{next(self._ids)}")
                self._truth[watch.key] = (KIND, -SHORT_S.draw(self._rng_overdue), 0.0)
                watches.append(watch)
        for watch in watches:
            self.schedule.pending.add(watch, self.now, ADOPTED if self.order == "two lanes" else "new")

    def _run_until(self, end: float) -> None:
        while True:
            call_at = self.now + self.schedule.wait(self.now)
            at = min(call_at, self._next_arrival, self._next_steer)
            if at > end:
                self.now = end
                return
            self.now = at
            if at == call_at:
                self._call()
            elif at == self._next_arrival:
                self._arrive()
            else:
                self._next_steer += STEER_S
                self.schedule.steer(at)

    def _arrive(self) -> None:
        """Add a new task, or one of those that take the place of the long ones that end."""
        long = self.case.overdue / LONG_S.mean if self.case.running else 0.0
        if self._rng.uniform(0, long + self.case.arrivals) < long:
            self._add(LONG, LONG_S, f"{'old' if self.now < 0 else 'long'}-{next(self._ids)}")
        else:
            self._add(KIND, SHORT_S, f"new-{next(self._ids)}")
            self._missing += 0 <= self.now < self.case.window
        self._next_arrival += self._rng.expovariate(long + self.case.arrivals)

    def _watch(self, kind: Kind, name: str) -> Watch:
        return Watch(TaskRef(kind.name, ("vc", name)), name, self.now, self.now + DEADLINE_S)

    def _add(self, kind: Kind, law: Distribution, name: str) -> None:
        watch = self._watch(kind, name)
        self._truth[watch.key] = (kind, self.now, self.now + law.draw(self._rng))
        self.schedule.pending.add(watch, self.now)

    def _call(self) -> None:
        taken = self.schedule.take(self.now)
        assert taken is not None
        ((entry,), _), now = taken, self.now
        kind, began, ended = self._truth[entry.watch.key]
        status = "SUCCEEDED" if now >= ended else "IN_PROGRESS"
        seen = Observation(status, now, None, began, began, ended if now >= ended else began)
        self.lags.calls += 0 <= now < self.case.window and entry.watch.id.startswith("new")
        step = advance(kind, entry.watch, seen, SETTINGS)
        watch = step.watch
        if watch.open:
            self.schedule.pending.put_back(watch, now, *self.schedule.gap(kind, watch))
            return
        self.schedule.learn(kind, entry.watch, seen, step, now)
        self.schedule.pending.finish(watch)
        del self._truth[watch.key]
        self._measure(watch, now - ended)

    def _measure(self, watch: Watch, lag: float) -> None:
        if watch.id.startswith("old") and self.now >= 0:
            self.lags.overdue.append(min(lag, self.now))
        elif watch.id.startswith("new") and 0 <= watch.admitted_at < self.case.window:
            self.lags.fresh.append((watch.admitted_at, lag))
            self._missing -= 1


def run(quick: bool) -> Table:
    """Run every case in each order, on two processes."""
    cases = [(case, 1 if quick else SEEDS) for case in (CASES[:1] if quick else CASES)]
    with ProcessPoolExecutor(2) as processes:
        rows = list(processes.map(_row, cases))
    header = ["3,000 overdue", "calls", *(f"new: {order}" for order in ORDERS), *(f"overdue: {order}" for order in ORDERS)]
    return Table("Lag after a restart", command("restart"), NOTE, header, rows)


def simulate(case: Case, order: Order, seeds: int) -> Lags:
    """The lags of several runs together."""
    runs = [RestartSimulation(case, order, seed).run() for seed in range(seeds)]
    fresh, overdue = [each for run in runs for each in run.fresh], [lag for run in runs for lag in run.overdue]
    return Lags(fresh, overdue, sum(run.calls for run in runs))


def _row(job: tuple[Case, int]) -> list[str]:
    case, seeds = job
    found = [simulate(case, order, seeds) for order in ORDERS]
    share = found[0].calls / (case.quota * case.window * seeds)
    cells = [_cell([lag for _, lag in lags.fresh]) for lags in found] + [_cell(lags.overdue) for lags in found]
    row = [case.name, f"{share:.0%}", *cells]
    print(" | ".join(row), file=sys.stderr, flush=True)  # progress
    return row


def _cell(lags: Sequence[float]) -> str:
    if not lags:
        return ""
    return f"{sum(lags) / len(lags):.1f} ({sorted(lags)[int(0.99 * len(lags))]:.1f})"
