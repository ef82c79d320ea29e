"""Which W3C trace contexts are valid, and where a message may have one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.submissions import read
from watcher.core.trace_context import (
    MAX_ENTRIES,
    MAX_TRACESTATE,
    attributes_of,
    of_members,
    of_message_attributes,
    trace_context,
    trace_id,
)
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Submission

CATALOG = builtin_catalog()
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
INNER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
TASK = {"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "2f6f"}
TRACED = {**TASK, "traceparent": INNER}


def traces(message: Any) -> list[str | None]:
    found = read(json.dumps(message).encode(), CATALOG, now=1_790_000_000.0)
    assert all(isinstance(each, Submission) for each in found), found
    return [each.trace for each in found]  # type: ignore[union-attr]


def event(data: Any, **attributes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/a", "type": "t", **attributes, "data": data}


# --- the values ------------------------------------------------------------------------------------


def test_a_context_is_the_parent_then_the_state() -> None:
    """The text of a context has both values, and can be divided into them again."""
    assert trace_context(PARENT) == PARENT
    assert trace_context(PARENT, STATE) == f"{PARENT} {STATE}"
    assert attributes_of(f"{PARENT} {STATE}") == {"traceparent": PARENT, "tracestate": STATE}
    assert attributes_of(PARENT) == {"traceparent": PARENT}
    assert attributes_of(None) == {}
    assert trace_id(f"{PARENT} {STATE}") == TRACE_ID


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, True, [], {}, [PARENT], "", " ", "00"),
        *(f" {PARENT}", f"{PARENT} ", f"{PARENT}\n", PARENT.upper(), PARENT[:-1], PARENT + "0", PARENT.replace("-", "_")),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[:-1]}g-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7-0g",
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01-more",
        f"0-{TRACE_ID}-00f067aa0ba902b7-01",
        *(f"{PARENT}-", f"{PARENT}-more"),  # version 00 has nothing after the flags
        *(f"01-{TRACE_ID}-00f067aa0ba902b7-01more", f"01-{TRACE_ID}-00f067aa0ba902b7", f"01-{TRACE_ID}-00f067aa0ba902b7-01.x"),
        f"01-{TRACE_ID}-00f067aa0ba902b7-01-a\nb",
    ],
)
def test_an_invalid_parent_is_no_context(value: Any) -> None:
    """A wrong type, version, length, case, or separator, an id of zeros, and text around it make a traceparent invalid."""
    assert trace_context(value, STATE) is None


@pytest.mark.parametrize("flags", ["00", "01", "02", "ff"])
def test_the_flags_of_version_00_stay(flags: str) -> None:
    """A traceparent of version 00 is passed on unchanged."""
    assert trace_context(PARENT[:-2] + flags) == PARENT[:-2] + flags


@pytest.mark.parametrize(
    ("given_", "kept"), [("01", "01"), ("00", "00"), ("03", "01"), ("fe", "00"), ("01-", "01"), ("ff-what.the-rest", "01")]
)
def test_a_later_version_is_written_as_version_00(given_: str, kept: str) -> None:
    """Of a later version the ids and the sampled flag are kept, which are all that version 00 defines."""
    assert trace_context(f"cc-{TRACE_ID}-00f067aa0ba902b7-{given_}", STATE) == f"00-{TRACE_ID}-00f067aa0ba902b7-{kept} {STATE}"


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("a=1", "a=1"),
        (" a=1 ,\tb=2,, ,c=3", "a=1,b=2,c=3"),
        ("fw529a3039@dt=FfD00", "fw529a3039@dt=FfD00"),
        ("0t@s=x y!~", "0t@s=x y!~"),
        ("a_b-c*/d=/;:", "a_b-c*/d=/;:"),
        (f"a={'x' * 256}", f"a={'x' * 256}"),
        (",".join(f"k{n}=v" for n in range(MAX_ENTRIES)), ",".join(f"k{n}=v" for n in range(MAX_ENTRIES))),
    ],
)
def test_a_valid_state_is_kept(given_: str, kept: str) -> None:
    """Entries stay in their order, without empty entries and without spaces around them."""
    assert trace_context(PARENT, given_) == f"{PARENT} {kept}"


@pytest.mark.parametrize(
    "state",
    [
        *(None, 5, ["a=1"], {"a": 1}, "", ",,", "a", "a=", "=1", "a=1,b", "a=1=2", "A=1", "1a=1", "a b=1"),
        *("a=1,a=2", "a=é", "a=\x00", "a=1\nb=2", f"a={'x' * 257}", f"{'a' * 257}=1", f"a@{'b' * 15}=1", "a@1b=1", "a@b@c=1"),
        ",".join(f"k{n}=v" for n in range(MAX_ENTRIES + 1)),
    ],
)
def test_an_invalid_state_is_left_out(state: Any) -> None:
    """An invalid tracestate does not make the traceparent invalid."""
    assert trace_context(PARENT, state) == PARENT


def test_a_long_state_loses_long_entries_first_and_then_the_last_ones() -> None:
    """As the specification says; whole entries are removed, never a part of one."""
    small, long = [f"k{n:02}={'v' * 20}" for n in range(24)], f"long={'x' * 200}"
    kept = trace_context(PARENT, ",".join([long, *small]))
    assert kept is not None
    state = attributes_of(kept)["tracestate"]
    assert state.split(",") == small[: len(state.split(","))]
    assert MAX_TRACESTATE - 25 < len(state) <= MAX_TRACESTATE


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", fullmatch=True), st.text())
def test_any_text_is_a_valid_context_or_none(parent: str, state: str) -> None:
    """What is passed on is a context that is read again as it is, and that has a bounded length."""
    found = trace_context(parent, state)
    if found is not None:
        assert of_members(attributes_of(found)) == found
        assert len(found) <= 55 + 1 + MAX_TRACESTATE


# --- where a message has them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        TRACED,
        {**TRACED, "traceparent": PARENT, "kind": "speaker-search"} | {"traceparent": INNER},
        {"SpeakerSearchTask": TASK, "traceparent": INNER},
        {"input": TASK, "traceparent": INNER},
        {"detail-type": "mine", "source": "me", "detail": TRACED},
        event(TASK, traceparent=INNER),
        event("abc123/2f6f", traceparent=INNER),
        {**event(None, traceparent=INNER), "data_base64": base64.b64encode(json.dumps(TASK).encode()).decode()},
        event(TRACED, traceparent=PARENT),
        event({"traceparent": "invalid", **TASK}, traceparent=INNER),
        event(event(TASK, traceparent=INNER), traceparent=PARENT),
        {"Type": "Notification", "Message": json.dumps(TASK), "MessageAttributes": {"traceparent": {"Type": "String", "Value": INNER}}},
        {"Records": [{"eventSource": "aws:sqs", "body": "abc123/2f6f", "messageAttributes": {"traceparent": {"stringValue": INNER}}}]},
        {"EventSource": "aws:sns", "Sns": {"Message": "abc123/2f6f", "MessageAttributes": {"traceparent": {"Value": INNER}}}},
    ],
)
def test_each_form_can_have_a_context(message: Any) -> None:
    """A member of a task, an attribute of a CloudEvent, an attribute in an envelope of SNS or SQS; the innermost one counts."""
    assert traces(message) == [INNER]


def test_all_tasks_of_an_envelope_share_its_context() -> None:
    """Only a task with a context of its own has another one."""
    tasks = [TASK, "abc123/3a3a", {**TASK, "traceparent": PARENT, "tracestate": STATE}]
    assert traces(event(tasks, traceparent=INNER)) == [INNER, INNER, f"{PARENT} {STATE}"]


@pytest.mark.parametrize("wrong", ["", "nonsense", 5, None, [], {"a": {"SpeakerSearchTaskId": 5}}])
def test_an_invalid_context_is_ignored(wrong: Any) -> None:
    """Whatever the member is, the task is accepted, without a context."""
    assert traces({**TASK, "traceparent": wrong, "tracestate": wrong}) == [None]
    assert traces(event(TASK, traceparent=wrong)) == [None]


@pytest.mark.parametrize("wrong", [None, [], "x", {"traceparent": PARENT}, {"traceparent": {"BinaryValue": "eA=="}}, {"traceparent": {}}])
def test_other_attributes_are_no_context(wrong: Any) -> None:
    """Attributes of any other shape are ignored."""
    assert of_message_attributes(wrong) is None
    assert traces({"eventSource": "aws:sqs", "body": "abc123/2f6f", "messageAttributes": wrong}) == [None]


def test_a_state_without_a_parent_is_ignored() -> None:
    """A tracestate alone is no context."""
    assert traces({**TASK, "tracestate": STATE}) == [None]
