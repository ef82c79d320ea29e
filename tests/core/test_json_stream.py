"""A stream of lines becomes messages: whole JSON values and single lines, and a bad value costs only itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.intake.json_stream import JsonStream
from watcher.core.intake.strict_json import MAX_BODY

TASK = {"VoiceConnectorId": "vc-7", "SpeakerSearchTaskId": "t 9", "context": [1, {"a": []}, "}{"]}
ONE_LINE = json.dumps(TASK).encode()
INDENTED = json.dumps(TASK, indent=4).encode()


def split(text: bytes) -> list[tuple[int, bytes]]:
    """The messages of a whole stream."""
    stream = JsonStream()
    return [found for line in text.split(b"\n") for found in stream.add(line)] + list(stream.end())


def bodies(text: bytes) -> list[bytes]:
    return [body for _, body in split(text)]


def test_a_value_over_many_lines_is_one_message() -> None:
    """It is numbered by its first line, and what stands around it is read line by line."""
    text = b"# today\nvc/one\n\n" + INDENTED + b"\r\nvc/two\n" + ONE_LINE + b"\n" + INDENTED.replace(b"\n", b"\r\n")
    assert split(text) == [(2, b"vc/one"), (4, INDENTED), (15, b"vc/two"), (16, ONE_LINE), (17, INDENTED)]


@pytest.mark.parametrize("indent", [None, 0, 1, 2, "\t"])
def test_a_list_of_objects_is_one_message_however_it_is_indented(indent: int | str | None) -> None:
    """Also with each element on a line of its own, without indentation."""
    text = json.dumps([TASK, TASK, [], {}], indent=indent).encode()
    assert bodies(text + b"\n" + ONE_LINE) == [text, ONE_LINE]


@pytest.mark.parametrize(
    "bad",
    [
        INDENTED[:-2],  # the end is missing
        INDENTED[:40],  # cut inside a member
        INDENTED.replace(b",", b"", 1),  # a comma is missing
        INDENTED.replace(b"{", b"{,", 1),
        INDENTED[:-2] + b",\n}",  # a comma too many
        INDENTED.replace(b"vc-7", b"vc-\n7"),  # a line end inside a string
        b"{" * 40 + b"\n" + b"}" * 40,
        b"[",
        b"{'single': 1}",
        b"[\n" + ONE_LINE + b",\n" + ONE_LINE + b",\n  nope\n]",
        ONE_LINE[:-9],
    ],
)
def test_a_bad_value_costs_only_itself(bad: bytes) -> None:
    """The messages before and after it are whole, in every form that a message of a stream may have."""
    for good in (ONE_LINE, INDENTED, b"vc/one", b'"vc/one"', b"[" + ONE_LINE + b"]"):
        found = bodies(INDENTED + b"\n" + bad + b"\n" + good + b"\n" + INDENTED)
        assert found[0] == INDENTED, good
        assert found[-2:] == [good, INDENTED], good
        assert b"\n".join(found[1:-2]) == bad, good
        assert len(found) - 3 in (1, 2), good


def test_good_lines_inside_a_value_that_never_ends_are_found() -> None:
    """An open bracket before them does not swallow them."""
    assert bodies(b'{"a":\n' + ONE_LINE + b"\nvc/one\n" + INDENTED) == [b'{"a":', ONE_LINE, b"vc/one", INDENTED]


def test_a_bad_value_is_returned_when_nothing_follows() -> None:
    """`flush` does not wait for the next line, and ends no value that may still become whole."""
    stream = JsonStream()
    assert list(stream.add(b"{bad")) == []
    assert list(stream.flush()) == [(1, b"{bad")]
    assert list(stream.add(b'{"a":')) == list(stream.flush()) == []
    assert list(stream.add(b"1}")) == [(2, b'{"a":\n1}')]


@pytest.mark.parametrize("indent", [0, 3])
def test_a_value_that_is_too_large_is_cut_and_skipped(indent: int) -> None:
    """It is one message, one byte above the limit, and the next message is whole."""
    large = json.dumps([TASK] * 5000, indent=indent).encode()
    assert len(large) > MAX_BODY
    found = split(ONE_LINE + b"\n" + large + b"\n" + INDENTED)
    assert [body for _, body in found] == [ONE_LINE, large[: MAX_BODY + 1], INDENTED]


def test_a_large_bad_value_is_skipped_up_to_the_next_message() -> None:
    """Nothing after the limit makes another message before a line that begins one."""
    large = b"[" + b"\n  1," * MAX_BODY + b"\n  1 1,\n  2\n"
    assert [len(body) for body in bodies(large + ONE_LINE)] == [MAX_BODY + 1, len(ONE_LINE)]


@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"{", b"}", b"[", b"],", b'{"a":1}', b'"a":', b"vc/1", ONE_LINE]), max_size=12))
def test_any_lines_are_returned_in_order(lines: list[bytes]) -> None:
    """No line between two messages is lost but blank lines and comments, whatever the stream contains."""
    text = b"\n".join(lines)
    found = split(text)
    assert [number for number, _ in found] == sorted({number for number, _ in found})
    kept = [line for _, body in found for line in body.replace(b"\r", b"").split(b"\n")]
    given = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"").split(b"\n")
    significant = [line for line in given if line.strip() and not line.lstrip().startswith(b"#")]
    assert [line for line in kept if line.strip() and not line.lstrip().startswith(b"#")] == significant


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3) | st.lists(values, max_size=3), max_size=4),
    st.sampled_from([None, 0, 2]),
)
def test_any_json_values_come_out_as_they_went_in(written: list[object], indent: int | None) -> None:
    """One after the other, each over any number of lines."""
    texts = [json.dumps(value, indent=indent).encode() for value in written]
    assert bodies(b"\n".join(texts)) == texts
