"""One simulated task: what it will be, and when. Drawn once, at its beginning, from dice that belong to this task alone."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

from watcher.kinds import Kind
from watcher.kinds.speaker_search import SPEAKER_SEARCH
from watcher.model import Observation
from watcher.simulator.scenario import Scenario

IN_QUEUE, IN_PROGRESS, PARTIAL_SUCCESS = "IN_QUEUE", "IN_PROGRESS", "PARTIAL_SUCCESS"
SUCCEEDED, FAILED, STOPPED = "SUCCEEDED", "FAILED", "STOPPED"
TERMINAL = frozenset({SUCCEEDED, FAILED, STOPPED})

Truth = tuple[tuple[str, float], ...]
"""Each status a task takes, with the wall time in seconds at which it begins."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `at` on the task has this status and shows this much of its result."""

    status: str
    at: float
    matches: bool = False
    voiceprint: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What a task is about, fixed at its beginning."""

    transaction_id: str
    is_caller: bool = True


@dataclass(slots=True)
class SimulatedTask:
    """A task from its beginning to its end. Times are wall seconds in whole milliseconds, as the service tells them."""

    kind: Kind
    connector: str
    task_id: str
    call: Call
    spans: tuple[Span, ...]
    matches: tuple[Mapping[str, Any], ...]
    voiceprint: str
    message: str
    hidden: bool
    """Whether it is among those that are not found at first."""
    calls: int = field(default=0)
    """How often it was asked about or stopped."""
    end_seen: bool = field(default=False)
    """Whether a Get has already told its end."""

    @property
    def created_at(self) -> float:
        """When it began, in seconds."""
        return self.spans[0].at

    @property
    def ended_at(self) -> float | None:
        """When it ends, in seconds; None: never."""
        return self.spans[-1].at if self.spans[-1].status in TERMINAL else None

    def span(self, now: float) -> Span:
        """Where it stands at `now`."""
        return next((span for span in reversed(self.spans) if span.at <= now), self.spans[0])

    def stop(self, now: float) -> None:
        """End it at `now`; what had ended before stays as it was."""
        at = milliseconds(now)
        past = tuple(span for span in self.spans if span.at <= at) or self.spans[:1]
        if past[-1].status not in TERMINAL:
            self.spans = (*past, Span(STOPPED, max(at, past[-1].at), matches=past[-1].matches))

    def truth(self) -> Truth:
        """Every status it takes and when; one that never comes is left out."""
        told: list[tuple[str, float]] = []
        for span in self.spans:
            if not told or told[-1][0] != span.status:
                told.append((span.status, span.at))
        return tuple(told)

    def task(self, now: float) -> dict[str, Any]:
        """The task as the API shows it at `now`."""
        span, kind = self.span(now), self.kind
        started = next((s.at for s in self.spans if s.status == IN_PROGRESS), None)
        task: dict[str, Any] = {
            kind.id_member: self.task_id,
            kind.status_member: span.status,
            "CallDetails": {
                "VoiceConnectorId": self.connector,
                "TransactionId": self.call.transaction_id,
                "IsCaller": self.call.is_caller,
            },
            "CreatedTimestamp": iso(self.created_at),
            "UpdatedTimestamp": iso(span.at),
        }
        if started is not None and started <= span.at:
            task["StartedTimestamp"] = iso(started)
        if span.status == FAILED:
            task["StatusMessage"] = self.message
        return task | self._result(span)

    def _result(self, span: Span) -> dict[str, Any]:
        """The members of the task that hold its result; none for a kind without one."""
        if self.kind is not SPEAKER_SEARCH or not span.matches:
            return {}
        details: dict[str, Any] = {"Results": list(self.matches)}
        if span.voiceprint:
            details["VoiceprintGenerationStatus"] = self.voiceprint
        return {"SpeakerSearchDetails": details}

    def observation(self, now: float, observed_at: float) -> Observation:
        """The same as `task(now)`, as a probe hands it on."""
        span = self.span(now)
        started = next((s.at for s in self.spans if s.status == IN_PROGRESS and s.at <= span.at), None)
        return Observation(
            status=span.status,
            observed_at=observed_at,
            result=self.kind.result(self._result(span)),
            created_at=self.created_at,
            started_at=started,
            updated_at=span.at,
            message=self.message if span.status == FAILED else None,
        )


def born(scenario: Scenario, kind: Kind, connector: str, task_id: str, call: Call | None, now: float, dice: Random) -> SimulatedTask:
    """A life that begins at `now`. Everything random is drawn here, in this order; the same dice give the same life."""
    mark = scenario.mark
    queue, run = scenario.durations.queue.draw(dice), scenario.durations.run.draw(dice)
    end, partial = dice.random(), dice.random() < scenario.partial
    stays, share = dice.random() < scenario.partial_stays, dice.uniform(0.5, 0.95)
    status = FAILED if end < scenario.failed else STOPPED if end < scenario.failed + scenario.stopped else SUCCEEDED
    transaction = f"{mark}{random_id(dice)}"
    scores = sorted((round(dice.uniform(0.3, 0.99), 4) for _ in range(dice.randint(0, 10))), reverse=True)
    return SimulatedTask(
        kind=kind,
        connector=connector,
        task_id=task_id,
        call=call or Call(transaction),
        spans=_spans(now, queue, run, status, run * share if partial and status == SUCCEEDED else None, stays),
        matches=tuple({"ConfidenceScore": score, "VoiceProfileId": f"{mark}{random_id(dice)}"} for score in scores),
        voiceprint="VoiceprintGenerationSuccess" if dice.random() < 0.9 else "VoiceprintGenerationFailure",
        message=f"{mark}The call ended before enough speech was heard.",
        hidden=dice.random() < scenario.faults.get("404", 0.0),
    )


def _spans(now: float, queue: float, run: float, end: str, partial: float | None, stays: bool) -> tuple[Span, ...]:
    began = milliseconds(now)
    spans = [Span(IN_QUEUE, began), Span(IN_PROGRESS, began + queue)]
    if partial is not None:
        spans.append(Span(PARTIAL_SUCCESS, began + queue + partial, matches=True))
    last = PARTIAL_SUCCESS if partial is not None and stays else end
    spans.append(Span(last, began + queue + run, matches=end == SUCCEEDED, voiceprint=end == SUCCEEDED))
    return tuple(Span(s.status, milliseconds(s.at), s.matches, s.voiceprint) for s in spans if math.isfinite(s.at))


def milliseconds(at: float) -> float:
    """`at` without what is finer than a millisecond."""
    return math.floor(at * 1000 + 1e-3) / 1000


def iso(at: float) -> str:
    """Seconds since the epoch as the service writes them: `2026-11-22T10:00:12.345Z`."""
    return datetime.fromtimestamp(round(at, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def random_id(dice: Random) -> str:
    """A UUID out of the dice."""
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
