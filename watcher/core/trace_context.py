"""Reads the W3C Trace Context (w3.org/TR/trace-context) of a message, which links the task to the trace of the sender.

A trace context is one text, as in `Watch.trace`: the `traceparent`, then, if there is one, a space and the `tracestate`. An
invalid context is ignored. It never makes a message invalid, because it does not describe a task. Raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_TRACESTATE = 512
"""The maximum length of a `tracestate` in characters, the minimum that the specification requires. Excess entries are removed."""
MAX_ENTRIES = 32
"""The maximum number of entries of a `tracestate`. One with more is invalid."""
LONG_ENTRY = 128
"""The length of an entry in characters. Longer entries are removed first."""

_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_ENTRY = re.compile(
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_SAMPLED = 0x01


def trace_context(traceparent: Any, tracestate: Any = None) -> str | None:
    """Return the context of these two values; None where the `traceparent` is invalid. An invalid `tracestate` is left out.

    A `traceparent` of a later version is written as version 00, as the specification requires.
    """
    match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    parent = match[0]
    if match["version"] != "00":
        parent = f"00-{match['trace']}-{match['parent']}-{int(match['flags'], 16) & _SAMPLED:02x}"
    state = _tracestate(tracestate)
    return f"{parent} {state}" if state else parent


def of_members(members: Mapping[str, Any]) -> str | None:
    """Return the context in the members of a message, or in the extension attributes of a CloudEvent."""
    return trace_context(members.get("traceparent"), members.get("tracestate"))


def of_message_attributes(attributes: Any) -> str | None:
    """Return the context in message attributes of SQS or SNS, in any spelling: `StringValue`, `stringValue`, `Value`."""
    if not isinstance(attributes, Mapping):
        return None
    return trace_context(_attribute(attributes.get("traceparent")), _attribute(attributes.get("tracestate")))


def attributes_of(trace: str | None) -> dict[str, str]:
    """Return a context as `traceparent` and, if it has one, `tracestate`: attributes of a CloudEvent, headers, message attributes."""
    if not trace:
        return {}
    parent, _, state = trace.partition(" ")
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def trace_id(trace: str) -> str:
    """Return the 32 hex digits of a context by which tracing tools find the trace."""
    return trace[3:35]


def _attribute(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return None
    return next((value[name] for name in ("StringValue", "stringValue", "Value") if name in value), None)


def _tracestate(value: Any) -> str:
    """Return the entries that fit, without empty entries and surrounding spaces. Returns an empty text for an invalid `tracestate`."""
    if not isinstance(value, str):
        return ""
    entries = [entry for entry in (part.strip(" \t") for part in value.split(",")) if entry]
    keys = {match["key"] for match in map(_ENTRY.fullmatch, entries) if match}
    if len(keys) != len(entries) or len(entries) > MAX_ENTRIES:
        return ""  # an entry is invalid, or two have the same key
    if len(",".join(entries)) > MAX_TRACESTATE:
        entries = [entry for entry in entries if len(entry) <= LONG_ENTRY]
    while len(",".join(entries)) > MAX_TRACESTATE:
        entries.pop()
    return ",".join(entries)
