"""Hides the task token in a message that is shown. The message is kept whole, so that a retry still answers the execution."""

from __future__ import annotations

import re

from watcher.core.intake.members import TASK_TOKEN

MASK = b"********"
_MEMBER = re.compile(
    rb'("(?:%s)\\*"(?:\s|\\+[nrt])*:(?:\s|\\+[nrt])*(?P<escape>\\*)")(?:(?!(?P=escape)")\\*[^\\])+'
    % b"|".join(name.encode() for name in TASK_TOKEN)
)
"""The member as JSON writes it, also inside of JSON in a string, as in a notification of SNS. The token ends at a quote that is escaped
as its first one; a character of it that has more escapes, such as a slash, is a part of it."""


def masked(body: bytes) -> bytes:
    """The message with its task tokens replaced. It need not be valid JSON."""
    return _MEMBER.sub(rb"\1" + MASK, body)
