"""What can be watched: the kinds that ship, and one that does not."""

import json
import re

import pytest

from tests.core.facts import NOW, found, seen, watch_of
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.intake import submissions
from watcher.core.polling.poll_errors import on_poll_error
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import NotFound
from watcher.kinds import KINDS, Kind, Param, Phase, Quota
from watcher.kinds.voice_results import MAX_MATCHES
from watcher.model import Submission, TaskRef

SPEAKER_SEARCH = KINDS["speaker-search"]

PIPELINE = Kind(
    name="call-analytics",
    service="chime-sdk-media-pipelines",
    operation="get_speaker_search_task",
    reply="AnalyticsTask",
    params=(
        Param("PipelineId", "pipeline_id", re.compile(r"[a-z0-9-]{1,64}")),
        Param("AnalyticsTaskId", "analytics_task_id", re.compile(r"\w+")),
    ),
    id_member="AnalyticsTaskId",
    status_member="AnalyticsTaskStatus",
    statuses={
        "NotStarted": Phase.OPEN,
        "Initializing": Phase.OPEN,
        "InProgress": Phase.OPEN,
        "Failed": Phase.TERMINAL,
        "Stopping": Phase.OPEN,
        "Stopped": Phase.TERMINAL,
    },
    running="InProgress",
    quota=Quota("media-pipeline", "Media pipeline API rate"),
    retention_s=86_400,
    optional=frozenset({"Stopping"}),
    abrupt=frozenset({"Failed"}),
)
"""A kind of another service, with other words, other parameters, no provisional status and no result."""


@pytest.fixture
def third_kind(monkeypatch: pytest.MonkeyPatch) -> Kind:
    monkeypatch.setitem(KINDS, PIPELINE.name, PIPELINE)
    return PIPELINE


@pytest.mark.parametrize(
    ("before", "after", "skipped"),
    [
        (None, "IN_QUEUE", ()),
        (None, "IN_PROGRESS", ("IN_QUEUE",)),
        (None, "PARTIAL_SUCCESS", ("IN_QUEUE", "IN_PROGRESS")),
        (None, "SUCCEEDED", ("IN_QUEUE", "IN_PROGRESS")),
        (None, "FAILED", ("IN_QUEUE",)),
        (None, "STOPPED", ("IN_QUEUE",)),
        ("IN_QUEUE", "IN_PROGRESS", ()),
        ("IN_QUEUE", "PARTIAL_SUCCESS", ("IN_PROGRESS",)),
        ("IN_QUEUE", "SUCCEEDED", ("IN_PROGRESS",)),
        ("IN_QUEUE", "FAILED", ()),
        ("IN_QUEUE", "STOPPED", ()),
        ("IN_PROGRESS", "PARTIAL_SUCCESS", ()),
        ("IN_PROGRESS", "SUCCEEDED", ()),
        ("IN_PROGRESS", "FAILED", ()),
        ("PARTIAL_SUCCESS", "SUCCEEDED", ()),
        ("REVIEWING", "SUCCEEDED", ()),
        (None, "REVIEWING", ()),
        ("IN_QUEUE", "REVIEWING", ()),
    ],
)
def test_skipped_is_what_must_have_lain_between(before, after, skipped) -> None:
    """In the order of a task's life; nothing for a word whose place is unknown, nor an optional status, nor before an abrupt end."""
    assert SPEAKER_SEARCH.skipped(before, after) == skipped
    assert KINDS["voice-tone"].skipped(before, after) == skipped


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_is_consistent(kind: Kind) -> None:
    """Its words are among its statuses, its ids are distinct, it is registered under its name, and it has an end."""
    assert KINDS[kind.name] is kind
    assert {kind.running, *kind.optional, *kind.successes, *kind.abrupt} <= set(kind.statuses)
    assert kind.params[-1].name == kind.id_member
    assert len({param.field for param in kind.params}) == len(kind.params)
    assert Phase.TERMINAL in kind.statuses.values()
    assert kind.statuses[next(iter(kind.statuses))] is Phase.OPEN
    assert all(kind.statuses[status] is not Phase.OPEN for status in kind.successes | kind.abrupt)


def test_an_unknown_status_is_open() -> None:
    """In another case too: the word is the service's."""
    assert [SPEAKER_SEARCH.phase(s) for s in ("succeeded", "", "REVIEWING")] == [Phase.OPEN] * 3


@pytest.mark.parametrize(
    ("details", "result"),
    [
        (None, None),
        ({}, None),
        ({"Results": None, "VoiceprintGenerationStatus": ""}, None),
        ({"Results": []}, found()),
        ({"Results": [{"VoiceProfileId": "p", "ConfidenceScore": 0.91}]}, found("p")),
        ({"VoiceprintGenerationStatus": "VoiceprintGenerationFailure"}, found(voiceprint="VoiceprintGenerationFailure")),
        ({"Results": [{}]}, {"voiceprint": None, "matches": [{"voice_profile_id": None, "confidence": None}]}),
    ],
)
def test_a_result_is_read_out_of_the_reply(details, result) -> None:
    """None where there is none yet; matches and voiceprint where there are."""
    assert SPEAKER_SEARCH.result({"SpeakerSearchDetails": details}) == result


