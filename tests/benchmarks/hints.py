"""What notifications of AWS save: calls and lag by the share of ends that is announced, and the lag after announcements stop."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from itertools import count
from random import Random

from tests.benchmarks import hints_rule
from tests.benchmarks.distributions import after
from tests.benchmarks.polling_simulation import BEFORE, DEADLINE_S, KIND, SETTINGS, Truth
from tests.benchmarks.table import Part, Table, command
from watcher.core.polling.cadence import STEER_S, Cadence, CadenceSettings
from watcher.core.polling.circuits import Circuits
from watcher.core.polling.pace import Pace, PaceSettings
from watcher.core.polling.pending import PendingSet
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import advance
from watcher.model import DEFAULT_TARGET, TaskRef, Watch

RUN = after(10, 4)
"""The time from the start of a task to its end."""
CASES = ((0.0, 0.3), (0.8, 0.3), (0.95, 0.3), (0.99, 0.3), (0.95, 1.0), (0.95, 4.0))
"""The share of ends that is announced, and the mean delay of their announcements in seconds."""
PRICE_S = 1.0
BLIND_PRICES_S = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0, 8.0, 12.0, 18.0)
"""The prices under which tasks are polled without announcements, so that a blind lag is known for each number of calls."""
TASKS = 100
WARM_S = 300.0
"""The time in which durations and announcements are learned, in seconds."""
STEADY_S, STOP_S, LATEST_S = 900.0, 60.0, 70.0
"""How long is measured; each window after announcements stop; the time after which every end has been detected. In seconds."""
STOPS = 6
"""The runs in which announcements stop."""
FEW_TASKS, FEW_WARM_S, FEW_STOPS = 10, 600.0, 5
"""Fewer tasks, with more runs for each of the others."""
SCARCE_SHARES = (0.0, 0.8, 0.95)
QUOTAS = (1.5, 2.0, 3.0)
"""Quotas that bind, in calls for each task."""
AMPLE = 1e5
"""A rate, in calls per second, that never binds."""

NOTE = """
The real schedule and cadence with 100 tasks at a time (when one ends, another begins) on virtual time, 10 s + exp 4 from the start of a
task to its end. AWS announces a share of the ends, with an exponential delay. Nothing is learned at the start; after 300 s, 900 s are
measured. The quota never binds, and the price of a call is fixed at 1 s (`price_floor`), so that each row spends calls by the same rule. A
call takes no time. *Calls* are those of a task without the first look, which is the same in every row; the call of an announcement counts.
*Blind lag* is the mean lag of the same rule without notifications with as many calls, under another price. *Stopped*: the lag of the tasks
that end in the first and in the second minute after announcements stop, divided by the blind lag with as many calls (calls and lag in
parentheses), from 6 runs.

Aim: with 95 % announced 0.3 s after the end, at most 1.25 calls and 0.65 s; in the first minute after the last announcement at most 1.25.
"""
FEW_NOTE = """
The same with 10 tasks at a time: the watcher needs ten times as long to notice that announcements have stopped. From 30 runs.
"""
SCARCE_NOTE = """
100 tasks at a time under a quota that allows so many calls for each task, without the first look. The price follows the quota. The mean
lag, and the calls that were made for each task.
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """One task: when it ended, how late that was detected, and how often it was polled after the first time. In seconds."""

    at: float
    lag: float
    calls: int


@dataclass(frozen=True, slots=True)
class Means:
    """Polls of a task, without the first one, and the lag of its end in seconds."""

    calls: float
    lag: float

    @classmethod
    def of(cls, tasks: Iterable[Ended]) -> Means:
        """The means of these tasks."""
        ended = list(tasks)
        return cls(sum(each.calls for each in ended) / len(ended), sum(each.lag for each in ended) / len(ended))


