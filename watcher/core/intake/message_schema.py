"""The JSON Schema of the messages that name tasks, made from the kinds, for senders and their tools.

It accepts every documented form. It cannot say everything that intake checks: a text inside an envelope, equal names in
one object, sizes, values that contradict each other, the account and the Region, deadlines that have passed, and whether a message
without a kind fits several kinds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from watcher.core.intake.aws_events import API_CALL
from watcher.core.intake.kind_schema import kind_schemas, some_member
from watcher.core.intake.members import MAX_TASK_TOKEN, TASK_TOKEN
from watcher.core.intake.recognition import first_kinds
from watcher.core.intake.task_objects import lower_camel
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET

Schema = Mapping[str, Any]

REFERENCE = r"^(?:[^\s\"'<>{}\[\],/]+(?:/[^\s\"'<>{}\[\],/]+){1,3}|(?:[^\s\"'<>{}\[\],/]+/){0,2}arn:[^\s\"'<>{}\[\],]+)$"
_TOKEN: Schema = {
    "anyOf": [{"type": "string", "pattern": rf"^[ -~]{{1,{MAX_TASK_TOKEN}}}$(?!\n)"}, {"type": "null"}],
    "description": "The task token of a state of AWS Step Functions. It is a secret.",
}
_REST: Schema = {
    "context": {"description": "Any JSON, at most 4 KiB. It is repeated in each event of the task."},
    "deadline_s": {"type": ["number", "null"], "exclusiveMinimum": 0, "description": "Stop watching after this many seconds."},
    "deadline_at": {"type": ["number", "null"], "description": "Stop watching at this time, in seconds since the epoch."},
    "traceparent": {"description": "W3C Trace Context. Each event of the task repeats it; an invalid one is ignored."},
    "tracestate": {"description": "W3C Trace Context. Ignored without a valid traceparent."},
    **dict.fromkeys(TASK_TOKEN, _TOKEN),
    "region": {"type": ["string", "null"], "description": "The Region of the target; a message cannot choose another one."},
    "version": {"enum": [1, "1", "1.0", None]},
    "schema_version": {"enum": [1, "1", "1.0", None]},
}


def message_schema(catalog: Catalog, targets: Collection[str] = ()) -> dict[str, Any]:
    """Return the schema of one message: a body in a queue, or one value in a file. `targets` are those besides the default one."""
    forms = {kind: kind_schemas(kind) for kind in catalog}
    tasks = [name for found in forms.values() for name in found.forms]
    target = {"enum": [DEFAULT_TARGET, *targets, None], "description": "The account and Region of the task, as configured."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A message that names tasks to watch, or that requires no action",
        "anyOf": [{"$ref": "#/$defs/element"}, {"$ref": "#/$defs/batch"}],
        "$defs": {
            "batch": {"type": "array", "minItems": 1, "maxItems": 5000, "items": {"$ref": "#/$defs/element"}},
            "element": {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("reference", "task", "event of AWS", "envelope")]},
            "content": {"anyOf": [{"$ref": "#"}, {"type": "string", "description": "A message as text: JSON, or a reference."}]},
            "reference": {"type": "string", "pattern": REFERENCE, "description": "VoiceConnectorId/TaskId, a key, or an ARN."},
            "task": {
                "type": "object",
                "not": {"anyOf": [{"required": ["detail-type"]}, {"required": ["specversion"]}, {"required": ["Type", "Message"]}]},
                "properties": {**_REST, "target": target},
                "anyOf": [{"$ref": f"#/$defs/{name}"} for name in tasks],
            },
            **{name: schema for found in forms.values() for name, schema in found.all.items()},
            "event of AWS": {"type": "object", "anyOf": [_api_call(catalog), _record_alone(catalog), *_notifications(catalog)]},
            "envelope": {
                "type": "object",
                "anyOf": [*_envelopes(catalog), _result([found.reply for found in forms.values() if found.reply])],
            },
        },
    }


def _starts(catalog: Catalog) -> list[Schema]:
    found: list[Schema] = []
    for kind in catalog:
        if kind.start is not None:
            member = {"required": [lower_camel(kind.reply.member)]} if kind in first_kinds(catalog) and kind.reply.member else {}
            started = {"eventName": {"const": kind.start.event_name}, "responseElements": {"type": "object", **member}}
            failed = {"eventName": {"const": kind.start.event_name}, "errorCode": {"type": "string"}}
            found += [{"required": ["responseElements"], "properties": started}, {"required": ["errorCode"], "properties": failed}]
    return found


def _api_call(catalog: Catalog) -> Schema:
    sources = sorted({kind.start.source for kind in catalog if kind.start is not None})
    detail = {"type": "object", "required": ["eventName"], "properties": {"eventName": _other_call(catalog)}}
    other = {"required": ["source"], "properties": {"source": {"enum": sources}, "detail": detail}}
    started = {"properties": {"detail": {"type": "object", "required": ["eventName"], "anyOf": _starts(catalog)}}}
    return {"required": ["detail-type", "detail"], "properties": {"detail-type": {"const": API_CALL}}, "anyOf": [started, other]}


def _record_alone(catalog: Catalog) -> Schema:
    host = {"type": "string", "pattern": r"\.amazonaws\.com$"}
    return {
        "required": ["eventSource", "eventName"],
        "properties": {"eventSource": host},
        "anyOf": [*_starts(catalog), {"properties": {"eventName": _other_call(catalog)}}],
    }


def _other_call(catalog: Catalog) -> Schema:
    names = [kind.start.event_name for kind in catalog if kind.start is not None]
    return {"type": "string", "pattern": "^[A-Z][A-Za-z0-9]{0,127}$", "not": {"enum": names}}


def _notifications(catalog: Catalog) -> list[Schema]:
    found: list[Schema] = []
    for kind in catalog:
        known = kind.notifications
        if known is not None:
            source: Schema = (
                {} if kind in first_kinds(catalog) else {"required": ["source"], "properties": {"source": {"const": known.source}}}
            )
            about = {"detail-type": {"enum": [*known.detail_types]}, "detail": {"type": "object"}}
            other = {"detail-type": {"enum": [*known.other_detail_types]}, "source": {"enum": _sources(catalog)}}
            found.append({"required": ["detail-type", "detail"], "properties": about, "allOf": [source]})
            if known.other_detail_types:
                found.append({"required": ["detail-type", "source"], "properties": other})
    return found


def _sources(kinds: Iterable[Kind]) -> list[str]:
    return sorted({kind.notifications.source for kind in kinds if kind.notifications is not None})


def _envelopes(catalog: Catalog) -> list[Schema]:
    content = {"$ref": "#/$defs/content"}
    sources = _sources(first_kinds(catalog))
    topic = {"type": "object", "required": ["Message"]}
    return [
        {"required": ["Type"], "properties": {"Type": {"enum": ["SubscriptionConfirmation", "UnsubscribeConfirmation"]}}},
        {"required": ["Type", "Message"], "properties": {"Type": {"const": "Notification"}, "Message": {"type": "string"}}},
        {
            "title": "An EventBridge event of your own",
            "required": ["detail-type", "detail"],
            "properties": {"detail-type": {"not": {"const": API_CALL}}, "detail": content, "source": {"not": {"enum": sources}}},
        },
        {"required": ["specversion", "data"], "properties": {"specversion": {"const": "1.0"}, "data": content}},
        {"required": ["specversion", "data_base64"], "properties": {"specversion": {"const": "1.0"}, "data_base64": {"type": "string"}}},
        {"required": ["Records"], "properties": {"Records": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/element"}}}},
        {"required": ["eventSource", "body"], "properties": {"eventSource": {"const": "aws:sqs"}, "body": content}},
        {"required": ["EventSource", "Sns"], "properties": {"EventSource": {"const": "aws:sns"}, "Sns": topic}},
        {"title": "A Step Functions input", "required": ["input"], "properties": {"input": content}},
        {"required": ["Input"], "properties": {"Input": content}},
        {"required": ["Execution"], "properties": {"Execution": {"required": ["Input"], "properties": {"Input": content}}}},
    ]


def _result(replies: Sequence[str]) -> Schema:
    """The result of a Step Functions state, under a name of its own."""
    reply = {"type": "object", "anyOf": [{"$ref": f"#/$defs/{name}"} for name in replies]}
    envelopes = ("detail-type", "specversion", "Records", "input", "Input", "Execution")
    records = [
        {"required": ["eventSource", "body"], "properties": {"eventSource": {"const": "aws:sqs"}}},
        {"required": ["EventSource", "Sns"], "properties": {"EventSource": {"const": "aws:sns"}, "Sns": {"required": ["Message"]}}},
    ]
    return {"not": {"anyOf": [*({"required": [name]} for name in envelopes), *records]}, "allOf": [some_member(reply)]}
