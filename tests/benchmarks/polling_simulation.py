"""The real schedule, pending set, cadence, and pace over simulated tasks on virtual time. It jumps from event to event.

Calls take no time, and the quota is a configured pace that never throttles, so only the order of the calls is measured.
The first poll of a task, which only shows that it exists, is the same for every cadence, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from itertools import count
from random import Random

from tests.benchmarks.distributions import TaskModel
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DEFAULT_TARGET, Observation, TaskRef, Watch

KIND = builtin_catalog()["speaker-search"]
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

    def seen(self, now: float) -> Observation:
        """What a poll observes."""
        if now >= self.ended:
            return Observation("SUCCEEDED", now, None, self.created, self.started, self.ended)
        if now >= self.started:
            return Observation("IN_PROGRESS", now, None, self.created, self.started, self.started)
        return Observation("IN_QUEUE", now, None, self.created, None, self.created)


@dataclass(slots=True)
class Measured:
    """The lags, in seconds, of the tasks that ended in a window, and the calls made in it."""

    tasks: int = 0
    calls: int = 0
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

    The tasks depend on the model, their number, and the seed only, so they are the same for every cadence.
    """

    def __init__(self, model: TaskModel, tasks: int, calls: float, settings: CadenceSettings, seed: int = 1) -> None:
        self.model = model
        quota = calls * tasks / model.mean
        self.pace = Pace(PaceSettings(rate=quota), 0.0)
        self.pace.restore(quota, 0.0)
        self.cadence = Cadence(settings)
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
        while truth.ended <= 0:
            truth = self._truth_from(truth.ended)
        heappush(self._arrivals, truth.ended)
        self._admit(truth)

    def _arrive(self) -> None:
        if self._surplus:
            self._surplus -= 1
            heappop(self._arrivals)
            return
        truth = self._truth_from(self.now)
        heapreplace(self._arrivals, truth.ended)
        self._admit(truth)

    def _truth_from(self, created: float) -> Truth:
        started = created + (self.model.queue.draw(self._rng) if self.model.queue else 0.0)
        return Truth(created, started, started + self.model.run.draw(self._rng))

    def _admit(self, truth: Truth) -> None:
        """Add a task, and poll it once at no cost."""
        key = f"{next(self._ids)}"
        watch = Watch(TaskRef(KIND.name, ("vc", key)), key, self.now, self.now + DEADLINE_S)
        self._truth[watch.key] = truth
        self._unobserved += self._ends_in_window(truth)
        self.schedule.pending.add(watch, -1.0)
        self.schedule.pending.take()
        self._settle(advance(KIND, watch, truth.seen(self.now), SETTINGS).watch)

    def _call(self) -> None:
        taken = self.schedule.take(self.now)
        assert taken is not None
        ((entry,), _), now = taken, self.now
        before, truth = entry.watch, self._truth[entry.watch.key]
        seen = truth.seen(now)
        self.measured.calls += self._window[0] <= now < self._window[1]
        watch = advance(KIND, before, seen, SETTINGS).watch
        if watch.status != before.status:
            self.schedule.learn(KIND, before, seen, now)
            self._measure_transition(before, watch, truth)
        self._settle(watch)

    def _settle(self, watch: Watch) -> None:
        if watch.open:
            self.schedule.pending.put_back(watch, self.now, *self.schedule.gap(KIND, watch))
        else:
            self.schedule.pending.finish(watch)
            del self._truth[watch.key]

    def _measure_transition(self, before: Watch, watch: Watch, truth: Truth) -> None:
        """Keep the lag of a start. Count the lags of a task together, when its end is observed."""
        if self.model.queue and before.started_at is None and watch.started_at is not None:
            self._start_lags[watch.key] = self.now - truth.started
        if watch.open:
            return
        start_lag = self._start_lags.pop(watch.key, None)
        if self._ends_in_window(truth):
            self.measured.lags += [self.now - truth.ended] if start_lag is None else [start_lag, self.now - truth.ended]
            self.measured.ends.append((truth.ended - self._window[0], self.now - truth.ended))
            self.measured.tasks += 1
            self._unobserved -= 1

    def _ends_in_window(self, truth: Truth) -> bool:
        return self._window[0] <= truth.ended < self._window[1]
