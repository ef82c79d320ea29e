"""What `GET /v1/overview` can reply, for the OpenAPI document: a watcher with ten tasks, seconds after its start."""

from __future__ import annotations

from typing import Any

_AT = "2026-01-05T10:00:05.582361Z"
_START = "2026-01-05T10:00:00.978425Z"
_STATUSES = {
    "IN_QUEUE": "open",
    "IN_PROGRESS": "open",
    "PARTIAL_SUCCESS": "provisional",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "failed",
}

OVERVIEW: dict[str, Any] = {
    "at": _AT,
    "version": "1.0.0",
    "started_at": _START,
    "ok": True,
    "components": [{"name": "store", "ok": True, "reason": "ok", "since": _START, "hint": ""}],
    "kinds": {"speaker-search": _STATUSES},
    "paused": [],
    "tasks": {
        "count": 10,
        "ages": [10.0, 60.0, 600.0, 3600.0, 86400.0, None],
        "groups": [{"kind": "speaker-search", "status": "IN_PROGRESS", "upto_s": 10.0, "count": 10}],
        "unavailable": None,
    },
    "calls": [
        {
            "quota": "speaker-search",
            "target": "default",
            "title": "Speaker search API rate (Amazon Chime SDK, Service Quotas)",
            "open": 10,
            "pace": 14.0,
            "configured": None,
            "answered": 4.4,
            "throttled": 0.0,
            "failed": 0.0,
            "in_flight": 1,
            "price_s": 0.0,
            "lateness_s": 0.0,
        }
    ],
    "sinks": [{"name": "jsonl", "ok": True, "backlog": 0, "oldest_s": None, "delivered": 19}],
    "dead_letters": {"inputs": 1, "events": 0, "limit": 100000},
    "replicas": {"shared": False, "shards": 0, "unowned": 0, "trouble": [], "replicas": [], "unavailable": None},
    "history": {
        "every_s": 5.0,
        "at": [1767607205.2],
        "open": [10.0],
        "events_per_s": [3.8],
        "lag_mean_s": [0.656],
        "lag_p95_s": [2.525],
        "calls_per_task": [None],
        "quotas": {"speaker-search": {"answered": [4.4], "throttled": [0.0], "failed": [0.0], "pace": [11.5], "price_s": [0.0]}},
        "backlog": {"jsonl": [0.0]},
    },
}
