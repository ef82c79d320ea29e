"""The data that describes a kind of task: how to read its state, and what its statuses mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from watcher.kinds.arn import ArnTemplate
from watcher.kinds.paths import Expression
from watcher.kinds.results import Mode, ResultRules
from watcher.model import Result, TaskRef


class StatusClass(StrEnum):
    """What a kind declares about each of its statuses."""

    OPEN = "open"
    """The task has not ended."""
    PROVISIONAL = "provisional"
    """A success that may not be final: `watch.partial_success` decides. A task can skip it."""
    SUCCEEDED = "succeeded"
    """The task has ended, and did what it was started for."""
    FAILED = "failed"
    """The task has ended in another way. This can follow any status."""


class Phase(StrEnum):
    """What a status means for a watch."""

    OPEN = "open"
    """The task has not ended. A status that the kind does not declare is open too."""
    PROVISIONAL = "provisional"
    """An event reports it; then the task is polled slowly until it settles."""
    TERMINAL = "terminal"
    """The end. A terminal task is never polled or reopened."""


_PHASES: Mapping[StatusClass, Phase] = {
    StatusClass.OPEN: Phase.OPEN,
    StatusClass.PROVISIONAL: Phase.PROVISIONAL,
    StatusClass.SUCCEEDED: Phase.TERMINAL,
    StatusClass.FAILED: Phase.TERMINAL,
}


@dataclass(frozen=True, slots=True)
class Param:
    """One identifier of a task."""

    name: str
    """As AWS spells it: the parameter of the request."""
    field: str
    """As our own messages spell it."""
    pattern: re.Pattern[str]
    """What a value must match as a whole before it may become part of a request."""
    in_list: bool = False
    """Whether the request has a list in this place: it is sent as a list of one value, or of those of a batch."""
    other_names: tuple[str, ...] = ()
    """Other names in messages, such as that in the reply of the call that starts a task."""
    example: str = ""
    """A value for the example in errors and in the documentation. Empty: none is known."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The calls per second that a service grants to an account in a Region. Kinds with the same quota share one pace."""

    name: str
    """As metrics, health and stored state name it."""
    title: str
    """As AWS names it: what to raise when every call is throttled."""


@dataclass(frozen=True, slots=True)
class Notifications:
    """The notifications that AWS itself sends about tasks of this kind: a reason to poll now."""

    source: str
    """The `source` of the EventBridge event, such as `aws.chime`."""
    detail_types: tuple[str, ...]
    id: str | None = None
    """The member of `detail` with the task's own id or its ARN, or a dotted path to it. None: the names of the last parameter."""
    other_detail_types: tuple[str, ...] = ()
    """Other events of the same source, which announce nothing about such a task."""


@dataclass(frozen=True, slots=True)
class StartCall:
    """The call that starts a task, as AWS CloudTrail records it."""

    event_name: str
    """The `eventName` of the record, such as `StartSpeakerSearchTask`."""
    source: str
    """The `source` of the EventBridge event with the record, such as `aws.chime`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The call that describes many tasks at once. All tasks of a call have the same target and the same params but the last."""

    operation: str
    """As the method of botocore's client is named."""
    param: str
    """The parameter of the request with the list of ids. It replaces the last of `Kind.params`."""
    size: int
    """The maximum number of ids in one call."""
    items: Expression
    """The list of tasks in the reply. Each has the form of the task in the reply of `Kind.operation`."""
    id: Expression
    """The id in each of them, as it was requested."""
    failures: Expression | None = None
    """The list of tasks in the reply that could not be described. A task in neither list does not exist."""
    failure_id: Expression | None = None
    """The id in each failure."""
    failure_code: Expression | None = None
    """The error code in each failure."""


@dataclass(frozen=True, slots=True)
class UsualDuration:
    """How long tasks usually stay in a status: what the cadence assumes until it has learned the durations."""

    at_least_s: float
    """Hardly any task leaves the status before this age, in seconds."""
    median_s: float
    """Half of the tasks have left it by this age, in seconds. More than `at_least_s`."""


