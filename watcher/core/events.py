"""placeholder"""
from typing import Literal
from pydantic import Field, SecretStr
from watcher.section import Section


class EventSettings(Section):
    """What events say."""

    results: Literal["full", "hashed", "count", "none"] = "full"
    """How much of a result leaves the house: all; profiles as digests; how many matched; nothing."""
    hash_key: SecretStr | None = Field(default=None, min_length=16)
    """For `hashed`: the key of the digest, so that nobody without it can test a guess. Unset: a plain SHA-256."""