class HintsSimulation:
    """The real schedule with a constant number of tasks on virtual time, and announcements of their ends.

    Calls take no time. With an ample rate, the price of a call is fixed: it is the floor.
    """

    def __init__(self, share: float, delay_s: float, price_s: float, seed: int, tasks: int = TASKS, rate: float = AMPLE) -> None:
        self.share, self.now = share, 0.0
        self.ended: list[Ended] = []
        self.cadence = Cadence(CadenceSettings(price_floor=price_s))
        pace = Pace(PaceSettings(rate=rate), 0.0)
        pace.restore(rate, 0.0)
        self.schedule = Schedule(PendingSet(), self.cadence, pace, Circuits().of(DEFAULT_TARGET, KIND.service), max_in_flight=1)
        self._delay_s = delay_s
        self._rng = Random(seed)
        self._truth: dict[str, Truth] = {}
        self._calls: Counter[str] = Counter()
        self._ids = count()
        self._arrivals: list[float] = []
        """A heap of the times at which tasks begin."""
        self._announcements: list[tuple[float, str]] = []
        """A heap of the times at which announcements arrive, and the keys of their tasks."""
        self._steer_at = STEER_S
        for _ in range(tasks):
            self._add_running()

    def run(self, seconds: float) -> None:
        """Run for a while."""
        end = self.now + seconds
        while True:
            call_at = self.now + self.schedule.wait(self.now)
            announced_at = self._announcements[0][0] if self._announcements else end
            at = min(call_at, announced_at, self._arrivals[0], self._steer_at)
            if at >= end:
                self.now = end
                return
            self.now = at
            if at == call_at:
                if self.schedule.wait(at) < 1e-6:  # else it was only due for a review
                    self._call()
            elif at == announced_at:
                self.schedule.poll_now(heappop(self._announcements)[1], at, at)
            elif at == self._arrivals[0]:
                truth = Truth(at, at, at + RUN.draw(self._rng))
                heapreplace(self._arrivals, truth.ended)
                self._admit(truth)
            else:
                self._steer_at += STEER_S
                self.schedule.steer(at)

    def stop_announcements(self) -> None:
        """Let no end be announced from now on."""
        self.share = 0.0
        self._announcements.clear()

    def ended_within(self, begin: float, end: float) -> list[Ended]:
        """The tasks that ended in this time, as far as that is detected."""
        return [each for each in self.ended if begin <= each.at < end]

    def _add_running(self) -> None:
        """Add the one of many successive tasks that has begun and not ended at time 0."""
        ended = -BEFORE * RUN.mean * self._rng.uniform(1, 2)
        while ended <= 0:
            started, ended = ended, ended + RUN.draw(self._rng)
        heappush(self._arrivals, ended)
        self._admit(Truth(started, started, ended))

    def _admit(self, truth: Truth) -> None:
        """Add a task, with a first look at no cost."""
        name = f"{next(self._ids)}"
        watch = Watch(TaskRef(KIND.name, ("vc", name)), name, self.now, self.now + DEADLINE_S)
        self._truth[watch.key] = truth
        if self._rng.random() < self.share:
            heappush(self._announcements, (truth.ended + self._rng.expovariate(1 / self._delay_s), watch.key))
        self.schedule.pending.add(watch, -1.0)
        self.schedule.pending.take()
        self._settle(advance(KIND, watch, truth.seen(self.now), SETTINGS).watch)

    def _call(self) -> None:
        taken = self.schedule.take(self.now)
        assert taken is not None
        before = taken[0][0].watch
        seen = self._truth[before.key].seen(self.now)
        self._calls[before.key] += 1
        step = advance(KIND, before, seen, SETTINGS)
        self.schedule.learn(KIND, before, seen, step, self.now)
        self._settle(step.watch)

    def _settle(self, watch: Watch) -> None:
        if watch.open:
            self.schedule.pending.put_back(watch, self.now, *self.schedule.gap(KIND, watch))
            return
        self.schedule.pending.finish(watch)
        ended = self._truth.pop(watch.key).ended
        self.ended.append(Ended(ended, self.now - ended, self._calls.pop(watch.key)))


