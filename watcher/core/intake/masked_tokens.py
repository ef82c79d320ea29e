"""Hides the task token in a message that is shown. The message is kept whole, so that a retry still answers the execution."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watcher.core.intake.members import TASK_TOKEN

MASK = b"********"
_NAMES = (*TASK_TOKEN, "Token")
"""The last one is the name in the context object of a state: `"Task": {"Token": "..."}`."""
_MEMBER = re.compile(rb'"(?:%s)\\*"\s*:\s*(\\*)"' % b"|".join(name.encode() for name in _NAMES))
"""The beginning of the member as JSON writes it, also inside of JSON in a string, as in a notification of SNS. It
does not include the backslashes before it: at each one of a long row, the search would read all the following ones."""
_QUOTE = re.compile(rb'(?<!\\)(\\*)"')
"""A quotation mark with the backslashes before it: as many as at the beginning of a string mark its end; more are part of it."""


def masked(body: bytes) -> bytes:
    """Replace the task tokens in a message, which need not be valid JSON: a token without an end is replaced up to the last byte."""
    return b"".join(_parts(body))


def _parts(body: bytes) -> Iterator[bytes]:
    at = 0
    while found := _MEMBER.search(body, at):
        end = next((quote.start() for quote in _QUOTE.finditer(body, found.end()) if quote[1] == found[1]), len(body))
        yield body[at : found.end()]
        yield MASK if end > found.end() else b""
        at = end
    yield body[at:]
