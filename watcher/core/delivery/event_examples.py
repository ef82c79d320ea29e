"""One event of each type, for the JSON Schemas and the API documents. A test compares them with what the event writer renders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watcher.model import EventType

Example = dict[str, Any]

_PARAMS = {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"}
KEY = "/".join(["speaker-search", *_PARAMS.values()])


def _event(type_: EventType, id_: str, sequence: int, time: str, **data: Any) -> Example:
    return {
        "specversion": "1.0",
        "id": id_,
        "source": "/watcher/speaker-search/us-east-1/" + "/".join(_PARAMS.values()),
        "type": type_.value,
        "subject": KEY,
        "time": time,
        "datacontenttype": "application/json",
        "sequence": f"{sequence:010d}",
        "partitionkey": KEY,
        "data": {
            "task": {"key": KEY, "kind": "speaker-search", "target": "default", "params": _PARAMS},
            "from": "IN_PROGRESS",
            "to": "PARTIAL_SUCCESS",
            "terminal": False,
            "succeeded": None,
            "skipped": [],
            "observed_at": "2026-01-05T10:00:08.004Z",
            "observed_from": "poll",
            "updated_at": "2026-01-05T10:00:07.120Z",
            "created_at": "2026-01-05T10:00:00.000Z",
            "started_at": "2026-01-05T10:00:01.250Z",
            "detection_lag_s": 0.884,
            "polls": 3,
            "result": {"voiceprint": None, "matches": [{"voice_profile_id": "v-0f1e2d3c", "confidence": 0.91}]},
            "message": None,
            "context": {"call": "c-42"},
            **data,
        },
    }


TRANSITION = _event(EventType.TRANSITION, "541d42710c7b25a60b75c8e09013d353", 2, "2026-01-05T10:00:07.120Z")
UPDATED = _event(
    EventType.UPDATED,
    "df8ff0c2ad06ccf020f1dbbc600ef8cb",
    3,
    "2026-01-05T10:00:27.500Z",
    **{"from": "PARTIAL_SUCCESS"},
    terminal=True,
    succeeded=True,
    observed_at="2026-01-05T10:00:28.750Z",
    updated_at="2026-01-05T10:00:27.500Z",
    detection_lag_s=1.25,
    polls=5,
    result={"voiceprint": "VoiceprintGenerationSuccess", "matches": [{"voice_profile_id": "v-0f1e2d3c", "confidence": 0.91}]},
)
ENDED = _event(
    EventType.ENDED,
    "c8940aea0abca0392488cf140c5f00ae",
    2,
    "2026-01-06T10:00:00.400Z",
    to=None,
    terminal=True,
    observed_at="2026-01-06T10:00:00.400Z",
    updated_at="2026-01-05T10:00:01.250Z",
    detection_lag_s=None,
    polls=4032,
    result=None,
    reason="deadline",
)
EXAMPLES: Mapping[EventType, Example] = {EventType.TRANSITION: TRANSITION, EventType.UPDATED: UPDATED, EventType.ENDED: ENDED}
"""A speaker search that finds a match, its voiceprint, and another watch of it that ends by its deadline."""
