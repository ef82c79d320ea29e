"""Speaker searches of Amazon Chime SDK Voice (`GetSpeakerSearchTask`)."""

from __future__ import annotations

import re

from watcher.kinds.kind import Kind, Param, Phase, Quota
from watcher.kinds.voice_results import counted, hashed, speaker_result, voiceprint_known

VOICE_CONNECTOR_ID = Param("VoiceConnectorId", "voice_connector_id", re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,126}[A-Za-z0-9])?"))
"""In real life `[a-z0-9]{21,22}` or a UUID; the API model allows 128 characters. Nothing that bends a path."""

TASK_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,254}[A-Za-z0-9])?")
"""In practice a UUID; the API model allows 256 characters."""

SPEAKER_SEARCH = Kind(
    name="speaker-search",
    service="chime-sdk-voice",
    operation="get_speaker_search_task",
    reply="SpeakerSearchTask",
    params=(VOICE_CONNECTOR_ID, Param("SpeakerSearchTaskId", "speaker_search_task_id", TASK_ID)),
    id_member="SpeakerSearchTaskId",
    status_member="SpeakerSearchTaskStatus",
    statuses={
        "IN_QUEUE": Phase.OPEN,
        "IN_PROGRESS": Phase.OPEN,
        "PARTIAL_SUCCESS": Phase.PROVISIONAL,
        "SUCCEEDED": Phase.TERMINAL,
        "FAILED": Phase.TERMINAL,
        "STOPPED": Phase.TERMINAL,
    },
    optional=frozenset({"PARTIAL_SUCCESS"}),
    successes=frozenset({"SUCCEEDED", "PARTIAL_SUCCESS"}),
    abrupt=frozenset({"FAILED", "STOPPED"}),
    running="IN_PROGRESS",
    quota=Quota("speaker-search", "Speaker search API rate (Amazon Chime SDK, Service Quotas)"),
    retention_s=7 * 86_400,
    hints=("SpeakerSearchStatus",),
    result=speaker_result,
    hashed=hashed,
    counted=counted,
    settled=voiceprint_known,
)