@pytest.mark.parametrize(
    "details",
    [
        [], "x", 5, {"Results": {}}, {"Results": "x"}, {"Results": [5]}, {"Results": [{}] * (MAX_MATCHES + 1)},
        {"VoiceprintGenerationStatus": 5}, {"Results": [{"VoiceProfileId": 5}]}, {"Results": [{"ConfidenceScore": "0.9"}]},
        {"Results": [{"ConfidenceScore": True}]}, {"Results": [{"ConfidenceScore": float("nan")}]},
        {"Results": [{"ConfidenceScore": float("inf")}]},
    ],
)  # fmt: skip
def test_a_result_that_is_not_as_promised_is_refused(details) -> None:
    """With a ValueError whose text repeats nothing of it."""
    with pytest.raises(ValueError, match=r"^[A-Za-z ]+$"):
        SPEAKER_SEARCH.result({"SpeakerSearchDetails": details})


@pytest.mark.parametrize("word", ["VoiceprintGenerationSuccess", "VoiceprintGenerationSuccessful", "VoiceprintGenerationFailure"])
def test_a_search_is_settled_when_the_fate_of_its_voiceprint_is_known(word) -> None:
    """In each of the words that AWS's texts use; matches alone settle nothing."""
    assert SPEAKER_SEARCH.settled(found("p", voiceprint=word))
    assert not SPEAKER_SEARCH.settled(found("p"))
    assert not SPEAKER_SEARCH.settled(None)


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "call-analytics", "pipeline_id": "p-1", "analytics_task_id": "t1"},
        {"PipelineId": "p-1", "AnalyticsTaskId": "t1"},
        {"AnalyticsTask": {"AnalyticsTaskId": "t1", "AnalyticsTaskStatus": "NotStarted", "Call": {"PipelineId": "p-1"}}},
    ],
)
def test_a_third_kind_is_taken_in_by_its_registration_alone(third_kind: Kind, message) -> None:
    """Each form of message names its tasks, with no change anywhere else."""
    assert submissions.read(json.dumps(message).encode(), now=NOW) == [Submission(TaskRef("call-analytics", ("p-1", "t1")))]


def test_a_third_kind_has_keys_of_its_own(third_kind: Kind) -> None:
    """As one types them."""
    (submission,) = submissions.read(b"call-analytics/p-1/t1", now=NOW, plain=True)
    assert submission.ref == TaskRef("call-analytics", ("p-1", "t1"))


def test_a_third_kind_is_watched_and_told_of_in_its_own_words(third_kind: Kind) -> None:
    """From the first sight to the end, with its own parameters, skipped statuses and abrupt end."""
    watch, bodies = watch_of(TaskRef("call-analytics", ("p-1", "t1"))), []
    writer = EventWriter(EventSettings(), "eu-central-1")
    for n, status in enumerate(["Initializing", "Stopping", "InProgress", "Failed"], 1):
        step = advance(third_kind, watch, seen(status, n, result={"canary": 1} if status == "Failed" else None), WatchSettings())
        watch = step.watch
        bodies += [json.loads(writer.write(third_kind, watch, told, NOW).body) for told in step.transitions]
    assert [(b["data"]["from"], b["data"]["to"], b["data"]["skipped"], b["data"]["terminal"]) for b in bodies] == [
        (None, "Initializing", ["NotStarted"], False),
        ("Initializing", "Stopping", ["InProgress"], False),
        ("Stopping", "Failed", [], True),
    ]
    assert bodies[0]["data"]["task"]["params"] == {"PipelineId": "p-1", "AnalyticsTaskId": "t1"}
    assert bodies[0]["source"] == "/watcher/call-analytics/eu-central-1/p-1/t1"
    assert bodies[0]["subject"] == "call-analytics/p-1/t1"


@pytest.mark.parametrize("results", ["hashed", "count"])
def test_a_kind_that_says_nothing_of_its_result_gives_nothing_away(third_kind: Kind, results) -> None:
    """Where results are to be reduced and the kind does not say how, none of it leaves."""
    watch = watch_of(TaskRef("call-analytics", ("p-1", "t1")))
    step = advance(third_kind, watch, seen("Stopped", result={"name": "canary"}), WatchSettings())
    event = EventWriter(EventSettings(results=results)).write(third_kind, step.watch, step.transitions[0], NOW)
    assert b"canary" not in event.body


def test_a_third_kind_is_forgotten_by_its_service_in_its_own_time(third_kind: Kind) -> None:
    """Expiry goes by the kind's retention."""
    old = watch_of(TaskRef("call-analytics", ("p-1", "t1")))._replace(created_at=NOW - 86_401)
    assert on_poll_error(third_kind, old, NotFound("404"), NOW, WatchSettings(), mono=0.0).reason == "expired"
