"""One simulated task: each status that it will have, and when. Drawn at its creation from a generator that belongs to this task alone."""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from watcher.model import Observation
from watcher.simulator.id_rules import rule_of
from watcher.simulator.scenario import Scenario
from watcher.simulator.simulated_kinds import (
    FAILED,
    IN_PROGRESS,
    IN_QUEUE,
    PARTIAL_SUCCESS,
    STOPPED,
    SUCCEEDED,
    TERMINAL,
    Match,
    SimulatedKind,
    search_details,
    search_result,
)

Truth = tuple[tuple[str, float], ...]
"""Each status of a task, with the wall time in seconds at which it begins."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `at` on the task has this status and shows this much of its result."""

    status: str
    at: float
    matches: bool = False
    voiceprint: bool = False


@dataclass(frozen=True, slots=True)
class CallDetails:
    """The phone call that a task is about."""

    transaction_id: str
    is_caller: bool = True


@dataclass(slots=True)
class SimulatedTask:
    """A task from its creation to its end. Times are wall seconds, rounded down to milliseconds as in the replies of the service."""

    kind: SimulatedKind
    connector: str
    task_id: str
    call: CallDetails
    periods: tuple[Period, ...]
    """In order of time; the first begins at the creation."""
    matches: tuple[Match, ...]
    voiceprint: str
    """The VoiceprintGenerationStatus that it will have."""
    message: str
    """The StatusMessage that it has once it has failed."""
    hidden: bool
    """Whether the fault `404` applies to it: it is not found at first."""
    calls: int = field(default=0)
    """How many Get and Stop requests named it."""
    end_seen: bool = field(default=False)
    """Whether a Get has returned its terminal status."""

    @property
    def created_at(self) -> float:
        """The time of its creation, in seconds."""
        return self.periods[0].at

    @property
    def ended_at(self) -> float | None:
        """The time of its end, in seconds; None: it never ends."""
        return self.periods[-1].at if self.periods[-1].status in TERMINAL else None

    def begun(self, now: float) -> tuple[Period, ...]:
        """Return the periods that have begun at `now`, which is rounded as their times are. At least the first."""
        at = milliseconds(now)
        return tuple(period for period in self.periods if period.at <= at) or self.periods[:1]

    def period(self, now: float) -> Period:
        """Return the period that contains `now`."""
        return self.begun(now)[-1]

    def stop(self, now: float) -> None:
        """End it at `now`, unless it ended before."""
        at, past = milliseconds(now), self.begun(now)
        if past[-1].status not in TERMINAL:
            self.periods = (*past, Period(STOPPED, max(at, past[-1].at), matches=past[-1].matches))

    def set_status(self, status: str, now: float) -> None:
        """Give it this status at `now`, which it keeps until it gets another one."""
        at, past = milliseconds(now), self.begun(now)
        done = status == SUCCEEDED
        self.periods = (*past, Period(status, max(at, past[-1].at), matches=done or status == PARTIAL_SUCCESS, voiceprint=done))
        self.end_seen = False

    def truth(self) -> Truth:
        """Return every status that it has or will have, with its time."""
        statuses: list[tuple[str, float]] = []
        for period in self.periods:
            if not statuses or statuses[-1][0] != period.status:
                statuses.append((period.status, period.at))
        return tuple(statuses)

    def reply(self, now: float) -> dict[str, Any]:
        """Return the task as the API shows it at `now`."""
        period, kind = self.period(now), self.kind
        started = self._started_at(period)
        task: dict[str, Any] = {
            kind.id_member: self.task_id,
            kind.status_member: period.status,
            "CallDetails": {
                "VoiceConnectorId": self.connector,
                "TransactionId": self.call.transaction_id,
                "IsCaller": self.call.is_caller,
            },
            "CreatedTimestamp": iso(self.created_at),
            "UpdatedTimestamp": iso(period.at),
        }
        if started is not None:
            task["StartedTimestamp"] = iso(started)
        if period.status == FAILED:
            task["StatusMessage"] = self.message
        if kind.details_member is not None and period.matches:
            task[kind.details_member] = search_details(self.matches, self.voiceprint if period.voiceprint else None)
        return task

    def observation(self, now: float, observed_at: float) -> Observation:
        """Return what a probe reads from `reply(now)`."""
        period = self.period(now)
        has_result = self.kind.details_member is not None and period.matches
        return Observation(
            status=period.status,
            observed_at=observed_at,
            result=search_result(self.matches, self.voiceprint if period.voiceprint else None) if has_result else None,
            created_at=self.created_at,
            started_at=self._started_at(period),
            updated_at=period.at,
            message=self.message if period.status == FAILED else None,
        )

    def _started_at(self, current: Period) -> float | None:
        for period in self.periods:
            if period.status == IN_PROGRESS:
                return period.at if period.at <= current.at else None
        return None


def create_task(
    scenario: Scenario, kind: SimulatedKind, ids: tuple[str, str], call: CallDetails | None, now: float, rng: Random
) -> SimulatedTask:
    """Return a task that begins at `now`; `ids` are its voice connector and task id.

    Draws everything that is random, in this order: another order would change every task of every seed.
    """
    mark = scenario.mark
    queue, run = scenario.durations.queue.draw(rng), scenario.durations.run.draw(rng)
    end, partial = rng.random(), rng.random() < scenario.partial
    stays, share = rng.random() < scenario.partial_stays, rng.uniform(0.5, 0.95)
    status = FAILED if end < scenario.failed else STOPPED if end < scenario.failed + scenario.stopped else SUCCEEDED
    rule = rule_of(ids[1])
    status, run = rule.end or status, rule.run_s(run)
    partial = partial if rule.partial is None else rule.partial
    stays = stays if rule.stays is None else rule.stays
    transaction = f"{mark}{random_id(rng)}"
    scores = sorted((round(rng.uniform(0.3, 0.99), 4) for _ in range(rng.randint(0, 10))), reverse=True)
    return SimulatedTask(
        kind=kind,
        connector=ids[0],
        task_id=ids[1],
        call=call or CallDetails(transaction),
        periods=_periods(now, queue, run, status, run * share if partial and status == SUCCEEDED else None, stays),
        matches=tuple(Match(f"{mark}{random_id(rng)}", score) for score in scores),
        voiceprint="VoiceprintGenerationSuccess" if rng.random() < 0.9 else "VoiceprintGenerationFailure",
        message=f"{mark}The call ended before enough speech was heard.",
        hidden=rng.random() < scenario.faults.get("404", 0.0) or rule.hidden,
    )


def _periods(now: float, queue: float, run: float, end: str, partial: float | None, stays: bool) -> tuple[Period, ...]:
    created = milliseconds(now)
    periods = [Period(IN_QUEUE, created), Period(IN_PROGRESS, created + queue)]
    if partial is not None:
        periods.append(Period(PARTIAL_SUCCESS, created + queue + partial, matches=True))
    last = PARTIAL_SUCCESS if partial is not None and stays else end
    periods.append(Period(last, created + queue + run, matches=end == SUCCEEDED, voiceprint=end == SUCCEEDED))
    return tuple(Period(p.status, milliseconds(p.at), p.matches, p.voiceprint) for p in periods if math.isfinite(p.at))


def milliseconds(at: float) -> float:
    """Round `at`, in seconds, down to a millisecond; or up to one that is less than a microsecond away, an error of the float."""
    return math.floor(at * 1000 + 1e-3) / 1000


def iso(at: float) -> str:
    """Format seconds since the epoch as the service does: `2026-11-22T10:00:12.345Z`."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def random_id(rng: Random) -> str:
    """Draw a UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
