"""Transitions as CloudEvents."""

import json
import re
from dataclasses import replace

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.core.facts import NOW, found, watch_of
from watcher.core.delivery.events import MAX_MESSAGE, EventSettings, EventWriter, event_id, event_of, iso, trace_of
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType, TaskRef, Transition

KIND = builtin_catalog()["speaker-search"]
REF = TaskRef("speaker-search", ("abc123", "2f6f"))
WATCH = watch_of(
    REF, status="SUCCEEDED", polls=3, created_at=NOW - 12, started_at=NOW - 11.5, updated_at=NOW - 0.42, context='{"call":"c-42"}'
)
PROFILE, SCORE, MESSAGE = "canary-profile-7f", 0.8125, "canary caller +15550100 matched canary-profile-7f"
RESULT = {"voiceprint": "VoiceprintGenerationSuccess", "matches": [{"voice_profile_id": PROFILE, "confidence": SCORE}]}
CHANGED = Transition(
    EventType.TRANSITION, 2, "IN_QUEUE", "SUCCEEDED", NOW, terminal=True, skipped=("IN_PROGRESS",), result=RESULT, message=MESSAGE
)
ENDED = Transition(EventType.ENDED, 3, "IN_PROGRESS", None, NOW, terminal=True, reason="deadline")
UPDATED = Transition(EventType.UPDATED, 2, "IN_PROGRESS", "IN_PROGRESS", NOW, result=found("p"))


def written(transition=CHANGED, watch=WATCH, region="us-east-1", **settings):
    return EventWriter(EventSettings(**settings), region).write(KIND, watch, transition, NOW + 0.5)


def body(*args, **settings):
    return json.loads(written(*args, **settings).body)


def test_the_trace_context_is_two_more_attributes():
    """A watch with a trace context has it in its events, before the data; without one, they are not there."""
    parent, state = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "congo=t61rcWkgMzE,rojo=1"
    plain = written()
    for trace, added in ((parent, {"traceparent": parent}), (f"{parent} {state}", {"traceparent": parent, "tracestate": state})):
        event = written(watch=WATCH._replace(trace=trace))
        assert {name: value for name, value in json.loads(event.body).items() if name not in body()} == added
        assert trace_of(event) == trace
        text = json.dumps(added, separators=(",", ":"))[1:-1] + ","
        assert event.body.replace(text.encode(), b"") == plain.body
        assert JSONFormat().read(CloudEvent, event.body).get_extension("traceparent") == parent
    assert trace_of(plain) is None
    inside = written(watch=WATCH._replace(context=json.dumps({"traceparent": parent})))
    assert trace_of(inside) is None


def test_the_envelope_is_as_documented() -> None:
    """Every member of a transition event, in its order."""
    assert body() == {
        "specversion": "1.0",
        "id": event_id(REF.key, WATCH.id, 2),
        "source": "/watcher/speaker-search/us-east-1/abc123/2f6f",
        "type": "watcher.task.transition.v1",
        "subject": "speaker-search/abc123/2f6f",
        "time": "2026-09-21T14:13:19.580Z",
        "datacontenttype": "application/json",
        "sequence": "0000000002",
        "partitionkey": "speaker-search/abc123/2f6f",
        "data": {
            "task": {
                "key": "speaker-search/abc123/2f6f",
                "kind": "speaker-search",
                "target": "default",
                "params": {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "2f6f"},
            },
            "from": "IN_QUEUE",
            "to": "SUCCEEDED",
            "terminal": True,
            "succeeded": True,
            "skipped": ["IN_PROGRESS"],
            "observed_at": "2026-09-21T14:13:20.000Z",
            "observed_from": "poll",
            "updated_at": "2026-09-21T14:13:19.580Z",
            "created_at": "2026-09-21T14:13:08.000Z",
            "started_at": "2026-09-21T14:13:08.500Z",
            "detection_lag_s": 0.42,
            "polls": 3,
            "result": RESULT,
            "message": MESSAGE,
            "context": {"call": "c-42"},
        },
    }
    event = written()
    assert (event.key, event.kind, event.type, event.to, event.terminal, event.at, event.position) == (
        REF.key, "speaker-search", "watcher.task.transition.v1", "SUCCEEDED", True, NOW + 0.5, 0,
    )  # fmt: skip


