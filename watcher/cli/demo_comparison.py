"""What the demo compares the watcher with: a loop that polls each task every few seconds, measured in the same run.

The loop calls a second simulated service with the same tasks, faults and quota. It never exceeds the quota, so it is as good as
such a loop can be.
"""

from __future__ import annotations

import heapq
import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from watcher.errors import RemoteError
from watcher.model import TaskRef
from watcher.simulator import Scenario, SimulatedProbe, VoiceService
from watcher.simulator.simulated_kinds import STATUSES, TERMINAL
from watcher.simulator.simulated_task import Truth

EVERY_S = 5.0
"""Seconds between two calls of the loop about one task."""
IDLE_S = 0.02
"""Seconds between two looks at what is due."""

Observed = Sequence[tuple[str, float]]
"""What was seen of a task: each status, and the wall time in seconds when it was seen."""


@dataclass
class LagSummary:
    """How late the changes of status were detected, in seconds."""

    detected_s: list[float] = field(default_factory=list)
    missed_s: list[float] = field(default_factory=list)
    """How long ago the changes were that nothing detected until the end."""

    @property
    def all_s(self) -> list[float]:
        """One figure for each change, in ascending order."""
        return sorted([*self.detected_s, *self.missed_s])

    def mean(self) -> float:
        """The mean; 0 where nothing changed."""
        return statistics.fmean(self.all_s or [0.0])

    def percentile_99(self) -> float:
        """The figure that 99 of 100 changes do not exceed."""
        ordered = self.all_s or [0.0]
        return ordered[math.ceil(0.99 * len(ordered)) - 1]


def compare(histories: Iterable[tuple[Truth, Observed]], end: float) -> LagSummary:
    """Compare what was seen of each task with what happened until `end`, in wall seconds.

    A change counts as detected when its status or a later one was seen. The creation of a task is no change.
    """
    found = LagSummary()
    for truth, seen in histories:
        for status, began in truth[1:]:
            times = [at for name, at in seen if STATUSES.index(name) >= STATUSES.index(status)]
            if times:
                found.detected_s.append(max(0.0, min(times) - began))
            elif began < end:
                found.missed_s.append(end - began)
    return found


class FixedLoop:
    """Polls each task every `EVERY_S`, in turn where the quota does not allow that. `quota` is in calls per second."""

    def __init__(self, scenario: Scenario, quota: float) -> None:
        self.service = VoiceService(scenario, time.time)
        self._probe = SimulatedProbe(self.service)
        self._quota = quota
        self._due: list[tuple[float, int, TaskRef]] = []
        self._seen: dict[TaskRef, list[tuple[str, float]]] = {}
        self._open = 0
        self._pushed = 0

    @property
    def done(self) -> bool:
        """Whether the end of each task was seen."""
        return self._open == 0

    def add(self, ref: TaskRef) -> None:
        """Poll this task from now on."""
        self._seen[ref] = []
        self._open += 1
        self._push(time.monotonic(), ref)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with anyio.create_task_group() as calls:
            while True:
                now = time.monotonic()
                if self._due and self._due[0][0] <= now:
                    _, _, ref = heapq.heappop(self._due)
                    calls.start_soon(self._call, ref)
                    await anyio.sleep(1 / self._quota)
                else:
                    await anyio.sleep(IDLE_S)

    def lags(self, end: float) -> LagSummary:
        """How late it detected the changes until `end`, in wall seconds."""
        return compare(((self.service.tasks.truth(ref), seen) for ref, seen in self._seen.items()), end)

    async def _call(self, ref: TaskRef) -> None:
        began = time.monotonic()
        try:
            observation = await self._probe.observe_one(ref)
        except RemoteError:
            pass  # the next call about it is as late as after any other
        else:
            self._seen[ref].append((observation.status, observation.observed_at))
            if observation.status in TERMINAL:
                self._open -= 1
                return
        self._push(began + EVERY_S, ref)

    def _push(self, at: float, ref: TaskRef) -> None:
        self._pushed += 1
        heapq.heappush(self._due, (at, self._pushed, ref))
