"""HTTP header values as numbers. Formats: RFC 9110, sections 5.6.7 (HTTP-date) and 10.2.3 (Retry-After).

A value in no known format is None, never an error: a header from another machine must not stop a retry.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def http_date(value: str) -> float | None:
    """Seconds since the epoch, from a `Date` header or a similar one. A date without a time zone is UTC."""
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def retry_after_s(value: str | None, now: float | None) -> float | None:
    """Seconds to wait, from a `Retry-After` header: a number of seconds or a date. At least 0, without an upper limit.

    `now` is the wall time in seconds since the epoch; without it a date is ignored. The runtime limits how long it waits.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    at = http_date(text)
    return None if at is None or now is None else max(0.0, at - now)
