"""The timestamp parser against the one of the SDK."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import utils
from hypothesis import example, given
from hypothesis import strategies as st

from watcher.adapters.aws.timestamps import parse_timestamp

texts = st.datetimes().map(lambda at: at.isoformat() + "Z") | st.datetimes(timezones=st.timezones()).map(str) | st.text(max_size=30)
numbers = st.floats() | st.integers() | st.floats(0, 4e9).map(str)
others = st.none() | st.lists(st.integers(), max_size=2)


def outcome(parse: Any, value: Any) -> Any:
    """The time as seconds since the epoch and its offset, or the type of the error."""
    try:
        at = parse(value)
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises is what must be raised
        return type(error)
    return at.replace(tzinfo=None), at.utcoffset()


@given(texts | numbers | others)
@example("2026-11-22T10:00:12.345Z")
@example("2026-11-22T10:00:12Z")
@example("20261122T100012Z")
@example("Z")
def test_a_timestamp_has_the_value_that_the_sdk_gives_it(value: Any) -> None:
    """Every value is parsed to the same time as by the SDK, or raises the same type of error."""
    assert outcome(parse_timestamp, value) == outcome(utils.parse_timestamp, value)


@pytest.mark.parametrize("value", ["2026-11-22T10:00:12.345Z", 1795341612.345])
def test_both_formats_of_aws_are_parsed(value: Any) -> None:
    """AWS writes a time as ISO 8601 or as seconds since the epoch, depending on the service."""
    assert parse_timestamp(value).timestamp() == 1795341612.345
