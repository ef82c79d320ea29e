"""The two kinds of Amazon Chime SDK Voice tasks as AWS's API model describes them: URLs, member names, statuses.

This is everything that the simulator knows about a kind. It comes from the API model, not from `watcher.kinds`: a mistake
in our description of a kind must not also be in the service that tests it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IN_QUEUE, IN_PROGRESS, PARTIAL_SUCCESS = "IN_QUEUE", "IN_PROGRESS", "PARTIAL_SUCCESS"
SUCCEEDED, FAILED, STOPPED = "SUCCEEDED", "FAILED", "STOPPED"
STATUSES = (IN_QUEUE, IN_PROGRESS, PARTIAL_SUCCESS, SUCCEEDED, FAILED, STOPPED)
"""In the order in which a task can have them. Both kinds have the same."""
TERMINAL = frozenset({SUCCEEDED, FAILED, STOPPED})

RETENTION_S = 7 * 86_400.0
"""How long the service keeps a task after its end, in seconds."""

MAX_CONNECTOR, MAX_TASK_ID = 128, 256
"""The longest VoiceConnectorId and task id that the API model allows, in characters."""


@dataclass(frozen=True, slots=True)
class SimulatedKind:
    """One kind of task. Its operations are Start, Get and Stop."""

    name: str
    """As in `TaskRef.kind`."""
    path: str
    """The segment of the URL: `/voice-connectors/{VoiceConnectorId}/{path}/{task id}`."""
    task_member: str
    """The member of a reply that holds the task."""
    id_member: str
    status_member: str
    required: tuple[str, ...]
    """The members that the body of a Start request must have."""
    details_member: str | None = None
    """The member of the task that holds its result; None: this kind has no result."""
    get_needs_is_caller: bool = False
    """Whether a Get request must have the query parameter `isCaller`."""


SPEAKER_SEARCH = SimulatedKind(
    name="speaker-search",
    path="speaker-search-tasks",
    task_member="SpeakerSearchTask",
    id_member="SpeakerSearchTaskId",
    status_member="SpeakerSearchTaskStatus",
    required=("TransactionId", "VoiceProfileDomainId"),
    details_member="SpeakerSearchDetails",
)

VOICE_TONE = SimulatedKind(
    name="voice-tone",
    path="voice-tone-analysis-tasks",
    task_member="VoiceToneAnalysisTask",
    id_member="VoiceToneAnalysisTaskId",
    status_member="VoiceToneAnalysisTaskStatus",
    required=("TransactionId", "LanguageCode"),
    get_needs_is_caller=True,
)

SIMULATED_KINDS: Mapping[str, SimulatedKind] = {kind.name: kind for kind in (SPEAKER_SEARCH, VOICE_TONE)}
KINDS_BY_PATH: Mapping[str, SimulatedKind] = {kind.path: kind for kind in SIMULATED_KINDS.values()}


@dataclass(frozen=True, slots=True)
class Match:
    """One voice profile that a speaker search found, with a confidence between 0 and 1."""

    profile_id: str
    confidence: float


def search_details(matches: Sequence[Match], voiceprint: str | None) -> dict[str, Any]:
    """Return a result as the API shows it. `voiceprint` is the VoiceprintGenerationStatus; None: not known yet."""
    details: dict[str, Any] = {"Results": [{"ConfidenceScore": m.confidence, "VoiceProfileId": m.profile_id} for m in matches]}
    if voiceprint is not None:
        details["VoiceprintGenerationStatus"] = voiceprint
    return details


def search_result(matches: Sequence[Match], voiceprint: str | None) -> dict[str, Any]:
    """Return the same result in the format of our events."""
    return {"voiceprint": voiceprint, "matches": [{"voice_profile_id": m.profile_id, "confidence": m.confidence} for m in matches]}
