"""The JSON Schema of events: it accepts every event that the writer renders, and rejects what no event can be."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.core.facts import NOW, REF, watch_of
from tests.test_events_doc import rendered, story
from watcher.core.delivery.event_examples import EXAMPLES
from watcher.core.delivery.event_schema import ADDED_LATER, NAMES, event_schema
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import end
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Kind
from watcher.model import EventType, TaskRef, Transition, Watch
from watcher.queries.explain import END_REASONS

CATALOG = builtin_catalog()
SCHEMA = event_schema(CATALOG)
FORMATS = Draft202012Validator.FORMAT_CHECKER
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)
MODES = ("full", "hashed", "count", "none")


def only(type_: EventType) -> Draft202012Validator:
    """The validator of one type alone."""
    return Draft202012Validator({"$ref": f"#/$defs/{NAMES[type_]}", "$defs": SCHEMA["$defs"]}, format_checker=FORMATS)


def seconds(time: str | None) -> float | None:
    return None if time is None else datetime.fromisoformat(time).timestamp()


def test_it_is_a_schema_in_which_every_reference_resolves() -> None:
    """It is valid in the draft that it names, and each `$ref` is one of its definitions."""
    Draft202012Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA, allow_nan=False)
    refs = {part.split('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
    assert refs == set(SCHEMA["$defs"])
    assert '"additionalProperties": false' not in text


@pytest.mark.parametrize("type_", EventType)
def test_the_example_of_each_type_is_what_the_writer_renders(type_: EventType) -> None:
    """The example in each schema is valid, and the event writer renders exactly it from the same facts."""
    example = EXAMPLES[type_]
    only(type_).validate(example)
    assert SCHEMA["$defs"][NAMES[type_]]["examples"] == [example]
    data = example["data"]
    times = {name: seconds(data[name]) for name in ("created_at", "started_at", "updated_at")}
    watch = watch_of(
        TaskRef("speaker-search", tuple(data["task"]["params"].values())),
        **times,
        id=("1" if type_ is EventType.ENDED else "0") * 32,
        polls=data["polls"],
        context=json.dumps(data["context"]),
    )
    transition = Transition(
        type_,
        int(example["sequence"]),
        data["from"],
        data["to"],
        seconds(data["observed_at"]) or 0,
        data["terminal"],
        reason=data.get("reason"),
        result=data["result"],
    )
    assert json.loads(EventWriter(EventSettings(), "us-east-1").write(CATALOG["speaker-search"], watch, transition, NOW).body) == example


@pytest.mark.parametrize("mode", MODES)
def test_it_accepts_the_events_of_the_page(mode: str) -> None:
    """The examples of docs/events.md are valid as a whole, under each setting of `events.results`."""
    steps, ended = story()
    for step in (*steps, ended):
        VALIDATOR.validate(json.loads(rendered(step, mode).body))


@pytest.mark.parametrize("reason", END_REASONS)
def test_it_accepts_each_end_of_a_watch(reason: str) -> None:
    """A watch that ends without a status has a valid event, whatever the reason, and also if it was never seen."""
    for status in (None, "IN_PROGRESS"):
        step = end(watch_of(status=status), reason, NOW)
        only(EventType.ENDED).validate(json.loads(rendered(step).body))


texts = st.text(max_size=20)
nullable_texts = st.none() | texts
times = st.floats(0, 4e9)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
matches = st.fixed_dictionaries(
    {}, optional={"VoiceProfileId": nullable_texts, "ConfidenceScore": st.none() | st.floats(0, 1) | st.just(1)}
)
details = st.fixed_dictionaries(
    {}, optional={"VoiceprintGenerationStatus": nullable_texts, "Results": st.none() | st.lists(matches, max_size=3)}
)
tasks = st.fixed_dictionaries({}, optional={"SpeakerSearchDetails": st.none() | details})
traces = st.sampled_from([None, f"00-{'1' * 32}-{'a' * 16}-01", f"00-{'1' * 32}-{'a' * 16}-00 a=1,b=2"])


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of any type and kind, with any result that a reply of the service can have, under any setting."""
    kind, type_ = draw(st.sampled_from(list(CATALOG))), draw(st.sampled_from(EventType))
    settings = EventSettings(results=draw(st.sampled_from(MODES)), hash_key=draw(st.sampled_from([None, "k" * 16])))
    event = EventWriter(settings, draw(st.sampled_from(["local", "us-east-1"]))).write(
        kind, draw(watches(kind)), draw(changes(kind, type_)), NOW
    )
    return dict(json.loads(event.body))


def watches(kind: Kind) -> st.SearchStrategy[Watch]:
    params = st.tuples(*(st.text(min_size=1, max_size=8) for _ in kind.params))
    return st.builds(
        watch_of,
        st.builds(TaskRef, st.just(kind.name), params, st.sampled_from(["default", "eu prod"])),
        polls=st.integers(0, 10**6),
        created_at=st.none() | times,
        started_at=st.none() | times,
        updated_at=st.none() | times,
        trace=traces,
        context=st.none() | json_values.map(json.dumps),
    )


