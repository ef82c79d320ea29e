"""The settings of the simulated services. Immutable, so that the same scenario always gives the same tasks."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from watcher.section import Seconds, Section
from watcher.simulator.distributions import DistributionSetting, DurationsSetting, parse_distribution, parse_durations
from watcher.simulator.faults import check_rates

Share = Annotated[float, Field(ge=0, le=1)]

ACCESS_KEY = "simulator"
SECRET_KEY = "simulator"  # noqa: S105  not a secret: it is printed, and is valid for the simulator only


class Scenario(Section):
    """The settings of the simulated services."""

    seed: int = 0
    """The same seed gives the same task ids the same statuses and times, whatever else is called."""
    quota: float | None = Field(default=None, ge=0)
    """Calls per second for each quota; Start, Get and Stop count together. Each kind of the voice service has a quota of its own.
    None: no limit; 0: a new AWS account."""
    burst: float | None = Field(default=None, ge=0)
    """Calls allowed at once; by default as many as the quota allows in one second."""
    latency: DistributionSetting = parse_distribution("uniform(0.02,0.06)")
    """The time from the request to the reply, in seconds."""
    durations: DurationsSetting = parse_durations("queue=exponential(1),run=10+exponential(4)")
    """How long tasks stay in the queue and run. A real search needs 10 s of speech, so the default is 10 s plus a tail.
    Tasks of other kinds stay in each open status but the last one as long as in a queue."""
    faults: Annotated[dict[str, float], AfterValidator(check_rates)] = Field(default_factory=dict)
    """The share of calls that have a fault, by the name of the fault."""
    partial: Share = 0.2
    """Share of successful tasks that have the status PARTIAL_SUCCESS before SUCCEEDED."""
    partial_stays: Share = 0.0
    """Share of these tasks that keep the status PARTIAL_SUCCESS: only their voiceprint is added later."""
    failed: Share = 0.05
    """Share of tasks that end FAILED."""
    stopped: Share = 0.05
    """Share of tasks that end STOPPED without a Stop call, as when the caller hangs up."""
    hidden: Seconds = 20.0
    """How long a task with the fault `404` is not found."""
    slow: Seconds = 8.0
    """The time that the fault `slow` adds to the latency."""
    stale: Seconds = 5.0
    """The age of a reply with the fault `stale`."""
    known_only: bool = False
    """Only tasks from a Start call, and those whose status was set, exist; otherwise the first Get of a task creates it."""
    credentials: dict[str, str] = Field(default_factory=lambda: {ACCESS_KEY: SECRET_KEY})
    """Secret keys by access key. A request with another signature is rejected."""
    session_tokens: dict[str, str] = Field(default_factory=dict)
    """The session token that an access key needs. An access key without an entry accepts any token or none."""
    mark: str = ""
    """A prefix of every VoiceProfileId, TransactionId and StatusMessage, and of all texts in results and messages of other kinds, so
    that privacy tests can search for it."""
    max_tasks: int = Field(default=200_000, ge=1)
    """Tasks kept in memory. Beyond that the oldest is forgotten; a later Get creates it again."""

    @model_validator(mode="after")
    def _ends_add_up(self) -> Self:
        if self.failed + self.stopped > 1:
            raise ValueError("failed and stopped are shares of the same tasks: together at most 1")
        return self
