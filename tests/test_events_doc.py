"""docs/events.md: its examples, samples and filters do what the page says, and its tables are complete."""

import base64
import json
import re
from dataclasses import replace
from functools import cache

import pytest
from moto.events.models import EventPattern
from moto.sns.utils import FilterPolicyMatcher

from tests.pages import EVENTS, blocks, first_column, prose
from watcher.adapters.aws import batches
from watcher.adapters.sinks.webhook import signature_headers
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import WatchSettings, advance, end
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType, Observation, TaskRef, Watch
from watcher.queries.explain import END_REASONS

KIND = builtin_catalog()["speaker-search"]
HASH_KEY = "a key of your own, kept secret"
T0 = 1_795_341_600.0
"""2026-11-22T10:00:00Z."""


@cache
def story():
    """Return the steps of a task (in progress, a match, the voiceprint), and the end of a task by its deadline."""
    ref = TaskRef("speaker-search", ("abcdefghij0123456789a", "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"))
    watch = Watch(ref, "0" * 32, T0, T0 + 3600, context='{"call":"c-42"}')
    matches = [{"voice_profile_id": "v-0f1e2d3c", "confidence": 0.91}]
    with_voiceprint = {"voiceprint": "VoiceprintGenerationSuccess", "matches": matches}
    observations = [
        Observation("IN_PROGRESS", T0 + 2.25, created_at=T0, started_at=T0 + 1.5, updated_at=T0 + 1.5),
        Observation("PARTIAL_SUCCESS", T0 + 12.75, {"voiceprint": None, "matches": matches}, T0, T0 + 1.5, T0 + 12.345, "identified"),
        Observation("PARTIAL_SUCCESS", T0 + 32.5, with_voiceprint, T0, T0 + 1.5, T0 + 31.0, "identified"),
    ]
    steps = []
    for observation in observations:
        steps.append(advance(KIND, watch, observation, WatchSettings()))
        watch = steps[-1].watch
    return steps, end(steps[0].watch, "deadline", T0 + 3605)


def rendered(step, results="full", key=None):
    """Return the event of a step, as sinks receive it."""
    return EventWriter(EventSettings(results=results, hash_key=key), "us-east-1").write(KIND, step.watch, step.transitions[0], T0)


def examples():
    """Return the content of each generated block of events.md, by the name in the comment above it."""
    (seen, partial, settled), ended = story()
    shown = {
        "transition": json.loads(rendered(partial).body),
        "first": _shortened(seen),
        "updated": _shortened(settled),
        "ended": _shortened(ended),
    }
    privacy = {"full": ("full", None), "hashed": ("hashed", None), "hashed, with hash_key": ("hashed", HASH_KEY)}
    privacy |= {"count": ("count", None), "none": ("none", None)}
    shown["privacy"] = {
        name: {member: json.loads(rendered(partial, *how).body)["data"][member] for member in ("result", "message")}
        for name, how in privacy.items()
    }
    return {name: json.dumps(value, indent=2) for name, value in shown.items()}


def _shortened(step):
    event = json.loads(rendered(step).body)
    shown = ("from", "to", "terminal", "skipped", "observed_at", "updated_at", "detection_lag_s", "polls", "result", "reason")
    data = {name: event["data"][name] for name in shown if name in event["data"]}
    return {name: event[name] for name in ("type", "sequence", "time")} | {"data": {"...": "as above", **data}}


def test_the_examples_are_what_the_code_renders():
    """Each generated block of events.md is what the event writer renders."""
    marked = dict(re.findall(r"<!-- generated: (\w+) -->\n+```json\n(.*?)\n```", EVENTS.read_text(), re.DOTALL))
    assert marked == examples()


def test_the_examples_show_each_type():
    """The second observation is provisional, the third one settles the watch, and the deadline ends the other watch."""
    (_, partial, settled), ended = story()
    assert (partial.watch.open, settled.watch.end_reason, ended.watch.end_reason) == (True, "settled", "deadline")
    assert [step.transitions[0].type for step in (partial, settled, ended)] == list(EventType)


def test_each_member_of_an_event_is_explained():
    """The tables of events.md list exactly the attributes of the envelope and the members of the data."""
    (_, partial, _), ended = story()
    traced = replace(partial, watch=partial.watch._replace(trace=f"00-{'1' * 32}-{'1' * 16}-01 a=1"))
    envelope, data = (set(json.loads(rendered(traced).body)), json.loads(rendered(ended).body)["data"])
    assert {name for row in first_column(EVENTS, "## The envelope") for name in row} == envelope
    assert {name for row in first_column(EVENTS, "## The data") for name in row} == set(data)


