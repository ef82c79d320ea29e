"""The real schedule, pending set, cadence and pace over simulated tasks, on virtual time: an event is a call, an arrival or a steer.

Calls take no time and the quota is hard (a configured pace, never throttled), so what is measured is the order of the calls alone.
A task is known when it arrives: the first look, which tells that it is watched, is the same for every way of asking, and left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from itertools import count
from random import Random

from tests.benchmarks.laws import SimulatedTask
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DEFAULT_TARGET, Observation, TaskRef, Watch

KIND = builtin_catalog()["speaker-search"]
RULES = WatchSettings()
DEADLINE_S = 30 * 86_400.0
AGES = 10
"""Mean lives before the beginning: enough to forget how it began."""


@dataclass(frozen=True, slots=True)
class Truth:
    """When a task was created, began to run, and ended: what the service knows."""

    created: float
    started: float
    ended: float

    def seen(self, now: float) -> Observation:
        """What a look tells."""
        if now >= self.ended:
            return Observation("SUCCEEDED", now, None, self.created, self.started, self.ended)
        if now >= self.started:
            return Observation("IN_PROGRESS", now, None, self.created, self.started, self.started)
        return Observation("IN_QUEUE", now, None, self.created, None, self.created)


@dataclass(slots=True)
class Found:
    """Lags in seconds of the tasks that ended in the window, and the calls made in it."""

    tasks: int = 0
    calls: int = 0
    lags: list[float] = field(default_factory=list)
    """Of each transition."""
    ends: list[tuple[float, float]] = field(default_factory=list)
    """Of each task: when it ended, in seconds after the window began, and the lag of that."""

    @property
    def mean(self) -> float:
        """Lag of a task, summed over its transitions."""
        return sum(self.lags) / self.tasks

    def quantile(self, share: float) -> float:
        """Of the lags of single transitions."""
        return sorted(self.lags)[min(len(self.lags) - 1, int(share * len(self.lags)))]


class Play:
    """So many tasks at a time: where one ends another begins. The quota is that of `calls` a task; the tasks are the same for all."""

    def __init__(self, life: SimulatedTask, tasks: int, calls: float, settings: CadenceSettings, seed: int = 1) -> None:
        self.life = life
        quota = calls * tasks / life.mean
        self.pace = Pace(PaceSettings(rate=quota), 0.0)
        self.pace.restore(quota, 0.0)
        self.cadence = Cadence(settings)
        circuits = Circuits().of(DEFAULT_TARGET, KIND.service)
        self.schedule = Schedule(PendingSet(), self.cadence, self.pace, circuits, max_in_flight=1)
        self.now, self.tasks = 0.0, tasks
        self._surplus = 0
        """Tasks that nobody follows when they end."""
        self._dice = Random(seed)
        self._truth: dict[str, Truth] = {}
        self._starts: dict[str, float] = {}
        """The lag of the start, of tasks that were found running."""
        self._ids = count()
        self._arrivals: list[float] = []
        self._steers = STEER_S
        self.found = Found()
        self._window = (0.0, 0.0)
        self._open = 0
        """Tasks that end in the window and are not found yet."""
        for _ in range(tasks):
            self._grown()

    def warm(self, seconds: float) -> None:
        """Go on, and measure nothing."""
        self._until(self.now + seconds)

    def measure(self, seconds: float) -> Found:
        """Go on, and measure what ends meanwhile, until all of that is found."""
        self.found, self._window = Found(), (self.now, self.now + seconds)
        self._open = sum(self._counts(truth) for truth in self._truth.values())
        self._until(self._window[1])
        while self._open:
            self._until(self.now + 1)
        return self.found

    def crowd(self, tasks: int) -> None:
        """So many tasks at a time from now on: more begin over a mean life, or fewer follow those that end."""
        for _ in range(tasks - self.tasks):
            heappush(self._arrivals, self.now + self._dice.uniform(0, self.life.mean))
        self._surplus, self.tasks = max(0, self.tasks - tasks), tasks

    def _until(self, end: float) -> None:
        while True:
            call_at = self.now + self.schedule.wait(self.now)
            at = min(call_at, self._arrivals[0], self._steers)
            if at > end:
                self.now = end
                return
            self.now = at
            if at == call_at:
                self._call()
            elif at == self._arrivals[0]:
                self._arrive()
            else:
                self._steers += STEER_S
                self.schedule.steer(at)

    def _grown(self) -> None:
        """A task as one finds it: of so many that followed each other, the one that has begun and not ended."""
        truth = self._truth_from(-AGES * self.life.mean * self._dice.uniform(1, 2))
        while truth.ended <= 0:
            truth = self._truth_from(truth.ended)
        heappush(self._arrivals, truth.ended)
        self._begin(truth)

    def _arrive(self) -> None:
        if self._surplus:
            self._surplus -= 1
            heappop(self._arrivals)
            return
        truth = self._truth_from(self.now)
        heapreplace(self._arrivals, truth.ended)
        self._begin(truth)

    def _truth_from(self, created: float) -> Truth:
        started = created + (self.life.queue.draw(self._dice) if self.life.queue else 0.0)
        return Truth(created, started, started + self.life.run.draw(self._dice))

    def _begin(self, truth: Truth) -> None:
        """It is known from here on: looked at before all others, at nobody's expense."""
        key = f"{next(self._ids)}"
        watch = Watch(TaskRef(KIND.name, ("vc", key)), key, self.now, self.now + DEADLINE_S)
        self._truth[watch.key] = truth
        self._open += self._counts(truth)
        self.schedule.pending.add(watch, -1.0)
        self.schedule.pending.take()
        self._settle(advance(KIND, watch, truth.seen(self.now), RULES).watch)

    def _call(self) -> None:
        call = self.schedule.take(self.now)
        assert call is not None
        ((entry,), _), now = call, self.now
        before, truth = entry.watch, self._truth[entry.watch.key]
        seen = truth.seen(now)
        self.found.calls += self._window[0] <= now < self._window[1]
        watch = advance(KIND, before, seen, RULES).watch
        if watch.status != before.status:
            self.schedule.learn(KIND, before, seen, now)
            self._note(before, watch, truth)
        self._settle(watch)

    def _settle(self, watch: Watch) -> None:
        if watch.open:
            self.schedule.pending.put_back(watch, self.now, *self.schedule.gap(KIND, watch))
        else:
            self.schedule.pending.finish(watch)
            del self._truth[watch.key]

    def _note(self, before: Watch, watch: Watch, truth: Truth) -> None:
        """The lag of this transition; those of a task count together, when its end is found."""
        if self.life.queue and before.started_at is None and watch.started_at is not None:
            self._starts[watch.key] = self.now - truth.started
        if watch.open:
            return
        start = self._starts.pop(watch.key, None)
        if self._counts(truth):
            self.found.lags += [self.now - truth.ended] if start is None else [start, self.now - truth.ended]
            self.found.ends.append((truth.ended - self._window[0], self.now - truth.ended))
            self.found.tasks += 1
            self._open -= 1

    def _counts(self, truth: Truth) -> bool:
        return self._window[0] <= truth.ended < self._window[1]
