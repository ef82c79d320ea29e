"""The pages about messages are true: their examples are read as the pages say, and their patterns match real events."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator
from moto.events.models import EventPattern

from tests.core.test_submissions import ACCEPTED, IGNORED, MESSAGES
from tests.pages import ROOT, blocks, first_column
from watcher.core.intake.envelopes import MAX_LAYERS
from watcher.core.intake.json_stream import JsonStream
from watcher.core.intake.message_schema import message_schema
from watcher.core.intake.submissions import MAX_BATCH, parse_ref, read
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Ignored, Scope, Submission, TaskRef

PAGE, FEEDING, README = ROOT / "docs" / "messages.md", ROOT / "docs" / "feeding.md", ROOT / "README.md"
CATALOG = builtin_catalog()
VALIDATOR = Draft202012Validator(message_schema(CATALOG, ["eu"]))
SCOPES = {"default": Scope("us-east-1"), "eu": Scope("eu-central-1", "444455556666")}
VOICE = [kind for kind in CATALOG if kind.service == CATALOG.default.service]
NOW = 1_795_341_605.0
"""2026-11-22T10:00:05Z, five seconds after the replies on the page."""
EXAMPLES = re.findall(r"<!-- accepted -->\n+```(json|text)\n(.*?)\n```", PAGE.read_text(), re.DOTALL)
CONNECTOR = "abcdefghij0123456789a"


def test_each_json_block_is_an_example() -> None:
    """The tests below see every message of the page."""
    assert len([language for language, _ in EXAMPLES if language == "json"]) == len(blocks(PAGE, "json"))


@pytest.mark.parametrize("text", [text for _, text in EXAMPLES])
def test_each_example_is_accepted_and_fits_the_schema(text: str) -> None:
    """By the watcher, as the body of an SQS message; by the schema that it prints; and in a file."""
    outcomes = read(text.encode(), CATALOG, now=NOW, scopes=SCOPES)
    assert outcomes
    for each in outcomes:
        assert isinstance(each, Submission)
        assert CATALOG[each.ref.kind] not in VOICE or each.ref.params[0] == CONNECTOR
    VALIDATOR.validate(json.loads(text) if text[0] in '{["' else text)
    stream = JsonStream()
    found = [body for line in text.encode().split(b"\n") for _, body in stream.add(line)]
    assert [read(body, CATALOG, now=NOW, scopes=SCOPES, plain=True) for body in found] == [outcomes]


def test_the_replies_of_the_page_are_observations() -> None:
    """The status in each reply is one that the watcher uses; the other forms have none."""
    observed = [text for _, text in EXAMPLES for each in read(text.encode(), CATALOG, now=NOW, scopes=SCOPES) if each.observation]  # type: ignore[union-attr]
    assert len(observed) == 4
    assert all("QUEUE" in text for text in observed)


def test_the_example_of_a_file_has_three_messages() -> None:
    """Each names a task."""
    (text,) = (text for text in blocks(PAGE, "text") if "# searches" in text)
    stream = JsonStream()
    found = [body for line in text.encode().rstrip(b"\n").split(b"\n") for _, body in stream.add(line)]
    assert [isinstance(read(body, CATALOG, now=NOW)[0], Submission) for body in found] == [True] * 3


def test_each_identifier_of_each_kind_is_explained() -> None:
    """The table of members has the names of the voice kinds, and of all other members; docs/kinds.md has those of the other kinds."""
    explained = {name for row in first_column(PAGE, "## Our own form") for name in row}
    assert {param.field for kind in VOICE for param in kind.params} <= explained
    assert {
        "kind",
        "context",
        "deadline_s",
        "deadline_at",
        "traceparent",
        "tracestate",
        "region",
        "target",
        "task_token",
        "version",
        "schema_version",
    } <= explained


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    """Tasks in a list, and envelopes."""
    text = " ".join(PAGE.read_text().split())
    assert f"up to {MAX_BATCH} tasks" in text
    assert {5: "inside at most five envelopes"}[MAX_LAYERS] in text


def sections(name: str) -> list[str]:
    """The JSON blocks of docs/feeding.md under a comment of this name."""
    return re.findall(rf"<!-- {name} -->\n+```json\n(.*?)\n```", FEEDING.read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["rule pattern", "queue policy"])
def test_the_readme_and_the_page_about_feeds_agree(name: str) -> None:
    """What the README offers to paste is what docs/feeding.md explains."""
    (short,) = re.findall(rf"<!-- {name} -->\n+```json\n(.*?)\n```", README.read_text(), re.DOTALL)
    (text,) = sections(name)
    assert json.loads(short) == json.loads(text)


def events(*names: str) -> list[dict[str, object]]:
    return [json.loads((MESSAGES / name).read_text()) for name in names]


def test_the_rule_matches_the_calls_that_start_tasks() -> None:
    """Of every voice kind; no record of another call, and no notification."""
    (text,) = sections("rule pattern")
    pattern = EventPattern.load(text)
    (started,) = events("accepted/cloudtrail.json")
    others = events("ignored/cloudtrail-get.json", "ignored/cloudtrail-meeting.json", "ignored/voice-analytics-status.json")
    for kind in VOICE:
        assert kind.start is not None
        event = {**started, "detail": {**started["detail"], "eventName": kind.start.event_name}}  # type: ignore[dict-item]
        assert pattern.matches_event(event)
    assert not any(pattern.matches_event(event) for event in others)


def test_what_the_rule_delivers_is_a_submission() -> None:
    """The record of a successful call is a task, and that of a failed one is ignored."""
    (text,) = sections("rule pattern")
    delivered = [path for path in (*ACCEPTED, *IGNORED) if path.suffix == ".json" and path.name.startswith("cloudtrail")]
    matched = [path for path in delivered if EventPattern.load(text).matches_event(json.loads(path.read_text()))]
    assert {path.parent.name for path in matched} == {"accepted", "ignored"}
    for path in matched:
        (outcome,) = read(path.read_bytes(), CATALOG, now=NOW, scopes=SCOPES)
        assert isinstance(outcome, Submission if path.parent.name == "accepted" else Ignored)


def test_the_second_rule_matches_the_notifications() -> None:
    """Of every voice kind, and no record of a call; what it delivers starts a watch with the configuration beside it."""
    (text,) = sections("notification pattern")
    pattern = EventPattern.load(text)
    detail = {"voiceConnectorId": CONNECTOR, "taskId": "t-1", "detailStatus": "IdentificationSuccessful"}
    for kind in VOICE:
        assert kind.notifications is not None
        for type_ in kind.notifications.detail_types:
            event = {"detail-type": type_, "source": kind.notifications.source, "region": "us-east-1", "detail": detail}
            assert pattern.matches_event(event)
            found = read(json.dumps(event).encode(), CATALOG, now=NOW, scopes=SCOPES, watch_notified=True)
            assert found == [Submission(TaskRef(kind.name, (CONNECTOR, "t-1")), poll_now=True)]
    assert not any(pattern.matches_event(event) for event in events("accepted/cloudtrail.json", "ignored/cloudtrail-get.json"))


def test_the_rules_of_other_services_name_what_their_kinds_declare() -> None:
    """The call that starts a task, and the notifications: what the rules deliver is about a kind."""
    (text,) = sections("rule pattern of another service")
    rule = json.loads(text)
    kinds = {kind.start.event_name: kind for kind in CATALOG if kind.start is not None and kind.start.source in rule["source"]}
    assert list(kinds) == rule["detail"]["eventName"]
    declared = [(kind.notifications.source, kind.notifications.detail_types) for kind in CATALOG if kind.notifications is not None]
    patterns = [json.loads(text) for text in sections("notification pattern of another service")]
    assert [(pattern["source"][0], tuple(pattern["detail-type"])) in declared for pattern in patterns] == [True, True]


def test_the_queue_policy_lets_only_the_two_rules_send() -> None:
    """It names the queue of the configuration, and both rules by the names that the page gives them."""
    (text,) = sections("queue policy")
    (statement,) = json.loads(text)["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    page = FEEDING.read_text()
    region, account, name = statement["Resource"].removeprefix("arn:aws:sqs:").split(":")
    assert f"https://sqs.{region}.amazonaws.com/{account}/{name}" in page
    rules = statement["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert [rule.partition("rule/")[2] for rule in rules] == ["speaker-search-started", "speaker-search-changed"]
    assert f"put-targets --rule speaker-search-started --targets Id=watcher,Arn={statement['Resource']}" in page


def test_the_references_of_the_readme_are_references() -> None:
    """The tasks that `watcher submit` gets there: one by its key, and one by its ARN."""
    tasks = re.findall(r"watcher submit (\S+/\S+)", README.read_text())
    assert [parse_ref(task, CATALOG).kind for task in tasks] == ["speaker-search", "batch-job"]