def test_the_event_of_an_ended_watch_has_the_reason() -> None:
    """It has no new status and no lag, and its time is when the watch ended."""
    data = body(ENDED)["data"]
    assert (data["from"], data["to"], data["terminal"], data["reason"], data["detection_lag_s"]) == (
        "IN_PROGRESS", None, True, "deadline", None,
    )  # fmt: skip
    assert body(ENDED)["time"] == data["observed_at"]
    assert "reason" not in body()["data"]


def test_an_update_has_the_same_status_twice() -> None:
    """`from` and `to` are equal, and `terminal` is false."""
    event = body(UPDATED)
    assert event["type"] == "watcher.task.updated.v1"
    assert (event["data"]["from"], event["data"]["to"], event["data"]["terminal"]) == ("IN_PROGRESS", "IN_PROGRESS", False)


def test_without_a_time_of_the_service_an_event_has_the_time_of_observation() -> None:
    """And its lag is null."""
    event = body(watch=WATCH._replace(updated_at=None))
    assert event["time"] == event["data"]["observed_at"]
    assert event["data"]["updated_at"] is event["data"]["detection_lag_s"] is None


def test_a_lag_is_never_negative() -> None:
    """A change that the service dates after our observation has a lag of 0."""
    assert body(watch=WATCH._replace(updated_at=NOW + 3))["data"]["detection_lag_s"] == 0


@pytest.mark.parametrize(
    ("ref", "key", "source"),
    [
        (
            TaskRef("speaker-search", ("a/b", "c d?é")),
            "speaker-search/a%2Fb/c%20d%3F%C3%A9",
            "/watcher/speaker-search/r/a%2Fb/c%20d%3F%C3%A9",
        ),
        (TaskRef("speaker-search", ("vc", "t~-_.1")), "speaker-search/vc/t~-_.1", "/watcher/speaker-search/r/vc/t~-_.1"),
        (TaskRef("speaker-search", ("vc", "t"), target="eu prod"), "eu%20prod/speaker-search/vc/t", "/watcher/speaker-search/r/vc/t"),
    ],
)
def test_keys_are_percent_encoded_and_begin_with_a_target_that_is_not_the_default(ref, key, source) -> None:
    """Each part is encoded separately, so no identifier can look like a path."""
    event = body(watch=WATCH._replace(ref=ref), region="r")
    assert event["subject"] == event["partitionkey"] == event["data"]["task"]["key"] == key
    assert event["source"] == source
    assert event["data"]["task"]["target"] == ref.target


def test_an_event_id_never_changes() -> None:
    """Consumers drop repeats by it across restarts and releases, so this literal must never change."""
    assert event_id("speaker-search/abc123/2f6f", "0" * 32, 2) == "52a1b93b2e6ab9e9150f6c80a263abe5"


@given(st.tuples(st.text(), st.text(), st.integers(1, 99)), st.tuples(st.text(), st.text(), st.integers(1, 99)))
def test_different_events_have_different_ids(one, other) -> None:
    """The id depends on the key, the watch and the sequence number."""
    ids = [event_id(key.replace("\n", ""), watch.replace("\n", ""), n) for key, watch, n in (one, other)]
    same = [(key.replace("\n", ""), watch.replace("\n", ""), n) for key, watch, n in (one, other)]
    assert (ids[0] == ids[1]) == (same[0] == same[1])
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in ids)


@given(st.text(max_size=5000), st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)), st.floats(0, 4e9))
def test_rendering_an_event_twice_gives_the_same_bytes(message, context, at) -> None:
    """For any content; and the bytes are ASCII, so no sink has to choose an encoding."""
    watch = WATCH._replace(context=json.dumps(context), updated_at=at)
    one, other = (written(replace(CHANGED, message=message), watch) for _ in range(2))
    assert one == other
    assert one.body.isascii()
    assert json.loads(one.body)["data"]["context"] == context


@pytest.mark.parametrize(
    ("transition", "succeeded"),
    [
        (CHANGED, True),
        (replace(CHANGED, after="FAILED"), False),
        (replace(UPDATED, after="PARTIAL_SUCCESS", terminal=True), True),
        (replace(CHANGED, after="IN_PROGRESS", terminal=False), None),
        (ENDED, None),
    ],
)
def test_the_last_event_says_whether_the_task_succeeded(transition, succeeded) -> None:
    """A final partial success counts; before the end, and where the watch ended without a status, nothing is known."""
    assert body(transition)["data"]["succeeded"] is succeeded


