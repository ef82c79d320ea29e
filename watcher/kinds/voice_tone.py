"""Voice tone analyses of Amazon Chime SDK Voice (`GetVoiceToneAnalysisTask`): a status, no result."""

from __future__ import annotations

from watcher.kinds.kind import Kind, Param, Phase, Quota
from watcher.kinds.speaker_search import TASK_ID, VOICE_CONNECTOR_ID

VOICE_TONE = Kind(
    name="voice-tone",
    service="chime-sdk-voice",
    operation="get_voice_tone_analysis_task",
    reply="VoiceToneAnalysisTask",
    params=(VOICE_CONNECTOR_ID, Param("VoiceToneAnalysisTaskId", "voice_tone_analysis_task_id", TASK_ID)),
    id_member="VoiceToneAnalysisTaskId",
    status_member="VoiceToneAnalysisTaskStatus",
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
    also={"IsCaller": True},  # required by the API, which has one analysis for each leg of a call
    quota=Quota("voice-tone", "Voice tone analysis API rate (Amazon Chime SDK, Service Quotas)"),
    retention_s=7 * 86_400,
    hints=("VoiceToneAnalysisStatus",),
)