def run(quick: bool) -> Table:
    """Measure every case, on two processes: first without announcements, for each number of calls."""
    prices, seconds, stops = (BLIND_PRICES_S[::4], 200.0, 1) if quick else (BLIND_PRICES_S, STEADY_S, STOPS)
    with ProcessPoolExecutor(2) as processes:
        blind = list(processes.map(_steady, [(0.0, CASES[0][1], price, seconds) for price in prices]))
        rows = list(processes.map(_row, [(case, seconds, stops, blind) for case in CASES]))
        few = list(processes.map(_few, [(share, stops, blind) for share in (0.8, 0.95, 0.99)]))
        scarce = list(processes.map(_scarce, [(calls, seconds) for calls in QUOTAS]))
    header = ["announced, mean delay", "calls", "lag", "blind lag", "lag over it", "stopped, 0-60 s", "60-120 s"]
    parts = [
        Part("Ten tasks at a time", FEW_NOTE, ["announced", "stopped, 0-60 s", "60-120 s"], few),
        Part("Under a quota", SCARCE_NOTE, ["calls a task", *(f"{share:.0%} announced" for share in SCARCE_SHARES)], scarce),
        Part("The rule and the optimum", hints_rule.NOTE, hints_rule.HEADER, hints_rule.rows()),
    ]
    return Table("Hints: what notifications save", command("hints"), NOTE, header, rows, parts)


def _row(case: tuple[tuple[float, float], float, int, list[Means]]) -> list[str]:
    (share, delay_s), seconds, stops, blind = case
    found = _steady((share, delay_s, PRICE_S, seconds))
    least = blind_lag(blind, found.calls)
    row = [f"{share:.0%}, {delay_s:g} s", f"{found.calls:.2f}", f"{found.lag:.2f} s", f"{least:.2f} s", f"{found.lag / least:.2f}"]
    return row + (_stopped(share, delay_s, stops, blind) if share else ["", ""])


def _few(case: tuple[float, int, list[Means]]) -> list[str]:
    share, stops, blind = case
    return [f"{share:.0%}", *_stopped(share, CASES[0][1], FEW_STOPS * stops, blind, FEW_TASKS, FEW_WARM_S)]


def _scarce(case: tuple[float, float]) -> list[str]:
    """The lag under a quota that binds, without announcements and with them."""
    calls, seconds = case
    row = [f"{calls:g}"]
    for share in SCARCE_SHARES:
        found = _measured(HintsSimulation(share, CASES[0][1], 0.0, seed=1, rate=calls * TASKS / RUN.mean), seconds)
        row.append(f"{found.lag:.2f} s ({found.calls:.2f})")
    return row


def _steady(case: tuple[float, float, float, float]) -> Means:
    """The means while announcements come as always."""
    share, delay_s, price_s, seconds = case
    return _measured(HintsSimulation(share, delay_s, price_s, seed=1), seconds)


def _measured(simulation: HintsSimulation, seconds: float) -> Means:
    simulation.run(WARM_S)
    begin = simulation.now
    simulation.run(seconds + LATEST_S)
    return Means.of(simulation.ended_within(begin, begin + seconds))


def _stopped(share: float, delay_s: float, stops: int, blind: Sequence[Means], tasks: int = TASKS, warm_s: float = WARM_S) -> list[str]:
    """The lag after announcements stop, over the blind lag with the same calls, in each of the two minutes."""
    ended: tuple[list[Ended], list[Ended]] = ([], [])
    for seed in range(stops):
        simulation = HintsSimulation(share, delay_s, PRICE_S, seed, tasks)
        simulation.run(warm_s)
        stop = simulation.now
        simulation.stop_announcements()
        simulation.run(2 * STOP_S + LATEST_S)
        for minute, tally in enumerate(ended):
            tally += simulation.ended_within(stop + minute * STOP_S, stop + (minute + 1) * STOP_S)
    found = [Means.of(tally) for tally in ended]
    return [f"{each.lag / blind_lag(blind, each.calls):.2f} ({each.calls:.2f}, {each.lag:.2f} s)" for each in found]


def blind_lag(blind: Sequence[Means], calls: float) -> float:
    """The mean lag without announcements with this many calls, between the nearest two that were measured."""
    ordered = sorted(blind, key=lambda each: each.calls)
    after = min(max(1, bisect_left([each.calls for each in ordered], calls)), len(ordered) - 1)
    low, high = ordered[after - 1], ordered[after]
    share = min(1.0, max(0.0, (calls - low.calls) / (high.calls - low.calls)))
    return low.lag * math.exp(share * math.log(high.lag / low.lag))
