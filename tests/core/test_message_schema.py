"""The JSON Schema of messages agrees with the reader: what it accepts is accepted, and what it rejects is rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.core.example_tasks import example_arn, example_ids
from watcher.core.intake.message_schema import message_schema
from watcher.core.intake.submissions import good_message, read
from watcher.core.intake.task_objects import spellings
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.kinds.kind import Kind
from watcher.model import Scope

CATALOG = builtin_catalog()
VOICE = Catalog([kind for kind in CATALOG if kind.service == CATALOG.default.service], CATALOG.default.name)
SCHEMA = message_schema(CATALOG, ["eu"])
VALIDATOR = Draft202012Validator(SCHEMA)
OF_VOICE = Draft202012Validator(message_schema(VOICE))
SCOPES = {"default": Scope("us-east-1"), "eu": Scope("eu-central-1", "111122223333")}
NOW = 1_790_000_000.0
MESSAGES = Path(__file__).parent.parent / "data" / "messages"
VALID = sorted([*(MESSAGES / "accepted").iterdir(), *(MESSAGES / "ignored").iterdir()])
BEYOND = {
    *("field.deadline-past", "field.deadline-twice", "field.id-twice", "field.cloudtrail-two-connectors", "field.cloudtrail-without-id"),
    *("scope.region", "scope.cloudtrail-of-another-region", "size.context", "encoding.data-base64"),
    *("depth.six-envelopes", "field.lambda-sqs", "parse.lambda-sqs", "empty.sns-message"),
    *("parse.sns-message", "duplicate_key", "duplicate_key.inside"),
    *("number.1e999", "number.5000-decimals", "number.infinity", "number.nan"),
    "id.notification",
}  # fmt: skip
"""Invalid messages whose fault the schema cannot say: in a text inside the message, or between two of its values."""


def invalid(message: Any, catalog: Catalog = CATALOG) -> list[InvalidInput]:
    found = read(json.dumps(message).encode(), catalog, now=NOW, scopes=SCOPES)
    return [each for each in found if isinstance(each, InvalidInput)]


def loaded(path: Path) -> Any:
    text = path.read_text("utf-8-sig")
    return json.loads(text) if text.lstrip()[:1] in ("{", "[", '"') else text.strip()


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    Draft202012Validator.check_schema(SCHEMA)
    json.dumps(SCHEMA, allow_nan=False)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_it_accepts_every_form(path: Path) -> None:
    """Each form that names a task, and each message that is known by name."""
    VALIDATOR.validate(loaded(path))


def rejected() -> list[Path]:
    found = []
    for path in sorted((MESSAGES / "rejected").iterdir()):
        try:
            json.loads(path.read_text("utf-8"))
        except (ValueError, RecursionError):
            continue
        if path.stem not in BEYOND:
            found.append(path)
    return found


@pytest.mark.parametrize("path", rejected(), ids=lambda path: path.stem)
def test_it_rejects_what_the_reader_rejects(path: Path) -> None:
    """As far as a schema can say what is wrong."""
    assert not VALIDATOR.is_valid(loaded(path))


@pytest.mark.parametrize("kind", CATALOG, ids=lambda kind: kind.name)
def test_it_accepts_the_good_message_of_each_kind(kind: Any) -> None:
    """That which the reasons show."""
    VALIDATOR.validate(json.loads(good_message(kind)))


def test_it_cannot_reject_the_others() -> None:
    """The list of these is no longer than it must be."""
    assert [name for name in BEYOND if not VALIDATOR.is_valid(loaded(MESSAGES / "rejected" / f"{name}.json"))] == []


ids = (
    st.sampled_from(["vc-1", "t_2", "a:b", "..", "a/b", " x", "", "x" * 300, "é"])
    | st.integers()
    | st.none()
    | st.lists(st.text(), max_size=1)
)
rest = {
    "context": st.none() | st.text(max_size=5),
    "deadline_s": st.none() | st.floats(-5, 1e9) | st.text(max_size=2) | st.booleans(),
    "version": st.sampled_from([1, "1", "1.0", 2, None, "2", [1]]),
    "target": st.sampled_from(["default", None, "other", 5]),
    "other": st.integers(),
}


@st.composite
def tasks(draw: st.DrawFn, catalog: Catalog = VOICE) -> dict[str, Any]:
    """Our own members, the members of a reply, or a reply, with each identifier under one of its names or none."""
    kind = draw(st.sampled_from(list(catalog)))
    named: dict[str, Any] = {}
    for param in kind.params:
        name = draw(st.sampled_from([*spellings(param), None]))
        if name is not None:
            named[name] = draw(ids | st.sampled_from(example_ids(kind)))
    form = draw(st.sampled_from(["own", "task", "reply", "lower reply"]))
    kinds = st.just(kind.name) | st.sampled_from([*catalog.kinds, "nope", 5, None])
    members = draw(st.fixed_dictionaries({}, optional={"kind": kinds, **rest}))
    if form == "own":
        return named | members
    own = {name: value for name, value in named.items() if name in spellings(kind.params[-1])}
    task = own | {"CallDetails": {name: value for name, value in named.items() if name not in own}}
    if form == "task":
        return task | members
    member = kind.reply.member or "Task"
    return {member if form == "reply" else member[:1].lower() + member[1:]: task} | members


@given(tasks())
def test_it_agrees_with_the_reader_about_any_task_of_the_voice_service(message: dict[str, Any]) -> None:
    """Whatever its members are. Without a kind, these kinds come first, so no other kind can be meant."""
    assert OF_VOICE.is_valid(message) == (not invalid(message, VOICE))


@settings(max_examples=40)
@given(tasks(CATALOG))
def test_it_agrees_with_the_reader_about_a_task_of_any_kind(message: dict[str, Any]) -> None:
    """But for a message that fits several kinds, and for one that a kind fits which the reader did not choose."""
    found, fits = invalid(message), VALIDATOR.is_valid(message)
    assert fits or found
    assert not fits or "kind" not in message or not found


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind.arn is not None], ids=lambda kind: kind.name)
def test_it_accepts_the_arn_of_a_task(kind: Kind) -> None:
    """As a text, and as a member under any name, alone and with the kind."""
    arn = example_arn(kind)
    for message in (arn, f"{kind.name}/{arn}", f"eu/{kind.name}/{arn}", {"arn": arn}, {"kind": kind.name, "taskArn": arn, "target": "eu"}):
        VALIDATOR.validate(message)
    assert not VALIDATOR.is_valid({"context": arn})
    assert not VALIDATOR.is_valid({"arn": arn, "target": "us"})


@pytest.mark.parametrize("kind", [kind for kind in CATALOG if kind.batch is not None], ids=lambda kind: kind.name)
def test_it_accepts_a_list_of_tasks(kind: Kind) -> None:
    """The reply of a call that describes many tasks, with at least one task."""
    assert kind.batch is not None
    *outer, own = zip(kind.params, example_ids(kind), strict=True)
    task = {kind.batch.id.text: own[1], **{param.name: value for param, value in outer}}
    VALIDATOR.validate({kind.batch.items.text: [task, task]})
    assert not VALIDATOR.is_valid({kind.batch.items.text: []})
    assert not VALIDATOR.is_valid({kind.batch.items.text: [task, {}]})


def test_a_record_is_not_the_result_of_a_state() -> None:
    """Its body is read as a message, so it must be a valid one."""
    task = {"SpeakerSearchTask": {"SpeakerSearchTaskId": "t-1", "CallDetails": {"VoiceConnectorId": "vc-1"}}}
    for body, valid in ((task, True), ({**task, "version": 2}, False)):
        message = {"Records": [{"eventSource": "aws:sqs", "body": body}]}
        assert OF_VOICE.is_valid(message) == valid
        assert isinstance(read(json.dumps(message).encode(), VOICE, now=NOW, scopes=SCOPES)[0], InvalidInput) != valid


def test_its_size_is_that_of_a_document() -> None:
    """Each pattern is in it once, not once for each name of an identifier."""
    assert len(json.dumps(SCHEMA)) < 10_000 * len(CATALOG)


@given(st.recursive(tasks(), lambda inner: st.lists(inner, max_size=2) | st.one_of(
    inner.map(lambda m: {"specversion": "1.0", "data": m}), inner.map(lambda m: {"detail-type": "t", "source": "my.app", "detail": m}),
    inner.map(lambda m: {"Records": [{"eventSource": "aws:sqs", "body": m}]}), inner.map(lambda m: {"input": m, "taskToken": "x"}),
), max_leaves=3))  # fmt: skip
def test_it_accepts_no_envelope_whose_content_is_invalid(message: Any) -> None:
    """As long as the content is JSON and not a text."""
    if OF_VOICE.is_valid(message):
        outcomes = read(json.dumps(message).encode(), VOICE, now=NOW, scopes=SCOPES)
        assert not [
            each for each in outcomes if isinstance(each, InvalidInput) and each.reason != "depth" and "list inside" not in each.detail
        ]
