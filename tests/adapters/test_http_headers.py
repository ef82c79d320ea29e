"""Header values as numbers: `Retry-After` and `Date` in every format, and garbage."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.adapters.http_headers import http_date, retry_after_s

NOW = 1_795_341_600.0


def date(seconds_from_now):
    return format_datetime(datetime.fromtimestamp(NOW + seconds_from_now, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e3", None),
        ("٣", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("0.5", 0.5),
        ("86400", 86_400.0),
        ("9" * 400, float("inf")),
        (date(60), 60.0),
        (date(-60), 0.0),
        (date(86_400), 86_400.0),
        ("Sun, 99 Nov 2026 10:00:12 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    """Both formats are read, a date in the past is 0, and any other text is ignored."""
    assert retry_after_s(value, NOW) == seconds


def test_a_date_needs_the_current_time():
    """Without the current time a date is ignored, and a number of seconds is not."""
    assert (retry_after_s(date(60), None), retry_after_s("7", None)) == (None, 7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (date(0), NOW),
        ("Sunday, 22-Nov-26 10:00:00 GMT", NOW),
        ("Sun, 22 Nov 2026 10:00:00 -0000", NOW),
        ("Sun, 22 Nov 2026 12:00:00 +0200", NOW),
        ("Sun, 22 Nov 2026 10:00:00 +9999", None),
        ("22 Nov 99999 10:00:00 GMT", None),
        ("garbage", None),
        ("", None),
    ],
)
def test_an_http_date_is_in_utc(value, seconds):
    """A date is read in UTC, whatever the time zone of this machine, and an impossible one is ignored."""
    assert http_date(value) == seconds


@given(st.text(max_size=40))
def test_no_header_value_raises(value):
    """A header value of any kind is a number of at least 0, or ignored."""
    seconds = retry_after_s(value, NOW)
    assert seconds is None or seconds >= 0
