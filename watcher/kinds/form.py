"""The form in which a kind is written in YAML, for the shipped kinds and for a user's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from watcher.kinds.arn import ArnTemplate
from watcher.kinds.form_parts import (
    ArnText,
    BatchForm,
    DurationForm,
    JmesPath,
    MemberPath,
    Method,
    NotificationsForm,
    ParamForm,
    Pattern,
    QuotaForm,
    StartForm,
    checked,
    expression,
    snake_case,
)
from watcher.kinds.kind import Kind, Notifications, Param, Quota, ReplyPaths, StartCall, StatusClass, UsualDuration
from watcher.kinds.member_types import Types
from watcher.kinds.paths import Expression, parse_expression, parse_path
from watcher.kinds.results import ResultRules
from watcher.section import Name, Seconds, Section

PLACEHOLDER_STATUS = "FIRST_STATUS"
"""What `watcher kinds from-waiter` writes for a status that it does not know. A kind cannot have it."""


def _check_status(status: str) -> None:
    if status == PLACEHOLDER_STATUS:
        raise ValueError("is a placeholder; replace it with the first status of such a task")


Status = Annotated[str, checked(_check_status)]


class KindForm(Section):
    """A kind of task: the call that reads its state, and where each fact is in the reply. Paths are JMESPath."""

    name: Name
    """The name in keys and messages."""
    service: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    """The AWS service, as botocore names it."""
    operation: Method
    """The call that reads one task, as the method of botocore's client is named: `get_transcription_job`."""
    params: dict[str, ParamForm] = Field(min_length=1)
    """The identifiers of a task, in the order of its key. The last one is the task's own id."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Constant members of the request."""
    task: JmesPath
    """The task in the reply. The paths below are relative to it."""
    id: str | Literal[False] | None = None
    """The task's own id, which must equal the last parameter. Default: the name of that parameter. false: the reply does not have it."""
    status: JmesPath
    """The status, a string."""
    created: JmesPath | None = None
    """When the first status began."""
    started: JmesPath | None = None
    """When the last open status before an end began. If a kind has only one open status, leave this out."""
    updated: JmesPath | None = None
    """When the current status began."""
    message: JmesPath | None = None
    """The service's message about the status. Events contain it only with `events.results: full`."""
    result: JmesPath | None = None
    """The result, an object. If all members are null, the event has `result: null`."""
    types: dict[MemberPath, Literal["object", "list", "string", "number"]] = Field(default_factory=dict)
    """The types of members of the task. A reply in which such a member has another type is unreadable. `[*]` means each element."""
    settled: JmesPath | None = None
    """Evaluated on the result: true when nothing more follows a provisional status."""
    count: JmesPath | None = None
    """Evaluated on the result: what an event contains with `events.results: count`. Default: the result, with null for private values."""
    private: tuple[MemberPath, ...] | None = None
    """Where the result contains identifiers of people; `[]` if nowhere. Required if `events.results` is `hashed` or `count`, and the kind
    has a result."""
    statuses: dict[Status, Literal["open", "provisional", "succeeded", "failed"]]
    """Each status and its class (open, provisional, succeeded, or failed), in the order in which a task has them. List an open status
    that can occur at any time, such as STOPPING, after the succeeded and failed ones."""
    optional: tuple[str, ...] = ()
    """The open statuses that a task can skip, such as one in which it waits in a queue."""
    durations: dict[str, DurationForm] = Field(default_factory=dict)
    """How long a status usually lasts. A status that is not listed may last any time."""
    quota: QuotaForm | None = None
    """The rate limit. Default: one for this kind alone."""
    retention: Seconds = Field(default=30 * 86_400, gt=0)
    """How long the service keeps a finished task, in seconds. An older task that is not found has expired."""
    not_found: dict[str, Pattern | None] = Field(default_factory=dict)
    """Error codes that mean "no such task", in addition to those that mean it for all services. The value is null, or a regular expression
    that must be found in the text of the error."""
    arn: ArnText | None = None
    """How the ARN of a task looks, with params in braces: `arn:*:batch:*:*:job/{jobs}`. If the last identifier is the whole ARN, write `*`
    in its place: `arn:*:acm:*:*:certificate/*`."""
    notifications: NotificationsForm | None = None
    start: StartForm | None = None
    batch: BatchForm | None = None

    @field_validator("params")
    @classmethod
    def _check_params(cls, params: dict[str, ParamForm]) -> dict[str, ParamForm]:
        fields = [form.field or snake_case(name) for name, form in params.items()]
        if len(set(fields)) != len(fields):
            raise ValueError("two params have the same field; give each its own")
        return params

    @field_validator("statuses")
    @classmethod
    def _check_statuses(cls, statuses: dict[str, str]) -> dict[str, str]:
        classes = list(statuses.values())
        if not classes or classes[0] != StatusClass.OPEN:
            raise ValueError("the first status must be open")
        if StatusClass.SUCCEEDED not in classes and StatusClass.FAILED not in classes:
            raise ValueError("at least one status must be succeeded or failed")
        return statuses

    @field_validator("id")
    @classmethod
    def _check_id(cls, id_: str | Literal[False] | None) -> str | Literal[False] | None:
        if isinstance(id_, str):
            parse_expression(id_)
        return id_

    @field_validator("types")
    @classmethod
    def _check_types(cls, types: dict[str, str]) -> dict[str, str]:
        Types.of(types)
        return types

    @field_validator("optional")
    @classmethod
    def _check_optional(cls, optional: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        statuses = info.data.get("statuses", {})  # empty if they have a mistake
        for status in optional if statuses else ():
            if statuses.get(status) != StatusClass.OPEN:
                raise ValueError(f"{status} is not an open status; list only such statuses")
        return optional

    @field_validator("durations")
    @classmethod
    def _check_durations(cls, durations: dict[str, DurationForm], info: ValidationInfo) -> dict[str, DurationForm]:
        statuses = info.data.get("statuses", {})  # empty if they have a mistake
        for status in durations if statuses else ():
            if statuses.get(status) not in (StatusClass.OPEN, StatusClass.PROVISIONAL):
                raise ValueError(f"{status} is not an open or provisional status; list only such statuses")
        return durations

    @field_validator("arn")
    @classmethod
    def _check_arn(cls, arn: str | None, info: ValidationInfo) -> str | None:
        params: dict[str, ParamForm] = info.data.get("params", {})  # empty if they have a mistake
        if arn is None or not params:
            return arn
        own = params[next(reversed(params))]
        is_default = "pattern" not in own.model_fields_set
        if mistake := ArnTemplate(arn).mistake(list(params), own_is_default=is_default, own_example=own.example):
            raise ValueError(mistake)
        return arn

    @field_validator("batch")
    @classmethod
    def _check_batch(cls, batch: BatchForm | None, info: ValidationInfo) -> BatchForm | None:
        own = next(reversed(info.data.get("params", {})), None)
        if batch is not None and own is not None and batch.operation == info.data.get("operation") and batch.param != own:
            raise ValueError(f"param must be {own}, because the operation is that of the kind")
        return batch

    def kind(self) -> Kind:
        """Return the kind, with all paths compiled."""
        return Kind(
            name=self.name,
            service=self.service,
            operation=self.operation,
            params=tuple(_param(name, form) for name, form in self.params.items()),
            extra=self.extra,
            reply=ReplyPaths(
                task=Expression(self.task),
                id=None if self.id is False else Expression(self.id or next(reversed(self.params))),
                status=Expression(self.status),
                created=expression(self.created),
                started=expression(self.started),
                updated=expression(self.updated),
                message=expression(self.message),
            ),
            results=self._results(),
            statuses={status: StatusClass(word) for status, word in self.statuses.items()},
            optional=frozenset(self.optional),
            quota=self._quota(),
            retention_s=self.retention,
            notifications=self._notifications(),
            start=None if self.start is None else StartCall(self.start.event_name, self.start.source),
            usual={status: UsualDuration(form.at_least, form.median) for status, form in self.durations.items()},
            batch=None if self.batch is None else self.batch.batch(),
            not_found={code: None if text is None else re.compile(text) for code, text in self.not_found.items()},
            arn=None if self.arn is None else ArnTemplate(self.arn),
        )

    def _results(self) -> ResultRules:
        return ResultRules(
            expression=expression(self.result),
            types=Types.of(self.types),
            settled=expression(self.settled),
            count=expression(self.count),
            private=None if self.private is None else tuple(map(parse_path, self.private)),
        )

    def _quota(self) -> Quota:
        if self.quota is not None:
            return Quota(self.quota.name, self.quota.title)
        called = self.operation if self.batch is None else self.batch.operation
        operation = "".join(word.capitalize() for word in called.split("_"))
        return Quota(self.name, f"Rate of {operation} requests")

    def _notifications(self) -> Notifications | None:
        form = self.notifications
        return None if form is None else Notifications(form.source, form.detail_types, form.id, form.other_detail_types)


def with_any_statuses(value: dict[str, Any]) -> None:
    """Replace the statuses in the raw values of a kind, and remove what depends on them, so that the rest of it can be checked."""
    value["statuses"] = {"OPEN": "open", "SUCCEEDED": "succeeded"}
    for key in ("optional", "durations"):
        value.pop(key, None)


def keys_at(path: Sequence[str | int]) -> Sequence[str]:
    """Return the keys that are allowed in the place of this one. `path` starts at the root of a kind: `("quota", "tilte")`."""
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


def _param(name: str, form: ParamForm) -> Param:
    pattern = re.compile(form.pattern)
    example = form.example or (name if pattern.fullmatch(name) else "")
    return Param(name, form.field or snake_case(name), pattern, form.list, form.names, example)
