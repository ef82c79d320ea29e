"""Kinds as data: the two that are shipped, and one of another service."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.facts import NOW, found, seen, watch_of
from tests.kinds.pipeline import PIPELINE
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.intake import submissions
from watcher.core.polling.poll_errors import on_poll_error
from watcher.core.polling.transitions import WatchSettings, advance
from watcher.errors import NotFound
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Kind, Phase
from watcher.kinds.kind_files import read_kinds
from watcher.model import Submission, TaskRef

CATALOG = builtin_catalog()
SPEAKER_SEARCH = CATALOG["speaker-search"]


@pytest.fixture
def pipeline() -> Kind:
    (kind,) = read_kinds({"call-analytics.yaml": PIPELINE})
    return kind


@pytest.fixture
def catalog(pipeline: Kind) -> Catalog:
    return Catalog([*CATALOG, pipeline], default="speaker-search")


def digest(identifier: str) -> str:
    return f"digest of {identifier}"


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
def test_skipped_statuses_are_those_that_must_have_come_between(before, after, skipped) -> None:
    """In order; none for an undeclared status, never a provisional one, and none before a failure but the first status."""
    assert SPEAKER_SEARCH.skipped(before, after) == skipped
    assert CATALOG["voice-tone"].skipped(before, after) == skipped


@pytest.mark.parametrize(
    ("before", "after", "skipped"),
    [
        (None, "Stopping", ("NotStarted",)),
        ("Initializing", "Stopping", ()),
        ("Initializing", "Stopped", ()),
        ("Stopping", "Stopped", ()),
        (None, "InProgress", ("NotStarted", "Initializing")),
    ],
)
def test_an_open_status_after_an_end_can_follow_any_and_is_never_skipped(pipeline: Kind, before, after, skipped) -> None:
    """A task can be stopped at any time and need not be, so Stopping says nothing about what came before."""
    assert pipeline.skipped(before, after) == skipped


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)
def test_a_shipped_kind_is_consistent(kind: Kind) -> None:
    """It is in the catalog under its name, with its quota and service."""
    assert CATALOG[kind.name] is CATALOG.get(kind.name) is kind
    assert kind.name in CATALOG
    assert CATALOG.quotas[kind.quota.name] == kind.quota
    assert kind.service in CATALOG.services


@pytest.mark.parametrize("name", ["speaker-search", "voice-tone"])
def test_the_statuses_of_voice_tasks(name: str) -> None:
    """A voice task waits in a queue, runs, and ends in one of four statuses, of which one is provisional."""
    kind = CATALOG[name]
    assert (kind.first_status, kind.running_status) == ("IN_QUEUE", "IN_PROGRESS")
    assert [status for status in kind.statuses if kind.succeeded(status)] == ["PARTIAL_SUCCESS", "SUCCEEDED"]
    assert {status: kind.phase(status) for status in kind.statuses} == {
        "IN_QUEUE": Phase.OPEN, "IN_PROGRESS": Phase.OPEN, "PARTIAL_SUCCESS": Phase.PROVISIONAL,
        "SUCCEEDED": Phase.TERMINAL, "FAILED": Phase.TERMINAL, "STOPPED": Phase.TERMINAL,
    }  # fmt: skip


def test_the_default_kind_is_the_speaker_search() -> None:
    """A message that names no kind was always about a speaker search."""
    assert CATALOG.default is SPEAKER_SEARCH
    assert CATALOG.get("no-such-kind") is None


def test_an_undeclared_status_is_open() -> None:
    """A known status in another case is undeclared: the API's statuses are case-sensitive."""
    assert [SPEAKER_SEARCH.phase(s) for s in ("succeeded", "", "REVIEWING")] == [Phase.OPEN] * 3
    assert not SPEAKER_SEARCH.succeeded("succeeded")


def test_a_kind_with_one_open_status_has_no_running_status() -> None:
    """The first status is then the only one that can be waited in."""
    text = PIPELINE.replace("  NotStarted: open\n  Initializing: open\n", "")
    (kind,) = read_kinds({"k.yaml": text})
    assert (kind.first_status, kind.running_status) == ("InProgress", None)


def test_the_group_of_a_task_is_all_params_but_its_own_id(pipeline: Kind) -> None:
    """Permissions are granted on what contains the task; a kind without such params has one group."""
    single = replace(pipeline, params=pipeline.params[-1:])
    assert SPEAKER_SEARCH.group(TaskRef("speaker-search", ("vc1", "t1"))) == "vc1"
    assert single.group(TaskRef("call-analytics", ("t1",))) == "call-analytics"


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
def test_a_result_is_read_from_the_task(details, result) -> None:
    """None while there is neither a list of matches nor a voiceprint."""
    assert SPEAKER_SEARCH.results.read({"SpeakerSearchDetails": details}) == result