@dataclass(frozen=True, slots=True)
class ReplyPaths:
    """Where to find each fact in a reply. All paths but `task` are relative to the task."""

    task: Expression
    id: Expression | None
    """Must equal the last parameter. None where the reply does not say which task it is about."""
    status: Expression
    created: Expression | None = None
    """When the first status began."""
    started: Expression | None = None
    """When the running status began."""
    updated: Expression | None = None
    """When the current status began."""
    message: Expression | None = None

    @property
    def member(self) -> str | None:
        """The member of the reply that holds the task; None where it is not a plain path."""
        return self.task.members[0] if self.task.members else None


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of remote task. Two kinds are equal only if they are the same object."""

    name: str
    """As in keys and messages: `speaker-search`."""
    service: str
    """The AWS service, as botocore names it."""
    operation: str
    """The call that reads one task, as the method of botocore's client is named."""
    params: tuple[Param, ...]
    """In the order in which they make the key. The last one is the task's own id."""
    reply: ReplyPaths
    statuses: Mapping[str, StatusClass]
    """In the order in which a task has them. An open status listed after an end, such as STOPPING, can follow any open status."""
    quota: Quota
    retention_s: float
    """How long the service keeps a finished task, in seconds. A task that is older and not found has expired."""
    optional: frozenset[str] = frozenset()
    """The open statuses that a task can skip, besides those that can follow any other."""
    results: ResultRules = field(default_factory=ResultRules)
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Constant members of the request."""
    notifications: Notifications | None = None
    start: StartCall | None = None
    usual: Mapping[str, UsualDuration] = field(default_factory=dict)
    """By status, how long it usually lasts."""
    batch: Batch | None = None
    """None: one call for each task."""
    not_found: Mapping[str, re.Pattern[str] | None] = field(default_factory=dict)
    """The error codes that mean "no such task", in addition to those that mean it for all services. With a pattern, only where it is found
    in the text of the error: some services have one code for many errors."""
    own: bool = False
    """Whether a configuration declares it; otherwise it ships with the watcher."""
    arn: ArnTemplate | None = None
    """How the ARN of a task looks, where it has one that names all params."""
    first_status: str = field(init=False)
    """The status that begins at `reply.created`."""
    running_status: str | None = field(init=False)
    """The status that begins at `reply.started`: the last open one before an end. None where that is the first status."""
    _phases: Mapping[str, Phase] = field(init=False, repr=False)
    _stages: tuple[str, ...] = field(init=False, repr=False)
    """Statuses that are not an end, in order."""
    _optional: frozenset[str] = field(init=False, repr=False)
    """Statuses that a task can skip."""
    _sudden: frozenset[str] = field(init=False, repr=False)
    """Statuses that can follow any other, so that nothing but the first status must have come before."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_phases", {word: _PHASES[class_] for word, class_ in self.statuses.items()})
        words = list(self.statuses)
        first_end = next((n for n, word in enumerate(words) if self.phase(word) is Phase.TERMINAL), len(words))
        main = [word for word in words[:first_end] if self.phase(word) is Phase.OPEN]
        side = {word for word in words[first_end:] if self.phase(word) is Phase.OPEN}
        provisional = {word for word in words if self.phase(word) is Phase.PROVISIONAL}
        failed = {word for word, class_ in self.statuses.items() if class_ is StatusClass.FAILED}
        facts = {
            "first_status": words[0],
            "running_status": main[-1] if len(main) > 1 else None,
            "_stages": tuple(word for word in words if self.phase(word) is not Phase.TERMINAL),
            "_optional": frozenset(side | provisional | self.optional),
            "_sudden": frozenset(side | failed),
        }
        for name, value in facts.items():
            object.__setattr__(self, name, value)

    @property
    def batch_size(self) -> int:
        """The maximum number of tasks in one call."""
        return 1 if self.batch is None else self.batch.size

    @property
    def operations(self) -> tuple[str, ...]:
        """The calls that read tasks of this kind: first the one about most tasks."""
        return tuple(dict.fromkeys([self.operation_for(self.batch_size), self.operation]))

    def operation_for(self, tasks: int) -> str:
        """The call about so many tasks. The kind's own call reads one task, because AWS documents the error codes of such calls."""
        return self.operation if self.batch is None or tasks == 1 else self.batch.operation

    def phase(self, status: str) -> Phase:
        """What this status means for a watch. One that the kind does not declare is open."""
        return self._phases.get(status, Phase.OPEN)

    def succeeded(self, status: str) -> bool:
        """Whether the task did what it was started for, as far as this status says."""
        return self.statuses.get(status) in (StatusClass.SUCCEEDED, StatusClass.PROVISIONAL)

    def skipped(self, before: str | None, after: str) -> tuple[str, ...]:
        """The statuses that a task must have had between two observed ones, in order. `before` is None at first sight."""
        stages = self._stages
        if after not in self.statuses or (before is not None and before not in stages):
            return ()
        first = 0 if before is None else stages.index(before) + 1
        last = stages.index(after) if after in stages else len(stages)
        if after in self._sudden:
            last = 1
        return tuple(status for status in stages[first:last] if status not in self._optional)

    def group(self, ref: TaskRef) -> str:
        """What a permission depends on: all params but the task's own id, joined by `/`; the kind's name if there are none."""
        return "/".join(ref.params[:-1]) or self.name

    def settled(self, result: Result | None) -> bool:
        """Whether nothing more follows a provisional status with this result."""
        return self.results.is_settled(result)

    def redact(self, result: Result | None, mode: Mode, digest: Callable[[str], str]) -> Result | None:
        """Return what an event may contain of a result under `events.results`. `digest` replaces an identifier of a person."""
        return self.results.redact(result, mode, digest)
