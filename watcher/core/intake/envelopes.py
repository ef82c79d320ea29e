"""Removes the envelopes that SNS, EventBridge, and CloudEvents put around a message, and splits lists, which are batches.

It only unwraps, and looks at nothing else. A URL in an envelope is never requested.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.core.intake.strict_json import decode, decode_text
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind

MAX_LAYERS = 3
"""Envelopes inside each other. The longest useful chain is SNS around EventBridge around a CloudEvent."""

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """One element without its envelopes: the members that should name a task, or why there are none."""

    content: Mapping[str, Any] | InvalidInput
    notified: Kind | None = None
    """The kind that AWS's own notification is about, where the element is one."""
    place: str = ""
    """Where in a batch the element was, as a prefix for error texts: `element 2: `."""


def unwrap(value: Any, catalog: Catalog) -> Iterator[Unwrapped]:
    """Yield each element of a decoded message; nothing for a message that requires no action. Never raises.

    Elements are unwrapped one by one, so a caller that stops early unwraps no more than it needs.
    """
    return _unwrap(value, catalog, layers=0)


def _unwrap(value: Any, catalog: Catalog, layers: int) -> Iterator[Unwrapped]:
    if isinstance(value, list):
        yield from _batch(value, catalog, layers)
        return
    try:
        found: Iterable[Unwrapped] = _one(value, catalog, layers)
    except InvalidInput as error:
        found = [_invalid(error.reason, error.detail)]
    yield from found


def _batch(values: list[Any], catalog: Catalog, layers: int) -> Iterator[Unwrapped]:
    if not values:
        yield _invalid("shape", "the list is empty; put at least one task in it")
    for number, value in enumerate(values, start=1):
        if isinstance(value, list):
            inner: Iterable[Unwrapped] = [_invalid("shape", "expected an object, got a list inside a list")]
        else:
            inner = _unwrap(value, catalog, layers)
        for element in inner:
            yield replace(element, place=f"element {number}: {element.place}")


def _invalid(reason: str, detail: str) -> Unwrapped:
    return Unwrapped(InvalidInput(reason, detail))


def _one(value: Any, catalog: Catalog, layers: int) -> Iterable[Unwrapped]:
    if not isinstance(value, Mapping):
        raise InvalidInput("shape", "expected an object or a list of objects")
    if value.get("Type") in _CONFIRMATIONS:
        return ()
    if "detail-type" in value and (notification := _notification(value, catalog)) is not None:
        return notification
    for content in _contents(value):
        if layers == MAX_LAYERS:
            raise InvalidInput("depth", f"the task is inside more than {MAX_LAYERS} envelopes")
        return _unwrap(decode_text(content) if isinstance(content, str) else content, catalog, layers + 1)
    return [Unwrapped(value)]


def _contents(value: Mapping[str, Any]) -> tuple[Any, ...]:
    """The content of an envelope, as a tuple of one; empty for an object that is not an envelope."""
    if value.get("Type") == "Notification" and "Message" in value:
        if not isinstance(value["Message"], str):
            raise InvalidInput("shape", "the Message of an SNS notification must be a string")
        return (value["Message"],)
    if "detail-type" in value and "detail" in value:
        return (value["detail"],)
    if "specversion" in value:
        return (_cloud_event_data(value),)
    return ()


def _cloud_event_data(value: Mapping[str, Any]) -> Any:
    if value["specversion"] != "1.0":
        raise InvalidInput("version", "the specversion of a CloudEvent must be 1.0")
    if value.get("data") is not None:
        return value["data"]
    packed = value.get("data_base64")
    if not isinstance(packed, str):
        raise InvalidInput("shape", "the CloudEvent has no data")
    try:
        body = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("encoding", "the data_base64 of the CloudEvent is not base64") from None
    return decode(body)


def _notification(value: Mapping[str, Any], catalog: Catalog) -> Sequence[Unwrapped] | None:
    """The detail of AWS's own notification about a kind; empty for other ones of the same source; None: not such a notification."""
    notifying = [(kind, kind.notifications) for kind in catalog if kind.notifications is not None]
    kind = next((kind for kind, known in notifying if value["detail-type"] in known.detail_types), None)
    if kind is None:
        return () if any(value.get("source") == known.source for _, known in notifying) else None
    detail = value.get("detail")
    if not isinstance(detail, Mapping):
        raise InvalidInput("shape", "the notification has no detail object")
    return [Unwrapped(detail, notified=kind)]
