from __future__ import annotations

import pytest

from tests.queries.recorded import CATALOG
from watcher.errors import InvalidInput
from watcher.queries.selection import select_by_param
from watcher.query import Selection


@pytest.mark.parametrize("name", ["VoiceToneAnalysisTaskId", "voice_tone_analysis_task_id"])
def test_a_parameter_has_two_names(name: str) -> None:
    """A parameter is found by the name that AWS uses and by the name in messages."""
    assert select_by_param(CATALOG, "voice-tone", name, "v1") == Selection(kind="voice-tone", param=1, value="v1")


@pytest.mark.parametrize(
    ("kind", "param", "reason", "detail"),
    [
        ("voice", "VoiceConnectorId", "kind", "did you mean voice-tone"),
        ("voice-tone", "Connector", "field", "use one of VoiceConnectorId, VoiceToneAnalysisTaskId"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_known_ones(kind: str, param: str, reason: str, detail: str) -> None:
    """An unknown kind or parameter raises InvalidInput."""
    with pytest.raises(InvalidInput, match=detail) as raised:
        select_by_param(CATALOG, kind, param, "abc")
    assert raised.value.reason == reason