def test_each_type_and_each_end_is_explained():
    """The tables of events.md list exactly the types of events and the reasons for which a watch ends."""
    assert [row[0] for row in first_column(EVENTS, "## Three types")] == [str(type_) for type_ in EventType]
    assert {row[0] for row in first_column(EVENTS, "### How a watch ends")} == set(END_REASONS)


def python_of_events():
    """Return the namespace that the Python blocks of events.md create."""
    namespace = {}
    for block in blocks(EVENTS, "python"):
        exec(compile(block, str(EVENTS), "exec"), namespace)
    return namespace


def test_the_receiver_of_the_page_verifies_what_the_watcher_signs():
    """The sample accepts an event signed with either of two keys, and rejects a changed, an old, an unsigned and a foreign one."""
    verify, event = python_of_events()["verify"], rendered(story()[0][1])
    new_key, old_key = b"k" * 32, b"o" * 32
    headers = dict(signature_headers(event, int(T0), [new_key, old_key]))
    new, old, foreign = (f"whsec_{encoded(key)}" for key in (new_key, old_key, b"x" * 32))
    assert verify(new, headers, event.body, now=T0 + 1)["id"] == event.id
    assert verify(old, headers, event.body, now=T0 + 1)["id"] == event.id
    bad = [(foreign, headers, event.body, T0), (new, headers, event.body + b" ", T0), (new, headers, event.body, T0 + 601)]
    bad.append((new, {**headers, "webhook-signature": ""}, event.body, T0))
    for secret, sent, body, now in bad:
        with pytest.raises(ValueError, match="webhook"):
            verify(secret, sent, body, now=now)


def encoded(key):
    """Return a key in base64, as in a secret."""
    return base64.b64encode(key).decode()


def test_the_consumer_of_the_page_ignores_repeated_and_older_events():
    """The sample applies each state once, never returns to an older one, and follows a new watch of the same task."""
    (seen, partial, settled), _ = story()
    again = replace(seen.transitions[0], observed_at=T0 + 100)
    one, two, three = (json.loads(rendered(step).body) for step in (seen, partial, settled))
    new_watch = json.loads(rendered(replace(seen, watch=seen.watch._replace(id="1" * 32), transitions=(again,))).body)
    applied = []
    consumer = python_of_events()["Consumer"](applied.append)
    for event in (two, one, two, one, three, three, new_watch, two):
        consumer.receive(event)
    assert applied == [two, three, new_watch]
    assert (new_watch["sequence"], new_watch["id"] != one["id"]) == ("0000000001", True)


def filters(name):
    """Return the JSON blocks under a comment of this name."""
    return [json.loads(text) for text in re.findall(rf"<!-- {name} -->\n+```json\n(.*?)\n```", EVENTS.read_text(), re.DOTALL)]


def test_filter_policies_match_what_the_page_says():
    """Each SNS policy matches the last event of the task and not its first one, by the attributes that the sink sends."""
    (seen, _, settled), _ = story()
    policies = filters("sns filter")
    assert policies
    for policy in policies:
        matcher = FilterPolicyMatcher(policy, "MessageAttributes")
        for step, passes in ((settled, True), (seen, False)):
            entry = batches.message_entry(rendered(step), body="Message", fifo=False)
            attributes = {
                name: {"Type": "String", "Value": value["StringValue"]} for name, value in entry.fields["MessageAttributes"].items()
            }
            assert matcher.matches(attributes, entry.fields["Message"]) is passes


def test_rule_patterns_match_what_the_page_says():
    """Each EventBridge pattern matches the last event of the task and not its first one."""
    (seen, _, settled), _ = story()
    patterns = filters("eventbridge pattern")
    assert patterns
    for pattern in patterns:
        for step, matches in ((settled, True), (seen, False)):
            event = rendered(step)
            sent = {"source": "watcher", "detail-type": event.type, "detail": json.loads(event.body)}
            assert EventPattern.load(json.dumps(pattern)).matches_event(sent) is matches


def test_attributes_of_messages_are_explained():
    """The page names each message attribute, and the FIFO attributes."""
    settled = story()[0][2]
    traced = replace(settled, watch=settled.watch._replace(trace=f"00-{'1' * 32}-{'1' * 16}-01 a=1"))
    entry = batches.message_entry(rendered(traced), body="MessageBody", fifo=True)
    named = set(re.findall(r"`([\w-]+)`", prose(EVENTS)))
    assert {"MessageGroupId", "MessageDeduplicationId", *entry.fields["MessageAttributes"]} <= named
