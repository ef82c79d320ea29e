"""What the batch calls of SQS, SNS and EventBridge share: entries that fit together, and an outcome for each of them.

A call that answers 200 may still have failed in part, so nothing counts as done unless the reply says so of this very
entry. Nothing here calls twice: what was not taken is handed back with its reason, and the runtime decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from watcher.adapters.aws.errors import classify
from watcher.errors import CredentialsRejected, Denied, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry

MAX_ENTRIES = 10
"""Of one batch call, in all three services."""

MAX_MESSAGE_BYTES = 256 * 1024
"""Of all the entries of one call to SQS or SNS together, bodies and attributes. SQS takes more where a queue allows it;
SNS, and many a subscriber, do not."""

MAX_GROUP_ID = 128
"""Characters of a FIFO message group id."""

_UNCARRIED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS and SNS refuse, those that XML 1.0 does not know. One of them may cost the whole call."""

_MENDABLE = (Throttled, Unavailable, Denied, CredentialsRejected)
"""What failed for one of these can succeed when it comes again: the fault is not in the entry."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One event in the words of a service, and the bytes it counts for against the limit of a call."""

    wire: Mapping[str, Any]
    size: int


Post = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[Outcome]]]
"""One call with these entries, and an outcome for each. Raises a RemoteError when none was taken."""


def tens(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in groups as large as one batch call takes."""
    return (items[start : start + MAX_ENTRIES] for start in range(0, len(items), MAX_ENTRIES))


async def deliver(entries: Sequence[BatchEntry | Rejected], limit: int, post: Post) -> Sequence[Outcome]:
    """Posts each entry once, in as few calls as `limit`, in bytes, allows. An outcome for each, in order.

    Raises the RemoteError of a call before which nothing was delivered; after one that was, the entries not sent come again.
    """
    outcomes: dict[int, Outcome] = {place: entry for place, entry in enumerate(entries) if isinstance(entry, Rejected)}
    rest: Outcome | None = None
    for parcel in parcels({place: entry for place, entry in enumerate(entries) if isinstance(entry, BatchEntry)}, limit):
        try:
            results = await post([entry.wire for entry in parcel.values()]) if rest is None else [rest] * len(parcel)
        except RemoteError as error:
            if not any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
                raise
            rest = Retry(error)
            results = [rest] * len(parcel)
        outcomes.update(zip(parcel, results, strict=True))
    return [outcomes[place] for place in range(len(entries))]


def parcels(entries: Mapping[int, BatchEntry], limit: int) -> Iterator[dict[int, BatchEntry]]:
    """The entries by their places, in order, in groups that stay within `limit` bytes and within what one call takes."""
    parcel: dict[int, BatchEntry] = {}
    for place, entry in entries.items():
        if parcel and (len(parcel) == MAX_ENTRIES or sum(e.size for e in parcel.values()) + entry.size > limit):
            yield parcel
            parcel = {}
        parcel[place] = entry
    if parcel:
        yield parcel


def message(event: Event, *, body: str, fifo: bool) -> BatchEntry | Rejected:
    """An event as a message of a queue or a topic; `body` is what the service calls the text of it."""
    text = event.body.decode()
    if _UNCARRIED.search(text):
        return Rejected("characters")
    attributes = _attributes(event)
    size = len(event.body) + sum(len(name) + len("String") + len(value.encode()) for name, value in attributes.items())
    if size > MAX_MESSAGE_BYTES:
        return Rejected("size")
    wire = {body: text, "MessageAttributes": {n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()}}
    if fifo:
        wire |= {"MessageGroupId": group_id(event.key), "MessageDeduplicationId": event.id}
    return BatchEntry(wire, size)


def _attributes(event: Event) -> dict[str, str]:
    """What subscribers filter by. A value that no attribute can carry (none, empty, a strange status) stands in the body only."""
    values = {
        "content-type": "application/cloudevents+json",
        "type": event.type,
        "kind": event.kind,
        "to": event.to or "",
        "terminal": "true" if event.terminal else "false",
    }
    return {name: value for name, value in values.items() if value and not _UNCARRIED.search(value)}


def group_id(key: str) -> str:
    """The task as a FIFO group. A key is percent-encoded, so its characters are all allowed, but its ids alone may have
    128 and 256 of them: one longer than a group id may be is replaced by its SHA-256, still one group for each task."""
    return key if len(key) <= MAX_GROUP_ID else hashlib.sha256(key.encode()).hexdigest()


def numbered(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries with the `Id` by which the reply names them: their place in the call."""
    return [{"Id": str(place), **entry} for place, entry in enumerate(entries)]


def outcomes(reply: Mapping[str, Any], count: int) -> list[Outcome]:
    """Of a reply with `Successful` and `Failed`, matched by the `Id` that `numbered` gave. An entry in neither was not taken."""
    found: dict[str | None, Outcome] = {entry.get("Id"): Delivered() for entry in reply.get("Successful") or ()}
    found |= {entry.get("Id"): failure(entry) for entry in reply.get("Failed") or ()}
    return [found.get(str(place), Retry(Unreadable("no_outcome"))) for place in range(count)]


def failure(entry: Mapping[str, Any]) -> Retry | Rejected:
    """Of an entry in `Failed`. A sender's fault is for good, unless it lies in the rate, the permission or the encryption
    key, which somebody can mend while the event waits."""
    code, sender = str(entry.get("Code")), bool(entry.get("SenderFault"))
    error = classify(code, 400 if sender else 500)
    mendable = not sender or isinstance(error, _MENDABLE)
    return Retry(error) if mendable else Rejected(error.code)
