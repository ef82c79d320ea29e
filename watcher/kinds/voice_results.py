"""What a speaker search found, out of the raw reply, strictly: what is not as the API promises is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from watcher.model import Result

MAX_MATCHES = 1000
"""The API returns at most ten; more than this is a reply gone wrong, not a result."""


def speaker_result(task: Mapping[str, Any]) -> Result | None:
    """`{"voiceprint": ..., "matches": [{"voice_profile_id", "confidence"}]}`, None where there is none yet. Raises ValueError."""
    details = task.get("SpeakerSearchDetails")
    if details is None:
        return None
    if not isinstance(details, Mapping):
        raise ValueError("SpeakerSearchDetails is no object")
    voiceprint, results = details.get("VoiceprintGenerationStatus"), details.get("Results")
    if voiceprint is not None and not isinstance(voiceprint, str):
        raise ValueError("VoiceprintGenerationStatus is no string")
    if results is not None and not isinstance(results, list):
        raise ValueError("Results is no list")
    if results is not None and len(results) > MAX_MATCHES:
        raise ValueError("Results has too many entries")
    if not voiceprint and results is None:
        return None
    return {"voiceprint": voiceprint or None, "matches": [_match(entry) for entry in results or ()]}


def _match(entry: Any) -> Mapping[str, Any]:
    if not isinstance(entry, Mapping):
        raise ValueError("a result is no object")
    profile, score = entry.get("VoiceProfileId"), entry.get("ConfidenceScore")
    if profile is not None and not isinstance(profile, str):
        raise ValueError("VoiceProfileId is no string")
    if score is not None and not _is_score(score):
        raise ValueError("ConfidenceScore is no score")
    return {"voice_profile_id": profile, "confidence": score}


def _is_score(score: Any) -> bool:
    # wider than the promised 0 to 1: a rounding error of the service must not hide a status; NaN and infinities compare false
    return isinstance(score, int | float) and not isinstance(score, bool) and -1000 < score < 1000


def voiceprint_known(result: Result | None) -> bool:
    """A voiceprint is the last thing a search produces: once its fate is known nothing more is to come."""
    return result is not None and result["voiceprint"] is not None


def hashed(result: Result, digest: Callable[[str], str]) -> Result:
    """Profiles can be told apart and recognised, not looked up."""
    matches = [{**m, "voice_profile_id": m["voice_profile_id"] and digest(m["voice_profile_id"])} for m in result["matches"]]
    return {"voiceprint": result["voiceprint"], "matches": matches}


def counted(result: Result) -> Result:
    """How many profiles matched, not which nor how well."""
    return {"voiceprint": result["voiceprint"], "match_count": len(result["matches"])}