@pytest.mark.parametrize("transition", [CHANGED, ENDED, UPDATED], ids=lambda transition: transition.type.name)
def test_an_event_is_a_cloudevent(transition) -> None:
    """The CloudEvents SDK accepts it as 1.0 and finds each attribute."""
    event = written(transition)
    read = JSONFormat().read(CloudEvent, event.body)
    assert (read.get_specversion(), read.get_id(), read.get_type(), read.get_subject()) == ("1.0", event.id, event.type, event.key)
    assert read.get_source() == "/watcher/speaker-search/us-east-1/abc123/2f6f"
    assert read.get_datacontenttype() == "application/json"
    assert (read.get_extension("sequence"), read.get_extension("partitionkey")) == (f"{transition.sequence:010d}", event.key)
    time = read.get_time()
    assert time is not None
    assert time.timestamp() == pytest.approx(NOW if transition is ENDED else NOW - 0.42, abs=0.001)
    assert read.get_data() == json.loads(event.body)["data"]


@pytest.mark.parametrize(
    ("results", "result"),
    [
        ("full", RESULT),
        ("count", {"voiceprint": "VoiceprintGenerationSuccess", "match_count": 1}),
        ("none", None),
    ],
)
def test_an_event_carries_as_much_of_a_result_as_is_configured(results, result) -> None:
    """All of it, how many matched, or nothing."""
    assert body(results=results)["data"]["result"] == result


@pytest.mark.parametrize(
    ("results", "absent"),
    [
        ("hashed", [PROFILE, MESSAGE, "+15550100"]),
        ("count", [PROFILE, MESSAGE, "+15550100", str(SCORE)]),
        ("none", [PROFILE, MESSAGE, "+15550100", str(SCORE), "Voiceprint"]),
    ],
)
def test_an_event_has_no_trace_of_what_is_hidden(results, absent) -> None:
    """Neither the profile, nor the score, nor the service's text, which may name either."""
    text = written(results=results).body.decode()
    assert [canary for canary in absent if canary in text] == []
    assert all(canary in written().body.decode() for canary in absent)


def test_hashed_profiles_can_be_compared_and_not_guessed() -> None:
    """Equal profiles have equal digests and different ones do not; with a key, a guess cannot be tested without it."""
    transition = replace(
        CHANGED, result={"voiceprint": None, "matches": [{"voice_profile_id": p, "confidence": SCORE} for p in ("p", "q", "p", None)]}
    )
    digests = {
        key: [match["voice_profile_id"] for match in body(transition, results="hashed", hash_key=key)["data"]["result"]["matches"]]
        for key in (None, "k" * 16, "l" * 16)
    }
    for p, q, again, nobody in digests.values():
        assert p == again != q
        assert nobody is None
    assert len({found_[0] for found_ in digests.values()}) == 3
    assert digests[None][0].startswith("sha256:")
    assert digests["k" * 16][0].startswith("hmac-sha256:")


def test_a_hash_key_is_long_and_never_printed() -> None:
    """A short key is a mistake; the text of the settings does not contain the key."""
    with pytest.raises(ValidationError):
        EventSettings(hash_key="short")
    assert "canary-key" not in repr(EventSettings(hash_key="canary-key-0123456789"))


def test_a_message_is_cut_and_made_valid_utf8() -> None:
    """So that an event always fits a queue's message and can always be encoded."""
    assert body(replace(CHANGED, message="x" * 100_000))["data"]["message"] == "x" * MAX_MESSAGE
    assert body(replace(CHANGED, message="a\ud800b"))["data"]["message"] == "a?b"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0.0, "1970-01-01T00:00:00.000Z"), (NOW + 0.0009, "2026-09-21T14:13:20.000Z"), (NOW + 0.5, "2026-09-21T14:13:20.500Z")],
)
def test_times_are_rfc_3339_to_the_millisecond(seconds, text) -> None:
    """In UTC, always with three digits after the second."""
    assert iso(seconds) == text


@pytest.mark.parametrize("transition", [CHANGED, ENDED, UPDATED], ids=lambda transition: transition.type.name)
@pytest.mark.parametrize("target", ["default", "eu"])
def test_an_event_can_be_restored_from_its_body(transition, target) -> None:
    """With all that a sink reads of it, and the same bytes; its time is that of the observation."""
    event = written(transition, WATCH._replace(ref=replace(REF, target=target)))
    assert event_of(event.body, 7, 3) == replace(event, position=7, shard=3, at=NOW)
