"""Task tokens of AWS Step Functions: secrets of executions that wait for the end of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType

TaskTokens = Mapping[str, Sequence[str]]
"""Task tokens by the key of the task that they wait for, in order of arrival."""

NO_TOKENS: TaskTokens = MappingProxyType({})


def token_digest(token: str) -> bytes:
    """The SHA-256 of a token: what a store keeps of an answered one, to recognize a message that comes again."""
    return sha256(token.encode()).digest()
