"""The form in which a kind is written in YAML, for the shipped kinds and for a user's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from watcher.kinds.kind import Kind, Notifications, Param, Quota, ReplyPaths, StartCall, StatusClass, UsualDuration
from watcher.kinds.member_types import Types
from watcher.kinds.paths import Expression, parse_expression, parse_path
from watcher.kinds.results import ResultRules
from watcher.section import Name, Seconds, Section


def _checked(check: Callable[[str], Any]) -> AfterValidator:
    """Keep a string as it is if `check` raises no ValueError for it."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _check_pattern(text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a valid regular expression: {error.msg}") from None


JmesPath = Annotated[str, _checked(parse_expression)]
MemberPath = Annotated[str, _checked(parse_path)]
Pattern = Annotated[str, _checked(_check_pattern)]


class ParamForm(Section):
    """One identifier of a task, under the name of the request's parameter."""

    field: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """The name in messages. Default: the parameter's own name in snake case."""
    pattern: Pattern = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,254}[A-Za-z0-9])?"
    """A regular expression that a whole value must match."""


class QuotaForm(Section):
    """The rate limit that the calls are counted against."""

    name: Name
    """A name for metrics and settings. Kinds with the same name share one pace."""
    title: str = Field(min_length=1)
    """The name of the quota in AWS's console."""


class NotificationsForm(Section):
    """The notifications that AWS sends about tasks of this kind."""

    source: str = Field(min_length=1)
    """The `source` of the event, such as `aws.chime`."""
    detail_types: tuple[str, ...] = Field(min_length=1)
    """The values of `detail-type` that announce a change of such a task."""
    id: str | None = None
    """The member of `detail` with the task's own id, where it is not spelled as the last parameter is."""
    other_detail_types: tuple[str, ...] = ()
    """Further values of `detail-type` of this source, which are known and require no action."""


class StartForm(Section):
    """The call that starts a task. A CloudTrail record of it is a submission: the reply in it has the members of `task`."""

    event_name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,127}$")
    """The `eventName` of the record."""
    source: str = Field(min_length=1)
    """The `source` of the EventBridge event. Records of other calls from this source are known and require no action."""


class DurationForm(Section):
    """How long tasks usually stay in a status: what the cadence assumes until about twenty tasks have left it."""

    at_least: Seconds = Field(default=0, ge=0, le=86_400)
    """Hardly any task leaves the status before this age. In seconds."""
    median: Seconds = Field(gt=0, le=7 * 86_400)
    """Half of the tasks have left it by this age, which is more than `at_least`. In seconds."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.median <= self.at_least:
            raise ValueError("median must be more than at_least")
        return self


class BatchForm(Section):
    """The call that describes many tasks at once. Only `size` is used so far."""

    operation: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    param: str = Field(min_length=1)
    """The request's list of ids."""
    size: int = Field(ge=2, le=1000)
    """Most ids in one call."""
    items: JmesPath
    """The list of tasks in the reply."""
    id: JmesPath
    """The id in each of them."""


