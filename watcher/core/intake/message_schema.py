"""The JSON Schema of the messages that name tasks, made from the kinds, for senders and their tools.

It accepts every documented form. It cannot say everything that intake checks: a text inside an envelope, equal names in
one object, sizes, values that contradict each other, the configured Region, and deadlines that have passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watcher.core.intake.aws_events import API_CALL
from watcher.core.intake.members import MAX_TASK_TOKEN, TASK_TOKEN
from watcher.core.intake.task_objects import lower_camel, spellings
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind, Param

Schema = Mapping[str, Any]

REFERENCE = r"^[^\s\"'<>{}\[\],/]+(/[^\s\"'<>{}\[\],/]+){1,3}$"
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
    "region": {"type": ["string", "null"], "description": "The configured Region; a message cannot choose another one."},
    "target": {"enum": ["default", None]},
    "version": {"enum": [1, "1", "1.0", None]},
    "schema_version": {"enum": [1, "1", "1.0", None]},
}


def message_schema(catalog: Catalog) -> dict[str, Any]:
    """Return the schema of one message: a body in a queue, or one value in a file."""
    kinds = {f"{kind.name} {form}": schema for kind in catalog for form, schema in _of_kind(kind).items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A message that names tasks to watch, or that requires no action",
        "anyOf": [{"$ref": "#/$defs/element"}, {"$ref": "#/$defs/batch"}],
        "$defs": {
            "batch": {"type": "array", "minItems": 1, "maxItems": 5000, "items": {"$ref": "#/$defs/element"}},
            "element": {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("reference", "task", "event of AWS", "envelope")]},
            "content": {"anyOf": [{"$ref": "#"}, {"type": "string", "description": "A message as text: JSON, or a reference."}]},
            "reference": {"type": "string", "pattern": REFERENCE, "description": "VoiceConnectorId/TaskId, or a key."},
            "task": {
                "type": "object",
                "not": {"anyOf": [{"required": ["detail-type"]}, {"required": ["specversion"]}, {"required": ["Type", "Message"]}]},
                "properties": _REST,
                "anyOf": [{"$ref": f"#/$defs/{name}"} for name in kinds],
            },
            **kinds,
            "event of AWS": {"type": "object", "anyOf": [_api_call(catalog), _record_alone(catalog), *_notifications(catalog)]},
            "envelope": {"type": "object", "anyOf": [*_envelopes(catalog), _result([name for name in kinds if name.endswith("reply")])]},
        },
    }


def _of_kind(kind: Kind) -> Mapping[str, Schema]:
    *outer, own = kind.params
    named = {"kind": {"enum": [kind.name, None]}}
    inside: Schema = {"allOf": [_named(param) for param in outer]}
    whole: Schema = {"anyOf": [inside, _some_member({"type": "object", **inside})]}
    task: Schema = {"type": "object", "allOf": [_named(own)]}
    replies = []
    for name in dict.fromkeys((kind.reply.member or "", lower_camel(kind.reply.member or ""))):
        replies.append({"required": [name], "properties": {name: {**task, **whole}}})
        replies.append({"required": [name], "properties": {name: task}, **inside})
    return {
        "task": {"properties": {**named, **_values(kind.params)}, "allOf": [_named(own), whole]},
        "reply": {"properties": named, "anyOf": replies},
    }


def _named(param: Param) -> Schema:
    """The identifier is there, under one of its names."""
    return {"anyOf": [{"required": [name], "properties": {name: _value(param)}} for name in dict.fromkeys(spellings(param))]}


def _some_member(schema: Schema) -> Schema:
    """At least one member is as the schema says, whatever its name, except for the context."""
    return {"not": {"properties": {"context": True}, "additionalProperties": {"not": schema}}}


def _values(params: Sequence[Param]) -> dict[str, Any]:
    return {name: {"anyOf": [_value(param), {"type": "null"}]} for param in params for name in spellings(param)}


def _value(param: Param) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{param.pattern.pattern})$(?!\\n)", "not": {"pattern": r"\.\."}}


def _starts(catalog: Catalog) -> list[Schema]:
    found: list[Schema] = []
    for kind in catalog:
        if kind.start is not None:
            member = {"required": [lower_camel(kind.reply.member or "")]}
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
    known = [kind.notifications for kind in catalog if kind.notifications is not None]
    about = [type_ for each in known for type_ in each.detail_types]
    other = [type_ for each in known for type_ in each.other_detail_types]
    sources = sorted({each.source for each in known})
    return [
        {"required": ["detail-type", "detail"], "properties": {"detail-type": {"enum": about}, "detail": {"type": "object"}}},
        {"required": ["detail-type", "source"], "properties": {"detail-type": {"enum": other}, "source": {"enum": sources}}},
    ]


def _envelopes(catalog: Catalog) -> list[Schema]:
    content = {"$ref": "#/$defs/content"}
    sources = sorted({kind.notifications.source for kind in catalog if kind.notifications is not None})
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
    return {"not": {"anyOf": [{"required": [name]} for name in envelopes]}, "allOf": [_some_member(reply)]}
