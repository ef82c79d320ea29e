"""One simulated task of a declared kind: each status that it will have, and when, drawn from a generator that belongs to it alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from watcher.kinds.kind import Kind, Phase, StatusClass
from watcher.simulator.id_rules import rule_of
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_kinds import FAILED, SUCCEEDED
from watcher.simulator.simulated_task import Truth, milliseconds

_STOPPED = re.compile("STOP|CANCEL|ABORT|KILL|TERMINAT", re.IGNORECASE)
"""In the name of a status that a task has after it was stopped."""

OPTIONAL = 0.5
"""The share of tasks that have a status that a task can skip."""


class Period(NamedTuple):
    """From `at`, in wall seconds, on the task has this status."""

    status: str
    at: float


@dataclass(slots=True)
class DeclaredTask:
    """A task from its creation to its end. Times are wall seconds, rounded down to milliseconds."""

    kind: Kind
    params: tuple[str, ...]
    """In the order of `Kind.params`."""
    periods: tuple[Period, ...]
    """In order of time; the first begins at the creation."""
    hidden: bool
    """Whether the fault `404` applies to it: it is not found at first."""
    calls: int = 0
    """How many requests named it."""
    end_seen: bool = False
    """Whether a reply has had its end."""

    @property
    def created_at(self) -> float:
        """The time of its creation, in seconds."""
        return self.periods[0].at

    @property
    def ended_at(self) -> float | None:
        """The time of its end, in seconds; None: it never ends."""
        last = self.periods[-1]
        return last.at if self.kind.phase(last.status) is Phase.TERMINAL else None

    def begun(self, now: float) -> tuple[Period, ...]:
        """Return the periods that have begun at `now`, which is rounded as their times are. At least the first."""
        at = milliseconds(now)
        return tuple(period for period in self.periods if period.at <= at) or self.periods[:1]

    def period(self, now: float) -> Period:
        """Return the period that contains `now`."""
        return self.begun(now)[-1]

    def started_at(self, now: float) -> float | None:
        """Return when the running status began, in seconds; None before that, and where the task never had it."""
        running = self.kind.running_status or self.kind.first_status
        return next((period.at for period in self.begun(now) if period.status == running), None)

    def set_status(self, status: str, now: float) -> None:
        """Give it this status at `now`, which it keeps until it gets another one."""
        at, past = milliseconds(now), self.begun(now)
        self.periods = (*past, Period(status, max(at, past[-1].at)))
        self.end_seen = False

    def truth(self) -> Truth:
        """Return every status that it has or will have, with its time."""
        return tuple((period.status, period.at) for period in self.periods)


def deciding_part(task_id: str) -> str:
    """Return the part of an id that `id_rules` applies to: what follows the last `/` or `:` of an ARN."""
    return re.split("[:/]", task_id)[-1]


def create_task(scenario: Scenario, kind: Kind, params: tuple[str, ...], now: float, rng: Random) -> DeclaredTask:
    """Return a task that begins at `now`. Each open status but the last lasts as long as a queue, and the last one as a run.

    Draws everything that is random, in this order: another order would change every task of every seed.
    """
    rule = rule_of(deciding_part(params[-1]))
    words = list(kind.statuses)
    first_end = next((n for n, word in enumerate(words) if kind.phase(word) is Phase.TERMINAL), len(words))
    stages = [word for word in words[:first_end] if kind.phase(word) is Phase.OPEN]
    stages = [word for word in stages if word not in kind.optional or rng.random() < OPTIONAL] or stages[:1]
    provisional = next((word for word in words if kind.phase(word) is Phase.PROVISIONAL), None)
    waits = [scenario.durations.queue.draw(rng) for _ in stages[1:]]
    run = rule.run_s(scenario.durations.run.draw(rng))
    end = _end(scenario, kind, rng.random(), rule.end)
    partial, stays, share = rng.random() < scenario.partial, rng.random() < scenario.partial_stays, rng.uniform(0.5, 0.95)
    partial = partial if rule.partial is None else rule.partial
    stays = stays if rule.stays is None else rule.stays
    at, periods = milliseconds(now), []
    for status, wait in zip(stages, [*waits, run], strict=True):
        periods.append(Period(status, at))
        at += wait
    if partial and provisional is not None and kind.statuses[end] is StatusClass.SUCCEEDED:
        periods.append(Period(provisional, at - run * (1 - share) if math.isfinite(run) else math.inf))
        end = provisional if stays else end
    periods.append(Period(end, at))
    lasting = [Period(status, milliseconds(at)) for status, at in periods if math.isfinite(at)]
    hidden = rng.random() < scenario.faults.get("404", 0.0) or rule.hidden
    return DeclaredTask(kind, params, _without_repeats(lasting), hidden)


def _without_repeats(periods: list[Period]) -> tuple[Period, ...]:
    return tuple(period for n, period in enumerate(periods) if n == 0 or period.status != periods[n - 1].status)


def _end(scenario: Scenario, kind: Kind, chance: float, decided: str | None) -> str:
    """Return the status at the end: the first that succeeds or fails, or one such as STOPPED. A kind need not have all of them."""
    succeeded = [word for word, class_ in kind.statuses.items() if class_ is StatusClass.SUCCEEDED]
    failed = [word for word, class_ in kind.statuses.items() if class_ is StatusClass.FAILED]
    stopped = [word for word in failed if _STOPPED.search(word)]
    failed = [word for word in failed if word not in stopped] or failed
    if decided == SUCCEEDED or (decided is None and chance >= scenario.failed + scenario.stopped):
        return (succeeded or failed)[0]
    if decided == FAILED or (decided is None and chance < scenario.failed):
        return (failed or succeeded)[0]
    return (stopped or failed or succeeded)[0]
