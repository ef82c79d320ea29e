"""Timestamps as AWS writes them, read quickly. Gives what the SDK's own reader gives, and raises what that raises."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def parse_timestamp(value: Any) -> datetime:
    """A point in time out of a member of a reply: a number of seconds, or a text such as `2026-11-22T10:00:12.345Z`."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # another form that ends so: the SDK knows them all
    from botocore import utils

    at: datetime = utils.parse_timestamp(value)
    return at