@pytest.mark.parametrize(
    "details",
    [
        [], "x", 5, {"Results": {}}, {"Results": "x"}, {"Results": [5]}, {"Results": [None]},
        {"VoiceprintGenerationStatus": 5}, {"Results": [{"VoiceProfileId": 5}]}, {"Results": [{"ConfidenceScore": "0.9"}]},
        {"Results": [{"ConfidenceScore": True}]}, {"Results": [{"ConfidenceScore": float("nan")}]},
        {"Results": [{"ConfidenceScore": float("inf")}]}, {"Results": [{"ConfidenceScore": 10**400}]},
    ],
)  # fmt: skip
def test_a_result_with_a_member_of_another_type_is_refused(details) -> None:
    """With a ValueError that names the member, and repeats nothing of its value."""
    with pytest.raises(ValueError, match=r"^SpeakerSearchDetails[A-Za-z.*\[\]]* is not (an object|a list|a string|a number)$"):
        SPEAKER_SEARCH.results.read({"SpeakerSearchDetails": details})


profiles = st.none() | st.text(max_size=8)
scores = st.none() | st.floats(0, 1) | st.integers(0, 1)
matches = st.lists(
    st.fixed_dictionaries({}, optional={"VoiceProfileId": profiles, "ConfidenceScore": scores, "More": st.text()}), max_size=5
)
voiceprints = st.none() | st.sampled_from(["", "VoiceprintGenerationSuccess", "VoiceprintGenerationFailure"]) | st.text(max_size=8)


@given(st.none() | st.fixed_dictionaries({}, optional={"Results": st.none() | matches, "VoiceprintGenerationStatus": voiceprints}))
def test_results_leave_in_the_documented_format(details) -> None:
    """For every valid reply, `full`, `hashed`, `count` and `none` are byte for byte what docs/events.md promises."""
    result = SPEAKER_SEARCH.results.read({"SpeakerSearchDetails": details})
    expected = None
    if details and (details.get("VoiceprintGenerationStatus") or details.get("Results") is not None):
        pairs = [(entry.get("VoiceProfileId"), entry.get("ConfidenceScore")) for entry in details.get("Results") or []]
        expected = {
            "voiceprint": details.get("VoiceprintGenerationStatus") or None,
            "matches": [{"voice_profile_id": profile, "confidence": score} for profile, score in pairs],
        }
    hashed = expected and {
        "voiceprint": expected["voiceprint"],
        "matches": [{"voice_profile_id": profile and digest(profile), "confidence": score} for profile, score in pairs],
    }
    counted = expected and {"voiceprint": expected["voiceprint"], "match_count": len(pairs)}
    before = json.dumps(result)
    for mode, promised in (("full", expected), ("hashed", hashed), ("count", counted), ("none", None)):
        assert json.dumps(SPEAKER_SEARCH.redact(result, mode, digest)) == json.dumps(promised)
    assert json.dumps(result) == before
    assert SPEAKER_SEARCH.settled(result) == bool(expected and expected["voiceprint"])


@pytest.mark.parametrize("word", ["VoiceprintGenerationSuccess", "VoiceprintGenerationSuccessful", "VoiceprintGenerationFailure"])
def test_a_search_is_settled_when_its_voiceprint_has_succeeded_or_failed(word) -> None:
    """In each of the words that AWS's texts use; matches alone settle nothing."""
    assert SPEAKER_SEARCH.settled(found("p", voiceprint=word))
    assert not SPEAKER_SEARCH.settled(found("p"))
    assert not SPEAKER_SEARCH.settled(None)


@pytest.mark.parametrize("output", [None, {}, {"Name": None}, "no object"])
def test_an_object_of_nulls_is_no_result(pipeline: Kind, output) -> None:
    """While a task has nothing to show, its events have the result null."""
    assert pipeline.results.read({"Output": output}) is None
    assert pipeline.results.read({"Output": {"Name": "x"}}) == {"name": "x", "parts": None}


def test_a_result_must_be_an_object() -> None:
    """An expression that finds something else makes the reply unreadable."""
    (kind,) = read_kinds({"k.yaml": PIPELINE.replace("'{name: Output.Name, parts: Output.Parts}'", "Output.Name")})
    with pytest.raises(ValueError, match="the result is not an object"):
        kind.results.read({"Output": {"Name": "canary"}})


