"""The JSON Schemas of replies and requests, for the OpenAPI document. The tests validate real replies with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]

STRING: Document = {"type": "string"}
NUMBER: Document = {"type": "number"}
INTEGER: Document = {"type": "integer"}
BOOLEAN: Document = {"type": "boolean"}
TEXT: Document = {"type": ["string", "null"]}
TIME: Document = {"type": ["string", "null"], "format": "date-time"}
NEXT: Document = {"type": ["string", "null"], "description": "Send it as `after` to get the next page; null: there is no further page."}


def members(**properties: Document) -> Document:
    """Return the schema of an object that has all these members, and can have others that a later version adds."""
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def array(items: Document) -> Document:
    """Return the schema of an array of these items."""
    return {"type": "array", "items": items}


def ref(name: str) -> Document:
    """Return a reference to a schema in the components of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def described(schema: Document, description: str) -> Document:
    """Return the same schema with a description."""
    return {**schema, "description": description}


_TASK = members(
    key=STRING,
    kind=STRING,
    target=STRING,
    params={"type": "object", "additionalProperties": STRING},
    open=described(BOOLEAN, "Whether the task is polled."),
    status=described(TEXT, "Null before the first observation."),
    status_since=TIME,
    admitted_at=TIME,
    deadline_at=TIME,
    changed_at=TIME,
    events=described(INTEGER, "The events of its watch so far."),
    polls=described(INTEGER, "The calls for it so far, as saved last: at most 30 s ago."),
    ended_at=TIME,
    end_reason=described(TEXT, "Why the watch ended, such as `terminal` or `deadline`."),
    last_error=described(TEXT, "Why the last saved poll did not show the task."),
)
_PLAN: Document = {
    **members(
        rule=described(STRING, "The `cadence.type`."),
        age_s=NUMBER,
        gap_s=described(NUMBER, "The longest time between two polls at this age, in seconds."),
        lag_s=NUMBER,
        price_s=NUMBER,
        spare_gap_s={"type": ["number", "null"]},
        samples=INTEGER,
        pace={"type": ["number", "null"], "description": "Calls per second."},
        open_tasks=INTEGER,
        why=described(array(STRING), "The reasons, in sentences."),
        open_circuits=array(STRING),
        last_error=TEXT,
        retry_s={"type": ["array", "null"], "items": NUMBER},
        as_of=STRING,
    ),
    "type": ["object", "null"],
    "description": "When the task is polled next, and why; null: it has ended.",
}
_LETTER = members(
    id=STRING,
    what={"enum": ["input", "event"]},
    origin=described(STRING, "The source of an input, or the sink that refused an event."),
    reason=STRING,
    detail=STRING,
    at=TIME,
    key=described(TEXT, "The key of the task; null for an input."),
    tries=INTEGER,
    retry=described(BOOLEAN, "Whether it is marked for a retry."),
    bytes=INTEGER,
)
_REPLICA = members(
    name=STRING,
    version=STRING,
    started_at=TIME,
    renewed_s_ago=NUMBER,
    expires_in_s=NUMBER,
    shards=described(INTEGER, "How many shards it owns."),
    adopted=described(INTEGER, "How many of them it had adopted at its last renewal."),
    shard_ranges=array(STRING),
    quotas={"type": "object", "additionalProperties": members(rate=NUMBER, watches=INTEGER, lateness_s=NUMBER, sharers=INTEGER)},
)
_KIND = members(
    kind=STRING,
    service=described(STRING, "The AWS service."),
    operation=described(STRING, "The call that reads a task, or several ones."),
    params=described(array(STRING), "The identifiers of a task, in the order of its key."),
    statuses={"type": "object", "additionalProperties": STRING, "description": "Each status with its class."},
    batch_size=described(INTEGER, "How many tasks one call can read."),
    own=described(BOOLEAN, "Whether the configuration declares it."),
    declaration={"type": ["object", "null"], "description": "What the configuration declares; null for a kind that ships."},
)
_TARGET = members(name=STRING, region=TEXT, account=described(TEXT, "Null if it is not configured."))
_OUTCOME: Document = {
    "type": "object",
    "properties": {
        "outcome": {"enum": ["admitted", "known", "ended", "invalid", "ignored"]},
        "key": described(STRING, "The key of the task, if the entry names one."),
        "reason": described(STRING, "Why the entry is invalid, in one word."),
        "detail": described(STRING, "What is wrong, or what was ignored."),
    },
    "required": ["outcome"],
}
SUBMITTED = members(tasks=described(array(ref("Outcome")), "One for each entry, in their order."))
TASKS = members(tasks=array(ref("Task")), next=NEXT)
TASK = members(
    key=STRING,
    task={**ref("Task"), "required": ["context"], "properties": {"context": {"description": "What was submitted with the task."}}},
    next=ref("PollPlan"),
    end=described(TEXT, "Why the watch ended, in words; null: it has not ended."),
    events=array(ref("Event")),
    not_yet_taken={"type": "object", "additionalProperties": INTEGER, "description": "By sink, the events that it has not settled."},
    dead_letters=array(ref("DeadLetter")),
)
CANCELLED = members(key=STRING, outcome={"enum": ["cancelling", "ended"]})
EVENTS = members(events=array(ref("Event")), next=described(STRING, "The cursor after these events."))
DEAD_LETTERS = members(dead_letters=array(ref("DeadLetter")), next=NEXT)
DEAD_LETTER: Document = {**ref("DeadLetter"), "required": ["body"], "properties": {"body": STRING}}
CHOICE: Document = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"ids": {"type": "array", "items": STRING, "minItems": 1}},
            "required": ["ids"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"all": {"const": True}}, "required": ["all"], "additionalProperties": False},
    ]
}
MARKED = members(marked=described(INTEGER, "How many dead letters are marked for a retry."))
PURGED = members(purged=described(INTEGER, "How many dead letters were erased."))
REPLICAS = members(
    shards=described(INTEGER, "How many shards there are."),
    unowned=described(INTEGER, "How many shards have no owner."),
    unowned_ranges=array(STRING),
    trouble=described(array(STRING), "What is wrong, in sentences."),
    replicas=array(ref("Replica")),
)
KINDS = members(kinds=array(ref("Kind")), targets=array(ref("Target")))
SCHEMAS: Mapping[str, Document] = {
    "Task": _TASK,
    "PollPlan": _PLAN,
    "DeadLetter": _LETTER,
    "Replica": _REPLICA,
    "Outcome": _OUTCOME,
    "Kind": _KIND,
    "Target": _TARGET,
}
"""The schemas that `ref` can name, except for those of events, which are in `core.delivery.event_schema`."""
