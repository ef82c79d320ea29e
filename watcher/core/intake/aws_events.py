"""Recognizes what AWS itself sends about tasks: notifications about a change, and CloudTrail records of API calls.

An event of AWS names a task, or is known by name to require no action, or is invalid. No unknown event is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from watcher.core.intake.task_objects import as_the_api_spells, lower_camel
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
    """Return what an event of AWS names; None for an object that is none. Raises InvalidInput for an unknown one.

    A CloudTrail record may also come without the EventBridge event around it, as with the input path `$.detail`.
    """
    if value.get("detail-type") == API_CALL:
        return _api_call(value.get("detail"), value.get("source"), catalog)
    if "detail-type" in value:
        return _notification(value, catalog)
    host = value.get("eventSource")
    if isinstance(host, str) and host.endswith(_AWS_HOST) and "eventName" in value:
        return _api_call(value, host, catalog)
    return None


def _api_call(record: Any, source: Any, catalog: Catalog) -> Unwrapped:
    """`source` is that of the EventBridge event, or the `eventSource` of the record."""
    if not isinstance(record, Mapping):
        raise InvalidInput("shape", "the CloudTrail record has no detail object")
    name = record.get("eventName")
    kind = next((kind for kind in catalog if kind.start is not None and kind.start.event_name == name), None)
    if kind is not None and record.get("errorCode") is None:
        return Unwrapped(_started(record, kind), started=kind, region=record.get("awsRegion"), envelopes=(RECORD,))
    if kind is not None:
        return Unwrapped(Ignored(f"CloudTrail record of a failed {name}"))
    if isinstance(name, str) and _CALL_NAME.fullmatch(name) and source in _sources(catalog):
        return Unwrapped(Ignored(f"CloudTrail record of {name}"))
    raise InvalidInput("shape", "the CloudTrail record is of a call that is not known to start a task")


def _sources(catalog: Catalog) -> Sequence[str]:
    """The sources of events and records of the services that start tasks. Not a set, because the value to look up may be a list."""
    found: list[str] = []
    for kind in catalog:
        if kind.start is not None:
            found += [kind.start.source, kind.start.source.removeprefix("aws.") + _AWS_HOST, kind.service + _AWS_HOST]
    return found


def _started(record: Mapping[str, Any], kind: Kind) -> Mapping[str, Any]:
    """The reply of the recorded call as the API spells it, and the identifiers from its request."""
    reply = record.get("responseElements")
    if not isinstance(reply, Mapping):
        raise InvalidInput("shape", "the CloudTrail record has no responseElements object, so it does not say which task was started")
    request = record.get("requestParameters")
    given = request if isinstance(request, Mapping) else {}
    names = [(param.name, lower_camel(param.name)) for param in kind.params[:-1]]
    return {**{name: given[lower] for name, lower in names if lower in given}, **as_the_api_spells(reply, kind)}


def _notification(value: Mapping[str, Any], catalog: Catalog) -> Unwrapped | None:
    """None for an event of another sender: its detail is a message."""
    type_ = value["detail-type"]
    notifying = [(kind, kind.notifications) for kind in catalog if kind.notifications is not None]
    kind = next((kind for kind, known in notifying if type_ in known.detail_types), None)
    if kind is not None:
        detail = value.get("detail")
        if not isinstance(detail, Mapping):
            raise InvalidInput("shape", "the notification has no detail object")
        return Unwrapped(detail, notified=kind, region=value.get("region"), envelopes=(NOTIFICATION,))
    if all(value.get("source") != known.source for _, known in notifying):
        return None
    if any(type_ in known.other_detail_types for _, known in notifying):
        return Unwrapped(Ignored(f"EventBridge event {type_}"))
    raise InvalidInput("shape", "the EventBridge event is from AWS, and its detail-type is not known")