@pytest.mark.parametrize("mode", ["hashed", "count"])
def test_a_kind_that_does_not_declare_what_is_private_shows_nothing(pipeline: Kind, mode) -> None:
    """Where results are to be reduced and the kind does not say how, none of it leaves."""
    watch = watch_of(TaskRef("call-analytics", ("p-1", "t1")))
    step = advance(pipeline, watch, seen("Stopped", result={"name": "canary"}), WatchSettings())
    event = EventWriter(EventSettings(results=mode)).write(pipeline, step.watch, step.transitions[0], NOW)
    assert json.loads(event.body)["data"]["result"] is None


@pytest.mark.parametrize(
    ("more", "hashed", "counted"),
    [
        ("private: [name, 'parts[*].id']", {"name": "digest of n", "parts": [{"id": "digest of 7"}, {"id": ""}, 5]},
         {"name": None, "parts": [{"id": None}, {"id": None}, 5]}),
        ("private: [name]\ncount: '{parts: length(parts)}'", {"name": "digest of n", "parts": [{"id": 7}, {"id": ""}, 5]}, {"parts": 3}),
        ("private: [parts, missing.id]", {"name": "n", "parts": 'digest of [{"id":7},{"id":""},5]'}, {"name": "n", "parts": None}),
        ("private: []", {"name": "n", "parts": [{"id": 7}, {"id": ""}, 5]}, {"name": "n", "parts": [{"id": 7}, {"id": ""}, 5]}),
        ("private: [name]\ncount: 'length(name.x)'", {"name": "digest of n", "parts": [{"id": 7}, {"id": ""}, 5]}, None),
    ],
)  # fmt: skip
def test_private_values_are_hashed_or_hidden(more, hashed, counted) -> None:
    """`hashed` shows a digest of each (of its JSON, if it is no string); `count` what the kind says, else null for each; an expression
    that fails shows nothing."""
    (kind,) = read_kinds({"k.yaml": PIPELINE + more})
    result = {"name": "n", "parts": [{"id": 7}, {"id": ""}, 5]}
    assert kind.redact(result, "hashed", digest) == hashed
    assert kind.redact(result, "count", digest) == counted
    assert kind.redact(result, "full", digest) is result


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "call-analytics", "pipeline_id": "p-1", "analytics_task_id": "t1"},
        {"PipelineId": "p-1", "AnalyticsTaskId": "t1"},
        {"AnalyticsTask": {"AnalyticsTaskId": "t1", "AnalyticsTaskStatus": "NotStarted", "Call": {"PipelineId": "p-1"}}},
    ],
)
def test_messages_name_tasks_of_a_third_kind(catalog: Catalog, message) -> None:
    """Each form of message does, with nothing but the kind in the catalog."""
    body = json.dumps(message).encode()
    (submission,) = submissions.read(body, catalog, now=NOW)
    assert isinstance(submission, Submission)
    assert submission.ref == TaskRef("call-analytics", ("p-1", "t1"))


def test_a_third_kind_has_keys_of_its_own(catalog: Catalog) -> None:
    """As a person types them."""
    (submission,) = submissions.read(b"call-analytics/p-1/t1", catalog, now=NOW, plain=True)
    assert submission.ref == TaskRef("call-analytics", ("p-1", "t1"))


def test_a_task_of_a_third_kind_is_watched_in_its_own_words(pipeline: Kind) -> None:
    """From the first sight to the end, with its own params, skipped statuses and failure."""
    watch, bodies = watch_of(TaskRef("call-analytics", ("p-1", "t1"))), []
    writer = EventWriter(EventSettings(), "eu-central-1")
    for n, status in enumerate(["Initializing", "Stopping", "InProgress", "Failed"], 1):
        step = advance(pipeline, watch, seen(status, n, result={"name": "x"} if status == "Failed" else None), WatchSettings())
        watch = step.watch
        bodies += [json.loads(writer.write(pipeline, watch, transition, NOW).body) for transition in step.transitions]
    assert [(b["data"]["from"], b["data"]["to"], b["data"]["skipped"], b["data"]["terminal"]) for b in bodies] == [
        (None, "Initializing", ["NotStarted"], False),
        ("Initializing", "Stopping", [], False),
        ("Stopping", "Failed", [], True),
    ]
    assert bodies[0]["data"]["task"]["params"] == {"PipelineId": "p-1", "AnalyticsTaskId": "t1"}
    assert bodies[0]["source"] == "/watcher/call-analytics/eu-central-1/p-1/t1"
    assert bodies[0]["subject"] == "call-analytics/p-1/t1"


def test_a_task_expires_by_the_retention_of_its_kind(pipeline: Kind) -> None:
    """Not found and older than the service keeps it means expired."""
    old = watch_of(TaskRef("call-analytics", ("p-1", "t1")))._replace(created_at=NOW - 86_401)
    assert on_poll_error(pipeline, old, NotFound("404"), NOW, WatchSettings(), mono=0.0).reason == "expired"
