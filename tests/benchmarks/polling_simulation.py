"""The real schedule, pending set, cadence, and pace over simulated tasks on virtual time. It jumps from event to event.

Calls take no time, and the quota is a configured pace that never throttles, so only the order of the calls is measured.
Every call counts, the first look at a task too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush, heapreplace
from itertools import count
from random import Random
from typing import Literal

from tests.benchmarks.distributions import TaskModel
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import WatchSettings, advance, decided_in
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, Observation, TaskRef, Watch

KIND = builtin_catalog()["speaker-search"]
NO_PRIOR = replace(KIND, usual={})
"""The same kind without declared durations."""
SETTINGS = WatchSettings()
DEADLINE_S = 30 * 86_400.0
BEFORE = 10
"""Mean durations before the beginning, after which the ages of the tasks no longer show how the simulation began."""


@dataclass(frozen=True, slots=True)
class Truth:
    """When a task was created, started to run, and ended."""

    created: float
    started: float
    ended: float
    """Infinite for one that stays in a provisional status."""
    settles: float | None = None
    """When the watch of a task in a provisional status settles at the latest. None: the task has no such status."""

    @property
    def over(self) -> float:
        """From when on the task is not polled any more."""
        return self.ended if self.settles is None else min(self.ended, self.settles)

    def seen(self, now: float) -> Observation:
        """What a poll observes."""
        if now >= self.ended:
            return Observation("SUCCEEDED", now, None, self.created, self.started, self.ended)
        if self.settles is not None:
            return Observation("PARTIAL_SUCCESS", now, None, self.created, self.started, self.started)
        if now >= self.started:
            return Observation("IN_PROGRESS", now, None, self.created, self.started, self.started)
        return Observation("IN_QUEUE", now, None, self.created, None, self.created)


@dataclass(slots=True)
class Measured:
    """The lags, in seconds, of the tasks that ended in a window, and the calls made in it."""

    tasks: int = 0
    calls: int = 0
    polls: int = 0
    """The tasks of all calls."""
    lags: list[float] = field(default_factory=list)
    """Of each transition."""
    ends: list[tuple[float, float]] = field(default_factory=list)
    """For each task: the time from the begin of the window to its end, and the lag of its end."""

    @property
    def mean(self) -> float:
        """The mean lag of a task, summed over its transitions."""
        return sum(self.lags) / self.tasks

    def quantile(self, share: float) -> float:
        """A quantile of the lags of single transitions."""
        return sorted(self.lags)[min(len(self.lags) - 1, int(share * len(self.lags)))]


class PollingSimulation:
    """A constant number of tasks: when one ends, another begins. The quota allows `calls` for each task on average.

    The tasks depend on the model, their number, and the seed only, so they are the same for every cadence. `submitted`: what
    is known about a new task, its id alone or its status too. `kinds` are those whose declared durations the cadence knows.
    `batch`: how many tasks are polled in one call at most.
    """

    def __init__(
        self,
        model: TaskModel,
        tasks: int,
        calls: float,
        settings: CadenceSettings,
        seed: int = 1,
        *,
        submitted: Literal["id", "status"] = "id",
        kinds: Sequence[Kind] = (NO_PRIOR,),
        batch: int = 1,
    ) -> None:
        self.model = model
        self._batch = batch
        self.submitted = submitted
        quota = calls * tasks / model.mean
        self.pace = Pace(PaceSettings(rate=quota), 0.0)
        self.pace.restore(quota, 0.0)
        self.cadence = Cadence(settings, kinds)
        circuits = Circuits().of(DEFAULT_TARGET, KIND.service)
        self.schedule = Schedule(PendingSet(), self.cadence, self.pace, circuits, max_in_flight=1)
        self.now, self.tasks = 0.0, tasks
        self._surplus = 0
        """Tasks after whose end no other begins."""
        self._rng = Random(seed)
        self._truth: dict[str, Truth] = {}
        self._start_lags: dict[str, float] = {}
        """Of tasks whose start was observed."""
        self._ids = count()
        self._arrivals: list[float] = []
        """A heap of the times at which tasks begin."""
        self._next_steer = STEER_S
        self.measured = Measured()
        self._window = (0.0, 0.0)
        self._unobserved = 0
        """Tasks that end in the window and whose end is not observed yet."""
        for _ in range(tasks):
            self._add_running_task()

    def run(self, seconds: float) -> None:
        """Run for a while without measuring."""
        self._run_until(self.now + seconds)

    def measure(self, seconds: float) -> Measured:
        """Measure the tasks that end within `seconds`, and run until the end of each of them is observed."""
        self.measured, self._window = Measured(), (self.now, self.now + seconds)
        self._unobserved = sum(self._ends_in_window(truth) for truth in self._truth.values())
        self._run_until(self._window[1])
        while self._unobserved:
            self._run_until(self.now + 1)
        return self.measured

    def change_tasks(self, tasks: int) -> None:
        """Change the number of tasks: more begin over one mean duration, or no task follows some of those that end."""
        for _ in range(tasks - self.tasks):
            heappush(self._arrivals, self.now + self._rng.uniform(0, self.model.mean))
        self._surplus, self.tasks = max(0, self.tasks - tasks), tasks

    def _run_until(self, end: float) -> None:
        while True:
            call_at = self.now + self.schedule.wait(self.now)
            at = min(call_at, self._arrivals[0], self._next_steer)
            if at > end:
                self.now = end
                return
            self.now = at
            if at == call_at:
                self._call()
            elif at == self._arrivals[0]:
                self._arrive()
            else:
                self._next_steer += STEER_S
                self.schedule.steer(at)

    def _add_running_task(self) -> None:
        """Add the one of many successive tasks that has begun and not ended at time 0."""
        truth = self._truth_from(-BEFORE * self.model.mean * self._rng.uniform(1, 2))
        while truth.over <= 0:
            truth = self._truth_from(truth.over)
        heappush(self._arrivals, truth.over)
        self._admit(truth, known=True)

    def _arrive(self) -> None:
        if self._surplus:
            self._surplus -= 1
            heappop(self._arrivals)
            return
        truth = self._truth_from(self.now)
        heapreplace(self._arrivals, truth.over)
        self._admit(truth, known=self.submitted == "status")

    def _truth_from(self, created: float) -> Truth:
        started = created + (self.model.queue.draw(self._rng) if self.model.queue else 0.0)
        ended = started + self.model.run.draw(self._rng)
        return Truth(created, started, ended, started + self.model.run.horizon if self.model.provisional else None)

    def _admit(self, truth: Truth, *, known: bool) -> None:
        """Add a task. `known`: with its status, which costs no call."""
        key = f"{next(self._ids)}"
        watch = Watch(TaskRef(KIND.name, ("vc", key)), key, self.now, self.now + DEADLINE_S)
        self._truth[watch.key] = truth
        self._unobserved += self._ends_in_window(truth)
        if known:
            self.schedule.pending.add(watch, -1.0)
            self.schedule.pending.take()
            self._settle(advance(KIND, watch, truth.seen(self.now), SETTINGS).watch)
        else:
            self.schedule.pending.add(watch, self.now, gap=self.schedule.first_gap(KIND, "", self.now))

    def _call(self) -> None:
        taken = self.schedule.take(self.now, self._batch)
        assert taken is not None
        in_window = self._window[0] <= self.now < self._window[1]
        self.measured.calls += in_window
        self.measured.polls += in_window * len(taken[0])
        for entry in taken[0]:
            self._poll(entry.watch)

    def _poll(self, before: Watch) -> None:
        now, truth = self.now, self._truth[before.key]
        seen = truth.seen(now)
        step = advance(KIND, before, seen, SETTINGS)
        if step.changed:
            if before.status is None:
                self.schedule.learn_first_look(KIND, "", before, seen)
            self.schedule.learn(KIND, before, seen, step, now)
            self._measure_transition(before, step.watch, truth)
        self._settle(step.watch)

    def _settle(self, watch: Watch) -> None:
        if watch.open:
            (gap, reason), until_decided = self.schedule.gap(KIND, watch), decided_in(KIND, watch, self.now, SETTINGS)
            self.schedule.pending.put_back(watch, self.now, min(gap, until_decided) if until_decided else gap, reason)
        else:
            self.schedule.pending.finish(watch)
            del self._truth[watch.key]

    def _measure_transition(self, before: Watch, watch: Watch, truth: Truth) -> None:
        """Keep the lag of a start. Count the lags of a task together, when its end is observed."""
        if before.started_at is None and watch.started_at is not None:
            self._start_lags[watch.key] = self.now - truth.started
        if watch.open:
            return
        start_lag = self._start_lags.pop(watch.key, None)
        if self._ends_in_window(truth):
            lags = [self.now - truth.ended] if truth.ended < math.inf else []
            self.measured.lags += lags if start_lag is None else [start_lag, *lags]
            self.measured.ends += [(truth.ended - self._window[0], lag) for lag in lags]
            self.measured.tasks += 1
            self._unobserved -= 1

    def _ends_in_window(self, truth: Truth) -> bool:
        return self._window[0] <= truth.over < self._window[1]
