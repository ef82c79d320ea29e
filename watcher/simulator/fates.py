"""Task ids that decide what happens to their tasks, so that a user can test each case on purpose: `failed-1` ends FAILED.

What an id does not decide is drawn as for any other task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from watcher.simulator.faults import BUSY, DENIED, ServiceError
from watcher.simulator.simulated_kinds import FAILED, STOPPED, SUCCEEDED

SLOW_FACTOR = 10.0
"""How many times as long a `slow-` task runs."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What the beginning of an id decides. None: it is drawn."""

    meaning: str
    """What happens to such a task, for the help."""
    end: str | None = None
    """The status at its end."""
    partial: bool | None = None
    """Whether it has the status PARTIAL_SUCCESS."""
    stays: bool | None = None
    """Whether it keeps that status."""
    run_factor: float = 1.0
    """How many times as long it runs; infinite: it never ends."""
    hidden: bool = False
    """Whether it is not found for the first `Scenario.hidden` seconds."""
    exists: bool = True
    error: ServiceError | None = None
    """The reply to every call about it."""
    fault: str | None = None
    """The fault that every call about it has."""

    def run_s(self, drawn_s: float) -> float:
        """Return how long the task runs, in seconds."""
        return drawn_s if self.run_factor == 1 else math.inf if math.isinf(self.run_factor) else drawn_s * self.run_factor


ANY = Fate("it is drawn from the seed and the id")
FATES: Mapping[str, Fate] = {
    "succeeded-": Fate("ends SUCCEEDED", end=SUCCEEDED, partial=False),
    "failed-": Fate("ends FAILED", end=FAILED),
    "stopped-": Fate("ends STOPPED", end=STOPPED),
    "partial-": Fate("has PARTIAL_SUCCESS, then ends SUCCEEDED", end=SUCCEEDED, partial=True, stays=False),
    "settled-": Fate("has PARTIAL_SUCCESS, then its voiceprint, and keeps this status", end=SUCCEEDED, partial=True, stays=True),
    "slow-": Fate("runs ten times as long", run_factor=SLOW_FACTOR),
    "stuck-": Fate("never ends", run_factor=math.inf),
    "late-": Fate("is not found for the first 20 s", hidden=True),
    "missing-": Fate("is never found", exists=False),
    "denied-": Fate("each call is denied", error=DENIED),
    "busy-": Fate("each call gets a ConflictException", error=BUSY),
    "broken-": Fate("each reply describes no task", fault="garbage"),
}
"""By the beginning of the id."""


def fate_of(task_id: str) -> Fate:
    """Return what an id decides."""
    prefix, dash, _ = task_id.partition("-")
    return FATES.get(prefix + dash, ANY)
