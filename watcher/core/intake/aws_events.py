"""Recognizes what AWS itself sends about tasks: notifications about a change, and CloudTrail records of API calls.

An event of AWS names a task, or is known by name to require no action, or is invalid. No unknown event is ignored.
`aws_tasks.py` finds the tasks in what is recognized here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.core.intake.recognition import first_kinds
from watcher.core.intake.replies import started_nothing
from watcher.core.intake.task_objects import has_all
from watcher.core.intake.unwrapped import Unwrapped
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import Ignored

API_CALL = "AWS API Call via CloudTrail"
"""The `detail-type` of an EventBridge event with a CloudTrail record."""
RECORD, NOTIFICATION = "a CloudTrail record", "a notification of AWS"

_CALL_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,127}")
_AWS_HOST = ".amazonaws.com"


def read_aws_event(value: Mapping[str, Any], catalog: Catalog) -> Unwrapped | None:
    """Return what an event of AWS names; None for any other object. Raises InvalidInput for an unknown one.

    A CloudTrail record may also come without the EventBridge event around it, as with the input path `$.detail`.
    """
    if value.get("detail-type") == API_CALL:
        return _api_call(value.get("detail"), value.get("source"), value.get("account"), catalog)
    if "detail-type" in value:
        return _notification(value, catalog)
    host = value.get("eventSource")
    if isinstance(host, str) and host.endswith(_AWS_HOST) and "eventName" in value:
        return _api_call(value, host, None, catalog)
    return None


def _api_call(record: Any, source: Any, account: Any, catalog: Catalog) -> Unwrapped:
    """`source` is that of the EventBridge event, or the `eventSource` of the record."""
    if not isinstance(record, Mapping):
        raise InvalidInput("shape", "the CloudTrail record has no detail object")
    name = record.get("eventName")
    kinds = _starting(name, (source, record.get("eventSource")), catalog)
    if kinds and record.get("errorCode") is None:
        return _started(record, kinds, account)
    if kinds:
        return Unwrapped(Ignored(f"CloudTrail record of a failed {name}"))
    if isinstance(name, str) and _CALL_NAME.fullmatch(name) and any(source in _sources(kind) for kind in catalog):
        return Unwrapped(Ignored(f"CloudTrail record of {name}"))
    raise InvalidInput("shape", "the CloudTrail record is of a call that is not known to start a task")


def _starting(name: Any, sources: Sequence[Any], catalog: Catalog) -> tuple[Kind, ...]:
    """The kinds that a call of this name starts. Services share names of calls, such as StartJobRun, so the source counts too.

    A record of a call that starts one of the first kinds needs no source.
    """
    named = [kind for kind in catalog if kind.start is not None and kind.start.event_name == name]
    of_source = [kind for kind in named if any(source in _sources(kind) for source in sources)]
    return tuple(of_source or [kind for kind in named if kind in first_kinds(catalog)])


def _sources(kind: Kind) -> Sequence[str]:
    """The sources of events and records of the service that starts such tasks. Not a set: the value to look up may be a list."""
    if kind.start is None:
        return ()
    return [kind.start.source, kind.start.source.removeprefix("aws.") + _AWS_HOST, kind.service + _AWS_HOST]


def _started(record: Mapping[str, Any], kinds: tuple[Kind, ...], account: Any) -> Unwrapped:
    reply, request = record.get("responseElements"), record.get("requestParameters")
    if reply is None and isinstance(request, Mapping) and any(has_all([request], kind) for kind in kinds):
        reply = {}
    if not isinstance(reply, Mapping):
        raise InvalidInput("shape", "the CloudTrail record has no responseElements object, so it does not say which task was started")
    if started_nothing(reply, kinds):
        return Unwrapped(Ignored(f"CloudTrail record of {record['eventName']} that started nothing"))
    return Unwrapped(
        reply,
        started=kinds,
        request=request if isinstance(request, Mapping) else {},
        region=record.get("awsRegion"),
        account=record.get("recipientAccountId") or account,
        envelopes=(RECORD,),
    )


def _notification(value: Mapping[str, Any], catalog: Catalog) -> Unwrapped | None:
    """None for an event of another sender: its detail is a message."""
    type_, source = value["detail-type"], value.get("source")
    notifying = [(kind, kind.notifications) for kind in catalog if kind.notifications is not None]
    first = first_kinds(catalog)
    kinds = [kind for kind, known in notifying if type_ in known.detail_types and (kind in first or known.source == source)]
    detail = value.get("detail")
    if kinds and isinstance(detail, Mapping):
        return Unwrapped(
            detail,
            notified=tuple(kinds),
            region=value.get("region"),
            account=value.get("account"),
            resources=value.get("resources"),
            envelopes=(NOTIFICATION,),
        )
    if kinds:
        raise InvalidInput("shape", "the notification has no detail object")
    if all(source != known.source for _, known in notifying):
        return None
    if any(type_ in known.other_detail_types for _, known in notifying):
        return Unwrapped(Ignored(f"EventBridge event {type_}"))
    if all(source != known.source for kind, known in notifying if kind in first) and isinstance(detail, Mapping | list | str):
        return None
    raise InvalidInput("shape", "the EventBridge event is from AWS, and its detail-type is not known")
