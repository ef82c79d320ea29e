"""The JSON Schema of the events, generated from the kinds, for consumers and their tools.

Later versions can add members to events, so the schemas accept members that they do not name. They cannot describe relations
between values: that the key repeats the identifiers, that an update has the same status twice, or that events are in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.core.delivery.event_examples import EXAMPLES
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.kinds.result_schema import result_schema
from watcher.model import EventType

Schema = Mapping[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMES: Mapping[EventType, str] = {
    EventType.TRANSITION: "TransitionEvent",
    EventType.UPDATED: "UpdatedEvent",
    EventType.ENDED: "EndedEvent",
}
"""The name of the schema of each type."""
ADDED_LATER = frozenset({"observed_from", "succeeded"})
"""Members that events of earlier versions do not have. A store may still contain such events."""

_TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
_GROWS = "Later versions can add members: ignore members that you do not know."
_WHEN: Mapping[EventType, str] = {
    EventType.TRANSITION: "The status of a task changed.",
    EventType.UPDATED: "The status is the same, and its result changed; or a provisional status became final.",
    EventType.ENDED: "The watch ended before the task did.",
}


def event_schema(catalog: Catalog) -> dict[str, Any]:
    """Return the schema of any event, as a document of its own."""
    return {
        "$schema": DRAFT,
        "title": "An event of the watcher",
        "$ref": "#/$defs/Event",
        "$defs": event_schemas(catalog, "#/$defs/"),
    }


def event_schemas(catalog: Catalog, place: str) -> dict[str, Schema]:
    """Return the schemas by name: `Event`, one for each type, and what they refer to. References start with `place`."""
    one_of = [{"$ref": place + name} for name in NAMES.values()]
    return {
        "Event": {"description": f"A CloudEvent 1.0 of one of three types. {_GROWS}", "oneOf": one_of},
        **{name: _event(type_, place) for type_, name in NAMES.items()},
        "EventTask": _task(),
        "EventOfKind": {
            "description": "The identifiers and the result, for each kind of task.",
            "allOf": [_only_of(kind, place) for kind in catalog],
        },
        **{f"{kind.name}.params": _params(kind) for kind in catalog},
        **{f"{kind.name}.result": _result(kind) for kind in catalog},
    }


def _event(type_: EventType, place: str) -> Schema:
    key = _string("The key of the task: its kind and its identifiers, each percent-encoded, joined with `/`.", minLength=1)
    members: dict[str, Schema] = {
        "specversion": {"const": "1.0", "description": "The version of CloudEvents."},
        "id": _string("A repeated event has the same id.", pattern="^[0-9a-f]{32}$"),
        "source": _string("`/watcher/KIND/REGION/` and the identifiers of the task.", pattern="^/watcher/", format="uri-reference"),
        "type": {"const": type_.value},
        "subject": key,
        "time": _time("The time of the change: the timestamp of the service, or else the time at which the watcher saw it."),
        "datacontenttype": {"const": "application/json"},
        "sequence": _string("Counts the events of a watch, without gaps. Sorts as text.", pattern="^[0-9]{10,}$"),
        "partitionkey": {**key, "description": "The key of the task again, for transports that partition by it."},
        "data": _data(type_, place),
    }
    trace = {
        "traceparent": _string(
            "W3C Trace Context of the message that submitted the task.", pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
        ),
        "tracestate": _string("W3C Trace Context of the message that submitted the task.", minLength=1),
    }
    return {
        "type": "object",
        "title": type_.value,
        "description": f"{_WHEN[type_]} {_GROWS}",
        "required": list(members),
        "properties": members | trace,
        "if": {"required": ["tracestate"]},
        "then": {"required": ["traceparent"]},
        "additionalProperties": True,
        "examples": [EXAMPLES[type_]],
    }


def _data(type_: EventType, place: str) -> Schema:
    members = {
        "task": {"$ref": f"{place}EventTask"},
        **_statuses(type_),
        **_observation(type_),
        "polls": {"type": "integer", "minimum": 0, "description": "The number of calls for this watch up to this event."},
        "result": {"type": ["object", "null"], "description": "The result, as far as events.results allows; null: no result yet."},
        "message": {"type": ["string", "null"], "description": "The service's StatusMessage; null unless events.results is `full`."},
        "context": {"description": "The JSON that was submitted with the task, unchanged; null if there was none."},
    }
    if type_ is EventType.ENDED:
        members["reason"] = _string("Why the watch ended, such as `deadline` or `cancelled`. Later versions can add reasons.")
    return {
        "type": "object",
        "description": f"The whole state of the task. {_GROWS}",
        "required": [name for name in members if name not in ADDED_LATER],
        "properties": members,
        "allOf": [{"$ref": f"{place}EventOfKind"}],
        "additionalProperties": True,
    }


def _statuses(type_: EventType) -> dict[str, Schema]:
    before: Schema = {"type": "string" if type_ is EventType.UPDATED else ["string", "null"]}
    after: Schema = {"type": "null" if type_ is EventType.ENDED else "string"}
    terminal: Schema = {"const": True} if type_ is EventType.ENDED else {"type": "boolean"}
    succeeded: Schema = {"type": "null" if type_ is EventType.ENDED else ["boolean", "null"]}
    return {
        "from": {**before, "description": "The previous status; null in the first event of a watch."},
        "to": {
            **after,
            "description": "The status now, as the service names it, known to this version or not; null: the watch ended without a status.",
        },
        "terminal": {**terminal, "description": "True: this is the last event of the watch."},
        "succeeded": {
            **succeeded,
            "description": "Whether the task did what it was started for; null: it has not ended, or the watch ended without a status."
            " Events of earlier versions do not have it.",
        },
        "skipped": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Statuses between `from` and `to` that the task must have had but that no poll saw, in order.",
        },
    }


def _observation(type_: EventType) -> dict[str, Schema]:
    lag: Schema = {"type": "null"} if type_ is EventType.ENDED else {"type": ["number", "null"], "minimum": 0}
    return {
        "observed_at": _time("The time at which the watcher saw the status."),
        "observed_from": _string(
            "`poll`, or `submission`: the message that submitted the task. Events of earlier versions do not have it."
        ),
        "updated_at": _time("The service's UpdatedTimestamp, or null.", or_null=True),
        "created_at": _time("The service's CreatedTimestamp, or null.", or_null=True),
        "started_at": _time("The service's StartedTimestamp, or null.", or_null=True),
        "detection_lag_s": {**lag, "description": "`observed_at` minus `updated_at`, in seconds; null if it is not known."},
    }


def _task() -> Schema:
    members = {
        "key": _string("The key of the task.", minLength=1),
        "kind": _string("The kind of the task.", minLength=1),
        "target": _string("Always `default` at present.", minLength=1),
        "params": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The identifiers, with the names that AWS uses.",
        },
    }
    return {
        "type": "object",
        "description": f"The task. {_GROWS}",
        "required": list(members),
        "properties": members,
        "additionalProperties": True,
    }


def _only_of(kind: Kind, place: str) -> Schema:
    of_kind = {"required": ["kind"], "properties": {"kind": {"const": kind.name}}}
    return {
        "if": {"required": ["task"], "properties": {"task": of_kind}},
        "then": {
            "properties": {
                "task": {"properties": {"params": {"$ref": f"{place}{kind.name}.params"}}},
                "result": {"$ref": f"{place}{kind.name}.result"},
            }
        },
    }


def _params(kind: Kind) -> Schema:
    names = [param.name for param in kind.params]
    return {"type": "object", "required": names, "properties": {name: {"type": "string", "minLength": 1} for name in names}}


def _result(kind: Kind) -> Schema:
    if kind.results.expression is None:
        return {"description": f"Tasks of the kind {kind.name} have no result.", "type": "null"}
    return {"description": f"The result of a task of the kind {kind.name}, as far as events.results allows.", **result_schema(kind.results)}


def _string(description: str, **more: Any) -> Schema:
    return {"type": "string", **more, "description": description}


def _time(description: str, *, or_null: bool = False) -> Schema:
    type_ = ["string", "null"] if or_null else "string"
    return {"type": type_, "format": "date-time", "pattern": _TIME_PATTERN, "description": f"{description} RFC 3339, UTC, milliseconds."}
