"""What the OpenAPI document says about requests and replies: schemas and examples. The tests hold the replies against them."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
Responses = dict[int | str, Document]

KEY = "speaker-search/abc123/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"
CURSOR = "AQAAAAAAAAAAAAABmrzzGgAAAQ"
AT = "2026-01-05T10:00:07.120Z"

EVENT: Document = {
    "specversion": "1.0",
    "id": "b4a4f9c3c1d64d0d9f8e5a7b6c5d4e3f",
    "source": "/watcher/speaker-search/us-east-1/abc123/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10",
    "type": "watcher.task.transition.v1",
    "subject": KEY,
    "time": AT,
    "datacontenttype": "application/json",
    "sequence": "0000000002",
    "partitionkey": KEY,
    "data": {
        "task": {
            "key": KEY,
            "kind": "speaker-search",
            "target": "default",
            "params": {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"},
        },
        "from": "IN_QUEUE",
        "to": "SUCCEEDED",
        "terminal": True,
        "skipped": ["IN_PROGRESS"],
        "observed_at": "2026-01-05T10:00:08.004Z",
        "observed_from": "poll",
        "updated_at": AT,
        "created_at": "2026-01-05T10:00:00.000Z",
        "started_at": "2026-01-05T10:00:01.250Z",
        "detection_lag_s": 0.884,
        "polls": 3,
        "result": {"voiceprint": "VoiceprintGenerationSuccess", "matches": []},
        "message": None,
        "context": {"call": "c-42"},
    },
}

_TASK: Document = {
    "key": KEY,
    "kind": "speaker-search",
    "target": "default",
    "params": EVENT["data"]["task"]["params"],
    "open": False,
    "status": "SUCCEEDED",
    "status_since": AT,
    "admitted_at": "2026-01-05T10:00:00.400Z",
    "deadline_at": "2026-01-06T10:00:00.400Z",
    "changed_at": "2026-01-05T10:00:08.004Z",
    "events": 2,
    "polls": 3,
    "ended_at": "2026-01-05T10:00:08.004Z",
    "end_reason": "terminal",
    "last_error": None,
}

_LETTER: Document = {
    "id": "4f1c0d5e8a7b6c5d",
    "what": "event",
    "origin": "bus",
    "reason": "rejected",
    "detail": "the bus does not exist",
    "at": AT,
    "key": KEY,
    "tries": 1,
    "retry": False,
    "bytes": 912,
}


def _object(**properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _array(items: Document) -> Document:
    return {"type": "array", "items": items}


_STRING: Document = {"type": "string"}
_NUMBER: Document = {"type": "number"}
_INTEGER: Document = {"type": "integer"}
_BOOLEAN: Document = {"type": "boolean"}
_NEXT: Document = {"type": ["string", "null"], "description": "Give it as `after` to get the following page; null: there is none."}
_TIME: Document = {"type": ["string", "null"], "format": "date-time"}
_TEXT: Document = {"type": ["string", "null"]}
_TASK_SCHEMA = _object(
    key=_STRING,
    kind=_STRING,
    target=_STRING,
    params={"type": "object", "additionalProperties": _STRING},
    open=_BOOLEAN,
    status=_TEXT,
    status_since=_TIME,
    admitted_at=_TIME,
    deadline_at=_TIME,
    changed_at=_TIME,
    events=_INTEGER,
    polls=_INTEGER,
    ended_at=_TIME,
    end_reason=_TEXT,
    last_error=_TEXT,
)
_LETTER_SCHEMA = _object(
    id=_STRING,
    what={"enum": ["input", "event"]},
    origin=_STRING,
    reason=_STRING,
    detail=_STRING,
    at=_TIME,
    key=_TEXT,
    tries=_INTEGER,
    retry=_BOOLEAN,
    bytes=_INTEGER,
)
_EVENT_SCHEMA: Document = {"type": "object", "description": "A CloudEvent. /asyncapi.json has a schema for each type."}
_OUTCOME: Document = {
    "type": "object",
    "properties": {
        "outcome": {"enum": ["admitted", "known", "ended", "invalid", "ignored"]},
        "key": _STRING,
        "reason": _STRING,
        "detail": _STRING,
    },
    "required": ["outcome"],
}


def _content(description: str, schema: Document, example: Any) -> Document:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def _ok(description: str, schema: Document, example: Any) -> Responses:
    return {200: _content(description, schema, example)}


SUBMISSION: Document = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [{"type": "object"}, {"type": "array"}]},
                "examples": {
                    "one": {
                        "summary": "One task",
                        "value": {
                            "VoiceConnectorId": "abc123",
                            "SpeakerSearchTaskId": "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10",
                            "context": {"call": "c-42"},
                        },
                    },
                    "many": {"summary": "Several tasks", "value": ["abc123/task-1", "voice-tone/abc123/task-2"]},
                },
            }
        },
    }
}
SUBMITTED = _content("The tasks are in the store.", _object(tasks=_array(_OUTCOME)), {"tasks": [{"outcome": "admitted", "key": KEY}]})
TASKS = _ok("One page.", _object(tasks=_array(_TASK_SCHEMA), next=_NEXT), {"tasks": [_TASK], "next": None})
TASK = _ok(
    "The task.",
    _object(
        key=_STRING,
        task={"type": "object"},
        next={"type": ["object", "null"], "description": "When the task is polled next, and why; null: it has ended."},
        end=_TEXT,
        events=_array(_EVENT_SCHEMA),
        not_yet_taken={"type": "object", "additionalProperties": _INTEGER, "description": "By sink, the events that it has not settled."},
        dead_letters=_array(_LETTER_SCHEMA),
    ),
    {
        "key": KEY,
        "task": {**_TASK, "context": {"call": "c-42"}},
        "next": None,
        "end": "the service reported a terminal status",
        "events": [EVENT],
        "not_yet_taken": {},
        "dead_letters": [],
    },
)
_CANCEL_SCHEMA = _object(key=_STRING, outcome={"enum": ["cancelling", "ended"]})
CANCELLED: Responses = {
    200: _content("The task has ended already.", _CANCEL_SCHEMA, {"key": KEY, "outcome": "ended"}),
    202: _content("The watch ends within seconds.", _CANCEL_SCHEMA, {"key": KEY, "outcome": "cancelling"}),
}
EVENTS: Responses = {
    200: {
        "description": "A page, or a stream.",
        "content": {
            "application/json": {
                "schema": _object(events=_array(_EVENT_SCHEMA), next={"type": "string", "description": "The cursor after these events."}),
                "example": {"events": [EVENT], "next": CURSOR},
            },
            "text/event-stream": {
                "schema": _STRING,
                "example": f'id: {CURSOR}\ndata: {{"specversion":"1.0","type":"watcher.task.transition.v1", …}}\n\n',
            },
        },
    }
}
DEAD_LETTERS = _ok("One page.", _object(dead_letters=_array(_LETTER_SCHEMA), next=_NEXT), {"dead_letters": [_LETTER], "next": None})
DEAD_LETTER = _ok(
    "The dead letter.",
    {**_LETTER_SCHEMA, "properties": {**_LETTER_SCHEMA["properties"], "body": _STRING}, "required": [*_LETTER_SCHEMA["required"], "body"]},
    {**_LETTER, "body": '{"specversion":"1.0"}'},
)
CHOICE: Document = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {
                            "type": "object",
                            "properties": {"ids": {"type": "array", "items": _STRING, "minItems": 1}},
                            "required": ["ids"],
                            "additionalProperties": False,
                        },
                        {"type": "object", "properties": {"all": {"const": True}}, "required": ["all"], "additionalProperties": False},
                    ]
                },
                "examples": {
                    "chosen": {"summary": "Chosen ones", "value": {"ids": ["4f1c0d5e8a7b6c5d"]}},
                    "all": {"summary": "All", "value": {"all": True}},
                },
            }
        },
    }
}
MARKED = _content("The running watcher retries them within seconds.", _object(marked=_INTEGER), {"marked": 1})
PURGED = _ok("They are erased.", _object(purged=_INTEGER), {"purged": 1})
REPLICAS = _ok(
    "The replicas.",
    _object(
        shards=_INTEGER,
        unowned=_INTEGER,
        unowned_ranges=_array(_STRING),
        trouble=_array(_STRING),
        replicas=_array({"type": "object"}),
    ),
    {"shards": 1, "unowned": 1, "unowned_ranges": ["0"], "trouble": [], "replicas": []},
)