class KindForm(Section):
    """A kind of task: the call that reads its state, and where each fact is in the reply. Paths are JMESPath."""

    name: Name
    """The name in keys and messages."""
    service: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    """The AWS service, as botocore names it."""
    operation: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """The call that reads one task, as the method of botocore's client is named."""
    params: dict[str, ParamForm] = Field(min_length=1)
    """The identifiers of a task, in the order of its key. The last one is the task's own id."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Constant members of the request."""
    task: JmesPath
    """The task in the reply. The paths below are relative to it."""
    id: JmesPath
    """The task's own id: must equal the last parameter."""
    status: JmesPath
    created: JmesPath | None = None
    """When the first status began."""
    started: JmesPath | None = None
    """When the last open status began."""
    updated: JmesPath | None = None
    """When the present status began."""
    message: JmesPath | None = None
    """The service's text about the status. Events contain it only with `events.results: full`."""
    result: JmesPath | None = None
    """The result, an object. One with only null members is no result."""
    types: dict[MemberPath, Literal["object", "list", "string", "number"]] = Field(default_factory=dict)
    """The types of members of the task, where present; a reply with another type is unreadable. `[*]`: each element."""
    settled: JmesPath | None = None
    """Over the result: true when nothing more follows a provisional status."""
    count: JmesPath | None = None
    """Over the result: what `events.results: count` shows of it. Default: the result with null for what is private."""
    private: tuple[MemberPath, ...] | None = None
    """Where the result contains identifiers of persons. Not declared: `hashed` and `count` show nothing."""
    statuses: dict[str, Literal["open", "provisional", "succeeded", "failed"]]
    """Each status and its class, in the order of a task's life. An open status after an end can follow any open status."""
    durations: dict[str, DurationForm] = Field(default_factory=dict)
    """How long a status usually lasts. One that is not listed may last any time."""
    quota: QuotaForm
    retention: Seconds = Field(gt=0)
    """For how long the service keeps a finished task. In seconds."""
    notifications: NotificationsForm | None = None
    start: StartForm | None = None
    batch: BatchForm | None = None

    @field_validator("statuses")
    @classmethod
    def _check_statuses(cls, statuses: dict[str, str]) -> dict[str, str]:
        classes = list(statuses.values())
        if not classes or classes[0] != StatusClass.OPEN:
            raise ValueError("the first status must be open")
        if StatusClass.SUCCEEDED not in classes and StatusClass.FAILED not in classes:
            raise ValueError("at least one status must be succeeded or failed")
        return statuses

    @field_validator("types")
    @classmethod
    def _check_types(cls, types: dict[str, str]) -> dict[str, str]:
        Types.of(types)
        return types

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        fields = [form.field or _snake(name) for name, form in self.params.items()]
        if len(set(fields)) != len(fields):
            raise ValueError("two params have the same field; give each its own")
        for status in self.durations:
            if self.statuses.get(status) not in (StatusClass.OPEN, StatusClass.PROVISIONAL):
                raise ValueError(f"durations has {status}, which is not an open or provisional status; list only such statuses")
        return self

    def kind(self) -> Kind:
        """Return the kind, with all paths compiled."""
        return Kind(
            name=self.name,
            service=self.service,
            operation=self.operation,
            params=tuple(Param(name, form.field or _snake(name), re.compile(form.pattern)) for name, form in self.params.items()),
            extra=self.extra,
            reply=ReplyPaths(
                task=Expression(self.task),
                id=Expression(self.id),
                status=Expression(self.status),
                created=_expression(self.created),
                started=_expression(self.started),
                updated=_expression(self.updated),
                message=_expression(self.message),
            ),
            results=self._results(),
            statuses={status: StatusClass(word) for status, word in self.statuses.items()},
            quota=Quota(self.quota.name, self.quota.title),
            retention_s=self.retention,
            notifications=self._notifications(),
            start=None if self.start is None else StartCall(self.start.event_name, self.start.source),
            usual={status: UsualDuration(form.at_least, form.median) for status, form in self.durations.items()},
            batch_size=1 if self.batch is None else self.batch.size,
        )

    def _results(self) -> ResultRules:
        return ResultRules(
            expression=_expression(self.result),
            types=Types.of(self.types),
            settled=_expression(self.settled),
            count=_expression(self.count),
            private=None if self.private is None else tuple(map(parse_path, self.private)),
        )

    def _notifications(self) -> Notifications | None:
        form = self.notifications
        return None if form is None else Notifications(form.source, form.detail_types, form.id, form.other_detail_types)


def keys_at(path: Sequence[str | int]) -> Sequence[str]:
    """The keys that are known beside this one, given from the root of a kind: `("quota", "tilte")`."""
    inner: dict[str, type[Section]] = {
        "params": ParamForm,
        "quota": QuotaForm,
        "notifications": NotificationsForm,
        "start": StartForm,
        "batch": BatchForm,
        "durations": DurationForm,
    }
    form: type[Section] = KindForm if len(path) < 2 else inner.get(str(path[0]), KindForm)
    return list(form.model_fields)


def _expression(text: str | None) -> Expression | None:
    return None if text is None else Expression(text)


def _snake(name: str) -> str:
    """`SpeakerSearchTaskId` as `speaker_search_task_id`, `jobId` as `job_id`, `DBSnapshotId` as `db_snapshot_id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace("-", "_").lower()
