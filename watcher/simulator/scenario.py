"""What a simulated voice service is like: frozen, so that the same scenario and seed give the same world."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from watcher.section import Seconds, Section
from watcher.simulator.distributions import DurationsText, LawText, parse_distribution, parse_durations
from watcher.simulator.faults import checked

Share = Annotated[float, Field(ge=0, le=1)]

ACCESS_KEY = "simulator"
SECRET_KEY = "simulator"  # noqa: S105  no secret: it is printed, and opens nothing but the simulator


class Scenario(Section):
    """The settings of a simulated voice service."""

    seed: int = 0
    """Same seed, same task id: same life, whatever else is asked."""
    quota: float | None = Field(default=None, ge=0)
    """Start, Get and Stop together, in calls per second for each kind of task. None: no limit; 0: a fresh account."""
    burst: float | None = Field(default=None, ge=0)
    """Calls of credit above the quota; by default those of one second."""
    latency: LawText = parse_distribution("uniform(0.02,0.06)")
    """From the request to the reply, in seconds."""
    durations: DurationsText = parse_durations("queue=exponential(1),run=10+exponential(4)")
    """How long tasks wait and run. A search needs 10 s of speech, so 10 s and a tail is what real ones look like."""
    faults: Annotated[dict[str, float], AfterValidator(checked)] = Field(default_factory=dict)
    """Name of a fault to the share of calls that it hits."""
    partial: Share = 0.2
    """Share of tasks that pass PARTIAL_SUCCESS on their way to SUCCEEDED."""
    partial_stays: Share = 0.0
    """Share of those that stay there for good; only their voiceprint comes later."""
    failed: Share = 0.05
    """Share of tasks that end FAILED."""
    stopped: Share = 0.05
    """Share of tasks that end STOPPED without being asked to: the caller hung up."""
    hidden: Seconds = 20.0
    """For how long a task hit by the fault `404` is not found."""
    slow: Seconds = 8.0
    """What the fault `slow` adds to the latency."""
    stale: Seconds = 5.0
    """How old the answer of a `stale` read is."""
    known_only: bool = False
    """Only tasks begun with a Start call exist; otherwise a task begins when it is first asked about."""
    credentials: dict[str, str] = Field(default_factory=lambda: {ACCESS_KEY: SECRET_KEY})
    """Access key to secret. A request signed with anything else is refused."""
    session_tokens: dict[str, str] = Field(default_factory=dict)
    """Access key to the session token it needs. A key that is not here may come with any token or none."""
    mark: str = ""
    """Put in front of every VoiceProfileId, TransactionId and StatusMessage: a canary for tests of privacy."""
    max_tasks: int = Field(default=200_000, ge=1)
    """Lives kept in memory; beyond that the oldest is forgotten, and begins anew when asked about."""

    @model_validator(mode="after")
    def _ends_add_up(self) -> Self:
        if self.failed + self.stopped > 1:
            raise ValueError("failed and stopped are shares of the same tasks: together at most 1")
        return self
