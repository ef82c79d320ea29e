"""What others wrap round a message on its way: SNS, EventBridge, CloudEvents; and lists, which are batches.

Takes the wrapping off and looks at nothing else. An address inside an envelope is never followed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.core.intake.strict_json import decode, decode_text
from watcher.errors import InvalidInput
from watcher.kinds import KINDS, Kind

MAX_LAYERS = 3
"""SNS in front of EventBridge in front of a CloudEvent is the longest way there is a use for."""

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_CHIME = "aws.chime"
"""The `source` of AWS's own notifications about voice analytics."""


@dataclass(frozen=True, slots=True)
class Bare:
    """One element without its wrapping: the members that should name a task, or why there are none."""

    content: Mapping[str, Any] | InvalidInput
    hint: Kind | None = None
    """The kind AWS itself notifies about, where this is such a notification."""
    place: str = ""
    """Where in a batch it stood, for the person who reads the reason."""


def unwrap(value: Any, layers: int = 0) -> Iterator[Bare]:
    """What a decoded message holds, one for each element; nothing where there is nothing to do. Never raises.

    One after the other, so that whoever has seen enough of a batch stops.
    """
    if isinstance(value, list):
        yield from _batch(value, layers)
        return
    try:
        found: Iterable[Bare] = _one(value, layers)
    except InvalidInput as error:
        found = [_bad(error.reason, error.detail)]
    yield from found


def _batch(values: list[Any], layers: int) -> Iterator[Bare]:
    if not values:
        yield _bad("shape", "an empty list names no task")
    for number, value in enumerate(values, start=1):
        inner = [_bad("shape", "a list within a list")] if isinstance(value, list) else unwrap(value, layers)
        for bare in inner:
            yield replace(bare, place=f"element {number}: {bare.place}")


def _bad(reason: str, detail: str) -> Bare:
    return Bare(InvalidInput(reason, detail))


def _one(value: Any, layers: int) -> Iterable[Bare]:
    if not isinstance(value, Mapping):
        raise InvalidInput("shape", "neither an object nor a list of objects")
    if value.get("Type") in _CONFIRMATIONS:
        return ()
    if "detail-type" in value and (notice := _notice(value)) is not None:
        return notice
    for content in _contents(value):
        if layers == MAX_LAYERS:
            raise InvalidInput("depth", f"more than {MAX_LAYERS} envelopes round it")
        return unwrap(decode_text(content) if isinstance(content, str) else content, layers + 1)
    return [Bare(value)]


def _contents(value: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the envelope holds, or nothing if it is none."""
    if value.get("Type") == "Notification" and "Message" in value:
        if not isinstance(value["Message"], str):
            raise InvalidInput("shape", "the Message of an SNS notification is text")
        return (value["Message"],)
    if "detail-type" in value and "detail" in value:
        return (value["detail"],)
    if "specversion" in value:
        return (_cloud_event_data(value),)
    return ()


def _cloud_event_data(value: Mapping[str, Any]) -> Any:
    if value["specversion"] != "1.0":
        raise InvalidInput("version", "a CloudEvent of another specversion than 1.0")
    if value.get("data") is not None:
        return value["data"]
    packed = value.get("data_base64")
    if not isinstance(packed, str):
        raise InvalidInput("shape", "a CloudEvent without data")
    try:
        body = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("encoding", "data_base64 is not base64") from None
    return decode(body)


def _notice(value: Mapping[str, Any]) -> Sequence[Bare] | None:
    """AWS's own notifications: a hint about a kind of ours; nothing to do for others; None: not AWS speaking."""
    kind = next((kind for kind in KINDS.values() if value["detail-type"] in kind.hints), None)
    if kind is None:
        return () if value.get("source") == _CHIME else None
    detail = value.get("detail")
    if not isinstance(detail, Mapping):
        raise InvalidInput("shape", "a notification without detail")
    return [Bare(detail, hint=kind)]
