"""Watches, observations and events for the tests of decisions."""

from typing import Any

from watcher.model import Event, Observation, TaskRef, Watch

NOW = 1_790_000_000.0
DAY = 86_400.0
REF = TaskRef("speaker-search", ("abcdef1ghij2klmno3pqr4", "2f6f7d1e-6b0c-4a58-9d3e-0d6a5c1b7a11"))


def watch_of(ref: TaskRef = REF, **facts: Any) -> Watch:
    return Watch(**{"ref": ref, "id": "0" * 32, "admitted_at": NOW, "deadline_at": NOW + DAY} | facts)


def seen(status: str, at: float = 1.0, **facts: Any) -> Observation:
    """An observation `at` seconds after NOW."""
    return Observation(status, NOW + at, **facts)


def found(*profiles: str, voiceprint: str | None = None) -> dict[str, Any]:
    return {"voiceprint": voiceprint, "matches": [{"voice_profile_id": profile, "confidence": 0.91} for profile in profiles]}


def event_at(key: str, position: int, *, shard: int = 0, at: float = NOW) -> Event:
    type_ = "watcher.task.transition.v1"
    return Event(f"{key}-{position}", key, "speaker-search", type_, "IN_QUEUE", False, at, b"{}", position, shard)
