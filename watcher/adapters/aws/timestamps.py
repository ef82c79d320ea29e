"""A faster parser for the timestamps in AWS replies, with the results and the errors of the SDK's own parser."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def parse_timestamp(value: Any) -> datetime:
    """Return the time that a member of a reply holds: a number of seconds, or a text such as `2026-11-22T10:00:12.345Z`."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # not ISO 8601: the SDK's parser accepts other formats
    from botocore import utils

    parsed: datetime = utils.parse_timestamp(value)
    return parsed
