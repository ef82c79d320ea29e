"""Any JSON that a service may send is an observation of the polled task, or `Unreadable`."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.adapters.aws.reply import MAX_RESULT, read_reply
from watcher.errors import NotFound, Unreadable
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Kind
from watcher.kinds.kind_files import read_kinds
from watcher.model import Observation, TaskRef

NOW = 1795341600.0
CATALOG = builtin_catalog()
SPEAKER_SEARCH = CATALOG["speaker-search"]
VOICE = [kind for kind in CATALOG if kind.service == "chime-sdk-voice"]
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
    return {kind.reply.task.text: {kind.reply.id.text: "task1", kind.reply.status.text: "IN_PROGRESS", **members}}


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
@given(kind=st.sampled_from(list(CATALOG)), reply=anything)
def test_anything_is_an_observation_or_unreadable(kind: Kind, reply: Any) -> None:
    """No value that a reply may hold raises anything else, and what is accepted can be written as UTF-8 JSON."""
    check(kind, reply)


@settings(deadline=None)  # nothing here is timed
@given(kind=st.sampled_from(VOICE), member=names, value=anything)
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
    """From a point in time in any zone; a service's clock may be minutes ahead of ours."""
    assert read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH, UpdatedTimestamp=at), NOW).updated_at == seconds


def test_a_number_is_a_time_in_milliseconds() -> None:
    """AWS Batch has such numbers where other services have a timestamp."""
    job = {"jobId": "task1", "status": "SUCCEEDED", "createdAt": 1795341600123, "startedAt": 1795341601000, "stoppedAt": 1795341602500}
    seen = read_reply(CATALOG["batch-job"], TaskRef("batch-job", ("task1",)), {"jobs": [job]}, NOW + 60)
    assert (seen.created_at, seen.started_at, seen.updated_at) == (NOW + 0.123, NOW + 1.0, NOW + 2.5)


def test_the_number_0_is_no_time() -> None:
    """Such as the start of a job that has not started: the reply is readable, and its status counts."""
    job = {"jobId": "task1", "status": "FAILED", "createdAt": 1795341600123, "startedAt": 0, "stoppedAt": 1795341602500}
    seen = read_reply(CATALOG["batch-job"], TaskRef("batch-job", ("task1",)), {"jobs": [job]}, NOW + 60)
    assert (seen.status, seen.created_at, seen.started_at) == ("FAILED", NOW + 0.123, None)


def test_a_kind_can_have_replies_without_an_id() -> None:
    """Amazon Textract replies with the state of a job, and does not say of which one."""
    seen = read_reply(CATALOG["textract-text"], TaskRef("textract-text", ("task1",)), {"JobStatus": "IN_PROGRESS"}, NOW)
    assert seen == Observation("IN_PROGRESS", NOW)


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 22),  # noqa: DTZ001 - a naive time is what is refused
        1795341600,
        "2026-11-22T10:00:00Z",
        True,
    ],
)
def test_an_impossible_time_is_unreadable(at: Any) -> None:
    """Without a zone, or of another type."""
    with pytest.raises(Unreadable, match="UpdatedTimestamp"):
        read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH, UpdatedTimestamp=at), NOW)


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 11, 24, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    ],
)
def test_a_time_that_cannot_be_is_none_and_hides_no_status(at: datetime) -> None:
    """Days ahead of our clock, or outside the calendar: the status beside it is read all the same."""
    reply = task(SPEAKER_SEARCH, SpeakerSearchTaskStatus="SUCCEEDED", UpdatedTimestamp=at, CreatedTimestamp=at)
    assert read_reply(SPEAKER_SEARCH, REF, reply, NOW) == Observation("SUCCEEDED", NOW)


def test_absent_members_are_none() -> None:
    """A task has an id and a status; all else may be missing."""
    assert read_reply(SPEAKER_SEARCH, REF, task(SPEAKER_SEARCH), NOW) == Observation("IN_PROGRESS", NOW)


def test_a_result_is_read_up_to_128_kib() -> None:
    """Of JSON as an event carries it, escapes included, so that the event fits a queue's message."""
    rest = len('{"voiceprint":null,"matches":[{"voice_profile_id":"\\u00e9","confidence":0.5}]}')
    for size, readable in ((MAX_RESULT, True), (MAX_RESULT + 1, False)):
        results = [{"VoiceProfileId": "\u00e9" + "p" * (size - rest), "ConfidenceScore": 0.5}]
        reply = task(SPEAKER_SEARCH, SpeakerSearchDetails={"Results": results})
        if readable:
            result = read_reply(SPEAKER_SEARCH, REF, reply, NOW).result
            assert len(json.dumps(result, separators=(",", ":"))) == size
        else:
            with pytest.raises(Unreadable, match="result"):
                read_reply(SPEAKER_SEARCH, REF, reply, NOW)


NESTED = """
name: nested
service: example
operation: describe_jobs
params: {JobId: {}}
task: jobs[0]
id: detail.jobId
status: to_string(detail.state)
created: detail.times.created
message: detail.reason || detail.note
result: '{size: length(detail.output)}'
statuses: {RUNNING: open, DONE: succeeded}
quota: {name: nested, title: Rate}
retention: 1d
"""


def test_a_reply_is_read_by_the_paths_of_its_kind() -> None:
    """Any JMESPath expression will do; without one the value is None."""
    (kind,) = read_kinds({"nested.yaml": NESTED})
    detail = {"jobId": "j1", "state": "RUNNING", "times": {"created": datetime(2026, 11, 22, 10, tzinfo=UTC)}, "note": "n", "output": "abc"}
    seen = read_reply(kind, TaskRef("nested", ("j1",)), {"jobs": [{"detail": detail}]}, NOW)
    assert seen == Observation("RUNNING", NOW, {"size": 3}, created_at=NOW, message="n")


@pytest.mark.parametrize("reply", [None, 5, [], {}, {"jobs": 5}, {"jobs": [None]}, {"jobs": [{"detail": {"jobId": "j1", "output": 5}}]}])
def test_a_reply_that_an_expression_does_not_fit_is_unreadable(reply: Any) -> None:
    """Whether the expression finds nothing, something else, or cannot be evaluated."""
    (kind,) = read_kinds({"nested.yaml": NESTED})
    with pytest.raises(Unreadable):
        read_reply(kind, TaskRef("nested", ("j1",)), reply, NOW)


def test_an_empty_list_is_no_such_task() -> None:
    """A call that lists the tasks of a request says so that the task does not exist; a reply without the list says nothing."""
    (kind,) = read_kinds({"nested.yaml": NESTED})
    with pytest.raises(NotFound):
        read_reply(kind, TaskRef("nested", ("j1",)), {"jobs": []}, NOW)
    (kind,) = read_kinds({"nested.yaml": NESTED.replace("jobs[0]", "jobs[?detail] | [0]")})
    with pytest.raises(Unreadable):
        read_reply(kind, TaskRef("nested", ("j1",)), {"jobs": []}, NOW)
