"""The words in which a kind of task is described. Data only: what to do with it is decided in `core`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcher.model import Result


class Phase(StrEnum):
    """What a status means for the watch."""

    OPEN = "open"
    """The task goes on by itself; a status nobody has heard of is open too."""
    PROVISIONAL = "provisional"
    """Perhaps the last word, perhaps not: told, then watched slowly until it settles."""
    TERMINAL = "terminal"
    """The last word. A terminal task is never asked about again, nor reopened."""


@dataclass(frozen=True, slots=True)
class Param:
    """One identifier of a task: `name` as AWS spells it, `field` as our own messages do."""

    name: str
    field: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls a second that a service grants to an account in a Region. Kinds that share one share a pace."""

    name: str
    """As metrics, health and notes name it."""
    title: str
    """In AWS's own words: what to raise when every call is throttled."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of remote task.

    `statuses` maps the service's words to a phase, in the order of a task's life: what stands between two
    observed words must have been skipped, unless it is in `optional`.
    `running` names the status that begins at `StartedTimestamp`; the first status begins at `CreatedTimestamp`.
    """

    name: str
    """As in keys and messages: `speaker-search`."""
    service: str
    """The AWS service, as botocore names it."""
    operation: str
    """The Get call, as the client's method is named."""
    reply: str
    """The member of the reply that holds the task."""
    params: tuple[Param, ...]
    """In the order in which they make the key."""
    id_member: str
    """The member of the reply that must equal the last parameter."""
    status_member: str
    statuses: Mapping[str, Phase]
    running: str
    quota: Quota
    """What its calls are counted against."""
    retention_s: float
    """For how long the service keeps a finished task, in seconds. Older and not found means expired."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What the call wants to be told beside the identifiers."""
    hints: tuple[str, ...] = ()
    """`detail-type`s of AWS's own notifications about this kind: a reason to ask now."""
    optional: frozenset[str] = frozenset()
    """Statuses a task may pass through but need not."""
    successes: frozenset[str] = frozenset()
    """Last words that mean the task did what it was started for."""
    abrupt: frozenset[str] = frozenset()
    """Ends that may come out of any status, so that nothing need have lain between."""
    result: Callable[[Mapping[str, Any]], Result | None] = field(default=lambda task: None)
    """The task's result out of the reply, as JSON. Raises ValueError when it is not what the API promises."""
    hashed: Callable[[Result, Callable[[str], str]], Result] = field(default=lambda result, digest: {})
    """The result with each identifier of a person replaced by its digest."""
    counted: Callable[[Result], Result] = field(default=lambda result: {})
    """The result without anything about a person: how much was found, not who."""
    settled: Callable[[Result | None], bool] = field(default=lambda result: False)
    """Whether nothing more is to come after a provisional status with this result."""

    @property
    def first_status(self) -> str:
        """The status of a task that was just created."""
        return next(iter(self.statuses))

    @property
    def running_status(self) -> str | None:
        """The status that begins when the task starts to run."""
        return self.running

    def phase(self, status: str) -> Phase:
        """What this status means for a watch; one nobody has heard of is open."""
        return self.statuses.get(status, Phase.OPEN)

    def skipped(self, before: str | None, after: str) -> tuple[str, ...]:
        """The statuses that must have lain between two observations, in order."""
        order = [s for s, phase in self.statuses.items() if phase is not Phase.TERMINAL]
        if after not in self.statuses or (before is not None and before not in order):
            return ()
        first = 0 if before is None else order.index(before) + 1
        last = 1 if after in self.abrupt else order.index(after) if after in order else len(order)
        return tuple(s for s in order[first:last] if s not in self.optional)
