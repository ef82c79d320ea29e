"""Whatever JSON a service may send: an observation of the task asked about, or `Unreadable`."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.adapters.aws.reply import read_reply
from watcher.errors import Unreadable
from watcher.kinds import KINDS, Kind
from watcher.kinds.speaker_search import SPEAKER_SEARCH
from watcher.model import Observation, TaskRef

NOW = 1795341600.0
REF = TaskRef("speaker-search", ("vc1", "task1"))

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**399, 10**400)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.sampled_from(["task1", "SUCCEEDED", "IN_PROGRESS", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), b"bytes"])
)
names = st.sampled_from(
    [
        "SpeakerSearchTask",
        "SpeakerSearchTaskId",
        "SpeakerSearchTaskStatus",
        "VoiceToneAnalysisTask",
        "VoiceToneAnalysisTaskId",
        "VoiceToneAnalysisTaskStatus",
        "SpeakerSearchDetails",
        "Results",
        "VoiceProfileId",
        "ConfidenceScore",
        "VoiceprintGenerationStatus",
        "CreatedTimestamp",
        "UpdatedTimestamp",
        "StatusMessage",
    ]
)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6), max_leaves=20)


def task(kind: Kind, **members: Any) -> dict[str, Any]:
    return {kind.reply: {kind.id_member: "task1", kind.status_member: "IN_PROGRESS", **members}}


def check(kind: Kind, reply: Any) -> None:
    try:
        seen = read_reply(kind, TaskRef(kind.name, ("vc1", "task1")), reply, NOW)
    except Unreadable:
        return
    assert isinstance(seen, Observation)
    assert seen.status.strip()
    assert all(at is None or math.isfinite(at) for at in (seen.created_at, seen.started_at, seen.updated_at))
    json.dumps([seen.status, seen.message, seen.result], ensure_ascii=False, allow_nan=False).encode()


@settings(deadline=None)  # nothing here is timed
@given(kind=st.sampled_from(list(KINDS.values())), reply=anything)
def test_anything_is_an_observation_or_unreadable(kind: Kind, reply: Any) -> None:
    """No value that a reply may hold raises anything else, and what is accepted can be written as UTF-8 JSON."""
    check(kind, reply)


@settings(deadline=None)  # nothing here is timed
@given(kind=st.sampled_from(list(KINDS.values())), member=names, value=anything)
def test_one_odd_member_is_an_observation_or_unreadable(kind: Kind, member: str, value: Any) -> None:
    """The same when a good reply has one member replaced."""
    check(kind, task(kind, **{member: value}))


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (datetime(2026, 11, 22, 10, 0, tzinfo=UTC), NOW),
        (datetime(2026, 11, 22, 12, 0, tzinfo=timezone(timedelta(hours=2))), NOW),
        (datetime(2026, 11, 22, 10, 20, tzinfo=UTC), NOW + 1200),
        (datetime(1969, 1, 1, tzinfo=UTC), -31536000.0),
    ],
)
def test_times_are_seconds_since_the_epoch(at: datetime, seconds: float) -> None:
    """A point in time in any zone; a service's clock may be minutes ahead of ours."""
    assert read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH, UpdatedTimestamp=at), NOW).updated_at == seconds


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 22),  # noqa: DTZ001 - a naive time is what is refused
        datetime(2026, 11, 24, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        1795341600,
        "2026-11-22T10:00:00Z",
        True,
    ],
)
def test_a_time_that_cannot_be_is_unreadable(at: Any) -> None:
    """A time without a zone, days ahead of us, outside the calendar, or of another type: later replies would look stale, or no event
    could be written."""
    with pytest.raises(Unreadable, match="UpdatedTimestamp"):
        read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH, UpdatedTimestamp=at), NOW)


def test_absent_members_are_none() -> None:
    """A task has an id and a status; all else may be missing."""
    assert read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH), NOW) == Observation("IN_PROGRESS", NOW)


def test_a_thousand_results_are_read_and_more_are_not() -> None:
    """A result list is bounded."""
    for count, readable in ((1000, True), (1001, False)):
        reply = task(SPEAKER_SEARCH, SpeakerSearchDetails={"Results": [{"VoiceProfileId": "p", "ConfidenceScore": 0.5}] * count})
        if readable:
            assert len(read_reply(SPEAKER_SEARCH, REF, reply, NOW).result["matches"]) == count  # type: ignore[index]
        else:
            with pytest.raises(Unreadable, match="result"):
                read_reply(SPEAKER_SEARCH, REF, reply, NOW)
