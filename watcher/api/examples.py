"""Descriptions, schemas, and examples of requests and replies, for the OpenAPI document. The tests validate the examples."""

from __future__ import annotations

from typing import Any

from watcher.api import schemas
from watcher.core.delivery.event_examples import KEY, TRANSITION

Document = dict[str, Any]
Responses = dict[int | str, Document]

CURSOR = "AQAAAAAAAAAAAAABmrzzGgAAAQ"
AT = "2026-01-05T10:00:07.120Z"
LETTER_ID = "4f1c0d5e8a7b6c5d"

_TASK: Document = {
    "key": KEY,
    "kind": "speaker-search",
    "target": "default",
    "params": TRANSITION["data"]["task"]["params"],
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
    "id": LETTER_ID,
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
_REPLICA: Document = {
    "name": "watcher-0-8d1f",
    "version": "1.0.0",
    "started_at": AT,
    "renewed_s_ago": 1.204,
    "expires_in_s": 13.796,
    "shards": 64,
    "adopted": 64,
    "shard_ranges": ["0-63"],
    "quotas": {"speaker-search": {"rate": 2.5, "watches": 120, "lateness_s": 0.0, "sharers": 1}},
}


def _content(description: str, schema: Document, example: Any) -> Document:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}


def _ok(description: str, schema: Document, example: Any) -> Responses:
    return {200: _content(description, schema, example)}


def _body(schema: Document, **examples: tuple[str, Any]) -> Document:
    named = {name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "examples": named}}}}


SUBMISSION = _body(
    {"type": ["object", "array", "string"], "description": "docs/messages.md has all forms; watcher config schema --messages prints them."},
    one=(
        "One task",
        {
            "VoiceConnectorId": "abc123",
            "SpeakerSearchTaskId": "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10",
            "context": {"call": "c-42"},
        },
    ),
    many=("Several tasks", ["abc123/task-1", "voice-tone/abc123/task-2"]),
    any_kind=(
        "A task of another kind, in a configured target",
        {"kind": "transcription", "TranscriptionJobName": "call-42", "target": "default"},
    ),
    arn=("The ARN of a task", {"arn": "arn:aws:batch:us-east-1:111122223333:job/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"}),
)
SUBMITTED = _content("The tasks are in the store.", schemas.SUBMITTED, {"tasks": [{"outcome": "admitted", "key": KEY}]})
TASKS = _ok("One page.", schemas.TASKS, {"tasks": [_TASK], "next": None})
TASK = _ok(
    "The task.",
    schemas.TASK,
    {
        "key": KEY,
        "task": {**_TASK, "context": {"call": "c-42"}},
        "next": None,
        "end": "the service reported a terminal status",
        "events": [TRANSITION],
        "not_yet_taken": {},
        "dead_letters": [],
    },
)
CANCELLED: Responses = {
    200: _content("The task has already ended.", schemas.CANCELLED, {"key": KEY, "outcome": "ended"}),
    202: _content("The watch ends within seconds.", schemas.CANCELLED, {"key": KEY, "outcome": "cancelling"}),
}
EVENTS: Responses = {
    200: {
        "description": "A page, or a stream.",
        "content": {
            "application/json": {"schema": schemas.EVENTS, "example": {"events": [TRANSITION], "next": CURSOR}},
            "text/event-stream": {
                "schema": {"type": "string", "description": "Server-sent events. /asyncapi.json describes them."},
                "example": f'id: {CURSOR}\ndata: {{"specversion":"1.0","type":"watcher.task.transition.v1", …}}\n\n',
            },
        },
    }
}
DEAD_LETTERS = _ok("One page.", schemas.DEAD_LETTERS, {"dead_letters": [_LETTER], "next": None})
DEAD_LETTER = _ok("The dead letter.", schemas.DEAD_LETTER, {**_LETTER, "body": '{"specversion":"1.0"}'})
CHOICE = _body(schemas.CHOICE, chosen=("Chosen ones", {"ids": [LETTER_ID]}), all=("All", {"all": True}))
MARKED = _content("The running watcher retries the dead letters within seconds.", schemas.MARKED, {"marked": 1})
PURGED = _ok("The dead letters are erased.", schemas.PURGED, {"purged": 1})
ERASED: Responses = {204: {"description": "The dead letter is erased."}}
REPLICAS = _ok(
    "The replicas.",
    schemas.REPLICAS,
    {"shards": 64, "unowned": 0, "unowned_ranges": [], "trouble": [], "replicas": [_REPLICA]},
)
KINDS = _ok(
    "The kinds and the targets.",
    schemas.KINDS,
    {
        "kinds": [
            {
                "kind": "exports",
                "service": "logs",
                "operation": "describe_export_tasks",
                "params": ["taskId"],
                "statuses": {"RUNNING": "open", "COMPLETED": "succeeded"},
                "batch_size": 1,
                "own": True,
                "declaration": {
                    "name": "exports",
                    "service": "logs",
                    "operation": "describe_export_tasks",
                    "params": {"taskId": {}},
                    "task": "exportTasks[0]",
                    "status": "status.code",
                    "statuses": {"RUNNING": "open", "COMPLETED": "succeeded"},
                },
            }
        ],
        "targets": [
            {"name": "default", "region": "us-east-1", "account": None},
            {"name": "eu", "region": "eu-central-1", "account": "111122223333"},
        ],
    },
)
ALIVE: Document = {"content": {"application/json": {"example": {"ok": True, "tick_age_s": 0.2}}}}
NOT_ALIVE: Document = {"content": {"application/json": {"example": {"ok": False, "tick_age_s": 42.0}}}}
READY: Document = {
    "content": {
        "application/json": {
            "example": {"ok": True, "failing": [], "components": {"store": {"ok": True, "reason": "ok", "since": AT, "hint": ""}}}
        }
    }
}
NOT_READY: Document = {
    "content": {
        "application/json": {
            "example": {
                "ok": False,
                "failing": ["store"],
                "components": {"store": {"ok": False, "reason": "disk full", "since": AT, "hint": "free some space"}},
            }
        }
    }
}
METRICS: Document = {
    "description": "The Prometheus text format.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "# TYPE watcher_open_watches gauge\nwatcher_open_watches 3.0\n"}},
}