def changes(kind: Kind, type_: EventType) -> st.SearchStrategy[Transition]:
    statuses = st.sampled_from([*kind.statuses, "A_NEW_STATUS"])
    ended, updated = type_ is EventType.ENDED, type_ is EventType.UPDATED
    return st.builds(
        Transition,
        st.just(type_),
        st.integers(1, 10**11),
        statuses if updated else st.none() | statuses,
        st.none() if ended else statuses,
        times,
        terminal=st.just(True) if ended else st.booleans(),
        skipped=st.just(()) if ended else st.lists(statuses, max_size=2).map(tuple),
        reason=st.sampled_from(sorted(END_REASONS)) if ended else st.none(),
        result=st.none() if ended else tasks.map(kind.results.read),
        message=nullable_texts,
        observed_from=st.sampled_from(["poll", "submission"]),
    )


@given(events())
def test_it_accepts_every_event(event: dict[str, Any]) -> None:
    """Whatever the kind, the type, the result, and the setting: the event has the schema of its own type, and of no other."""
    VALIDATOR.validate(event)
    assert [type_ for type_ in EventType if only(type_).is_valid(event)] == [EventType(event["type"])]


@given(events())
def test_it_accepts_members_of_later_versions_and_events_of_earlier_ones(event: dict[str, Any]) -> None:
    """Members may be added at every level, and a member that was added later may be missing."""
    for place in (event, event["data"], event["data"]["task"]):
        place["added"] = {"by": "a later version"}
    if event["data"]["result"] is not None:
        event["data"]["result"]["added"] = 1
    for name in ADDED_LATER:
        del event["data"][name]
    VALIDATOR.validate(event)


def example_with_result() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLES[EventType.TRANSITION])


@pytest.mark.parametrize("type_", EventType)
def test_it_rejects_an_event_without_a_member(type_: EventType) -> None:
    """Each member of the envelope, of the data, and of the task is required, except for those that were added later."""
    for place in ((), ("data",), ("data", "task")):
        for name in inside(EXAMPLES[type_], place):
            event = copy.deepcopy(EXAMPLES[type_])
            del inside(event, place)[name]
            assert VALIDATOR.is_valid(event) is (name in ADDED_LATER), name


def inside(value: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    for name in place:
        value = value[name]
    return value


@pytest.mark.parametrize("type_", EventType)
def test_it_rejects_a_member_of_another_type(type_: EventType) -> None:
    """No member but the context may be true or an array of numbers, unless that is its type."""
    for place in ((), ("data",), ("data", "task")):
        for name, value in inside(EXAMPLES[type_], place).items():
            for wrong in ([1], True):
                if name == "context" or (isinstance(value, type(wrong)) and value != []):
                    continue
                event = copy.deepcopy(EXAMPLES[type_])
                inside(event, place)[name] = wrong
                assert not VALIDATOR.is_valid(event), (name, wrong)


Change = Callable[[dict[str, Any]], Any]
FAULTS: dict[str, Change] = {
    "another version of CloudEvents": lambda event: event.update(specversion="0.3"),
    "another type": lambda event: event.update(type="watcher.task.transition.v2"),
    "an id that is no digest": lambda event: event.update(id="1"),
    "a sequence that does not sort": lambda event: event.update(sequence="2"),
    "a local time": lambda event: event.update(time="2026-01-05T10:00:07.120+01:00"),
    "a time without milliseconds": lambda event: event["data"].update(observed_at="2026-01-05T10:00:07Z"),
    "a tracestate alone": lambda event: event.update(tracestate="a=1"),
    "a negative lag": lambda event: event["data"].update(detection_lag_s=-1),
    "no status": lambda event: event["data"].update(to=None),
    "part of a poll": lambda event: event["data"].update(polls=1.5),
    "another kind's identifiers": lambda event: event["data"]["task"].update(kind="voice-tone"),
    "a result that is a text": lambda event: event["data"].update(result="found"),
    "a result without matches": lambda event: event["data"].update(result={"voiceprint": None}),
    "a match without a score": lambda event: event["data"]["result"]["matches"][0].pop("confidence"),
    "a score that is a text": lambda event: event["data"]["result"]["matches"][0].update(confidence="high"),
    "a count that is a text": lambda event: event["data"].update(result={"voiceprint": None, "match_count": "1"}),
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS)
def test_it_rejects_an_event_with_one_fault(change: Change) -> None:
    """One member that no event has, in an event that is valid otherwise."""
    event = example_with_result()
    VALIDATOR.validate(event)
    change(event)
    assert not VALIDATOR.is_valid(event)


def test_a_kind_without_results_has_none() -> None:
    """A result of a voice tone analysis is invalid, because its kind has no result."""
    kind = CATALOG["voice-tone"]
    watch = watch_of(TaskRef(kind.name, REF.params))
    event = json.loads(
        EventWriter(EventSettings()).write(kind, watch, Transition(EventType.TRANSITION, 1, None, "SUCCEEDED", NOW), NOW).body
    )
    VALIDATOR.validate(event)
    event["data"]["result"] = {"tone": "calm"}
    assert not VALIDATOR.is_valid(event)


def test_an_unknown_kind_is_valid() -> None:
    """A consumer with the schema of an earlier version accepts the events of a kind that was added later."""
    event = example_with_result()
    event["data"]["task"].update(kind="translation", params={"JobName": "j"})
    event["data"]["result"] = {"anything": [1]}
    VALIDATOR.validate(event)
