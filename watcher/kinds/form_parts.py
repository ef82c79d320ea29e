"""The parts of the form of a kind: parameters, quota, notifications, durations, and the batch call."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from watcher.kinds.arn import ArnTemplate
from watcher.kinds.kind import Batch
from watcher.kinds.paths import Expression, parse_expression, parse_path
from watcher.section import Name, Seconds, Section


def checked(check: Callable[[str], Any]) -> AfterValidator:
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


def snake_case(name: str) -> str:
    """`SpeakerSearchTaskId` as `speaker_search_task_id`, `jobId` as `job_id`, `DBSnapshotId` as `db_snapshot_id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).replace("-", "_").lower()


def _check_method(value: Any) -> Any:
    """Raise a ValueError with the method for the name of an operation as the API reference has it. The pattern checks the rest."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9]*[A-Z][A-Za-z0-9]*", value):
        raise ValueError(f"expected the method of botocore's client, in lower case with underscores; did you mean {snake_case(value)}?")
    return value


Method = Annotated[str, BeforeValidator(_check_method), Field(pattern=r"^[a-z][a-z0-9_]*$")]
JmesPath = Annotated[str, checked(parse_expression)]
MemberPath = Annotated[str, checked(parse_path)]
Pattern = Annotated[str, checked(_check_pattern)]
ArnText = Annotated[str, checked(ArnTemplate)]


class ParamForm(Section):
    """One identifier of a task, under the name of the request's parameter."""

    field: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """The name in messages. Default: the parameter's own name in snake case."""
    pattern: Pattern = r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,254}[A-Za-z0-9])?"
    """A regular expression that a whole value must match."""
    list: bool = False
    """true: the request has a list in this place, as `describe_jobs(jobs=[...])` does. It is sent as a list of one value."""
    names: tuple[str, ...] = ()
    """Other names of this identifier in messages, such as the name in the reply of the call that starts a task."""
    example: str | None = None
    """A value that the pattern accepts, for the example in errors and in the documentation. Default: the parameter's own name, if it fits
    the pattern; otherwise errors show no example."""

    @model_validator(mode="after")
    def _check_example(self) -> Self:
        if self.example is not None and not re.fullmatch(self.pattern, self.example):
            raise ValueError("the pattern does not accept the example")
        return self


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
    """The member of `detail` with the task's own id or its ARN, or a dotted path to it. Default: the names of the last parameter."""
    other_detail_types: tuple[str, ...] = ()
    """Other values of `detail-type` of this source, which are known and require no action."""


class StartForm(Section):
    """The call that starts a task. A CloudTrail record of it is a submission: the identifiers are in the reply or in the request."""

    event_name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]{0,127}$")
    """The `eventName` of the record."""
    source: str = Field(min_length=1)
    """The `source` of the EventBridge event. Records of other calls from this source are known and require no action."""


class DurationForm(Section):
    """How long tasks usually stay in a status: what the cadence assumes until about twenty tasks have left it."""

    at_least: Seconds = Field(default=0, ge=0, le=86_400)
    """Hardly any task leaves the status before this age, in seconds."""
    median: Seconds = Field(gt=0, le=7 * 86_400)
    """Half of the tasks have left it by this age, in seconds. More than `at_least`."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.median <= self.at_least:
            raise ValueError("median must be more than at_least")
        return self


class BatchForm(Section):
    """The call that describes many tasks at once. All parameters of these tasks except for the last one are the same."""

    operation: Method
    """The call, as the method of botocore's client is named. It can be the same as that of the kind. If not, the call of the kind reads
    a task that is polled alone, and the watcher needs the permission for both."""
    param: str = Field(min_length=1)
    """The parameter of the request with the list of ids."""
    size: int = Field(ge=2, le=1000)
    """The maximum number of ids in one call."""
    items: JmesPath
    """The list of tasks in the reply. The paths of the kind apply to each of them."""
    id: JmesPath
    """The id in each of these tasks, spelled as it was requested."""
    failures: JmesPath | None = None
    """The list of tasks in the reply that could not be described. A task in neither list does not exist."""
    failure_id: JmesPath | None = None
    """The id in each failure."""
    failure_code: JmesPath | None = None
    """The error code in each failure."""

    @model_validator(mode="after")
    def _check_failures(self) -> Self:
        if (self.failures is None) != (self.failure_id is None) or (self.failures is None and self.failure_code is not None):
            raise ValueError("set failures and failure_id together, and failure_code only with both")
        return self

    def batch(self) -> Batch:
        """Return the batch call, with all paths compiled."""
        return Batch(
            self.operation,
            self.param,
            self.size,
            Expression(self.items),
            Expression(self.id),
            expression(self.failures),
            expression(self.failure_id),
            expression(self.failure_code),
        )


def expression(text: str | None) -> Expression | None:
    """Return the compiled expression of an optional path."""
    return None if text is None else Expression(text)
