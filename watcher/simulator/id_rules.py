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
class IdRule:
    """What the beginning of an id decides. None: it is drawn."""

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


ANY = IdRule()
ID_RULES: Mapping[str, IdRule] = {
    "succeeded-": IdRule(end=SUCCEEDED, partial=False),
    "failed-": IdRule(end=FAILED),
    "stopped-": IdRule(end=STOPPED),
    "partial-": IdRule(end=SUCCEEDED, partial=True, stays=False),
    "settled-": IdRule(end=SUCCEEDED, partial=True, stays=True),
    "slow-": IdRule(run_factor=SLOW_FACTOR),
    "stuck-": IdRule(run_factor=math.inf),
    "late-": IdRule(hidden=True),
    "missing-": IdRule(exists=False),
    "denied-": IdRule(error=DENIED),
    "busy-": IdRule(error=BUSY),
    "broken-": IdRule(fault="garbage"),
}
"""By the beginning of the id."""


def rule_of(task_id: str) -> IdRule:
    """Return what an id decides."""
    prefix, dash, _ = task_id.partition("-")
    return ID_RULES.get(prefix + dash, ANY)
