"""Batch calls to SQS, SNS, EventBridge, and Kinesis: fit entries into calls, and return an outcome for each entry.

A batch call that returns status 200 can still have failed in part. An entry counts as delivered only if the reply says
so for that entry. Each entry is sent at most once here: the runtime decides about a retry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from watcher.adapters.aws.errors import classify
from watcher.core.delivery.events import trace_of
from watcher.core.trace_context import attributes_of
from watcher.errors import Busy, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Event
from watcher.ports import Delivered, Outcome, Rejected, Retry

MAX_ENTRIES = 10
"""Entries in one batch call of SQS, SNS, and EventBridge."""

MAX_MESSAGE_BYTES = 256 * 1024
"""Bytes of all entries in one call to SQS or SNS, bodies and attributes together. SQS accepts more if a queue is
configured for it, but SNS and many subscribers do not."""

MAX_GROUP_ID = 128
"""Characters of a FIFO message group id."""

_INVALID_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow. SQS and SNS reject them, and one of them can fail the whole call."""

_OUTSIDE = (Throttled, Unavailable, Denied, CredentialsRejected, NotFound, Busy)
"""Errors whose cause is outside the entry, so that the same entry can succeed later."""

_OUTSIDE_WORDS: Mapping[type[RemoteError], re.Pattern[str]] = {
    Denied: re.compile("kms|denied|notauthorized|unauthorized|optin|disabled|accountid", re.IGNORECASE),
    Throttled: re.compile("quota|(?<!size)(?<!length)limitexceeded", re.IGNORECASE),
    Unavailable: re.compile("internal|unavailable|timeout", re.IGNORECASE),
}
"""Words in the codes of such errors. The services have more codes for them than they document: KMS alone has ten."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """One event as an entry of a batch call, and its size in bytes as the service counts it."""

    fields: Mapping[str, Any]
    size: int


SendBatch = Callable[[Sequence[Mapping[str, Any]]], Awaitable[Sequence[Outcome]]]
"""Makes one call with these entries and returns an outcome for each. Raises a RemoteError if the call failed."""


def in_batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in groups of at most `MAX_ENTRIES`."""
    return (items[start : start + MAX_ENTRIES] for start in range(0, len(items), MAX_ENTRIES))


async def send_all(entries: Sequence[BatchEntry | Rejected], limit: int, send: SendBatch, *, most: int = MAX_ENTRIES) -> Sequence[Outcome]:
    """Send each entry once, in as few calls of at most `limit` bytes and `most` entries as possible. Returns an outcome for each, in order.

    If a call fails before anything was delivered, its RemoteError is raised. If a later call fails, its entries and the
    ones not yet sent get the outcome `Retry`.
    """
    outcomes: dict[int, Outcome] = {index: entry for index, entry in enumerate(entries) if isinstance(entry, Rejected)}
    failed: Outcome | None = None
    for batch in _batches({index: entry for index, entry in enumerate(entries) if isinstance(entry, BatchEntry)}, limit, most):
        try:
            results = await send([entry.fields for entry in batch.values()]) if failed is None else [failed] * len(batch)
        except RemoteError as error:
            if not any(isinstance(outcome, Delivered) for outcome in outcomes.values()):
                raise
            failed = Retry(error)
            results = [failed] * len(batch)
        outcomes.update(zip(batch, results, strict=True))
    return [outcomes[index] for index in range(len(entries))]


def _batches(entries: Mapping[int, BatchEntry], limit: int, most: int) -> Iterator[dict[int, BatchEntry]]:
    """Yield the entries by their index, in order, in groups of at most `limit` bytes and `most` entries."""
    batch: dict[int, BatchEntry] = {}
    size = 0
    for index, entry in entries.items():
        if batch and (len(batch) == most or size + entry.size > limit):
            yield batch
            batch, size = {}, 0
        batch[index] = entry
        size += entry.size
    if batch:
        yield batch


def message_entry(event: Event, *, body: str, fifo: bool) -> BatchEntry | Rejected:
    """Return an event as a message for a queue or a topic. `body` is the service's name for the field with the text."""
    text = event.body.decode()
    if _INVALID_CHARACTERS.search(text):
        return Rejected("characters", "event")
    attributes = _attributes(event)
    size = len(event.body) + sum(len(name) + len("String") + len(value.encode()) for name, value in attributes.items())
    if size > MAX_MESSAGE_BYTES:
        return Rejected("size", "event")
    fields = {body: text, "MessageAttributes": {n: {"DataType": "String", "StringValue": v} for n, v in attributes.items()}}
    if fifo:
        fields |= {"MessageGroupId": group_id(event.key), "MessageDeduplicationId": event.id}
    return BatchEntry(fields, size)


def _attributes(event: Event) -> dict[str, str]:
    """Return the message attributes: those that subscribers filter by, and the trace context, where instrumentation looks for it.

    A value that an attribute cannot hold is left out.
    """
    values = {
        "content-type": "application/cloudevents+json",
        "type": event.type,
        "kind": event.kind,
        "to": event.to or "",
        "terminal": "true" if event.terminal else "false",
        **attributes_of(trace_of(event)),
    }
    return {name: value for name, value in values.items() if value and not _INVALID_CHARACTERS.search(value)}


def group_id(key: str) -> str:
    """Return the FIFO message group of a task: its key, or the SHA-256 of its key if that is too long.

    A key is percent-encoded, so all of its characters are allowed. Its ids can have 128 and 256 characters.
    """
    return key if len(key) <= MAX_GROUP_ID else hashlib.sha256(key.encode()).hexdigest()


def with_ids(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries with an `Id` each, their index in the call. The reply refers to entries by it."""
    return [{"Id": str(index), **entry} for index, entry in enumerate(entries)]


def outcomes_by_id(reply: Mapping[str, Any], count: int) -> list[Outcome]:
    """Return the outcomes of `count` entries from a reply with `Successful` and `Failed`. An entry in neither was not delivered."""
    found: dict[str | None, Outcome] = {entry.get("Id"): Delivered() for entry in reply.get("Successful") or ()}
    failed = reply.get("Failed") or ()
    found |= {entry.get("Id"): failed_entry(str(entry.get("Code")), sender_fault=bool(entry.get("SenderFault"))) for entry in failed}
    return [found.get(str(index), Retry(Unreadable("no_outcome"))) for index in range(count)]


def failed_entry(code: str, *, sender_fault: bool = True) -> Retry | Rejected:
    """Return the outcome of an entry that failed with this code.

    A fault of the sender concerns the event, unless the code is about the rate, a limit, a permission, the encryption key,
    or the destination: an operator can fix these while the event waits. For a service that does not say whose fault it is
    (EventBridge), only the code decides.
    """
    error = classify(code, 400 if sender_fault else 500)
    if not sender_fault or isinstance(error, _OUTSIDE):
        return Retry(error)
    outside = next((class_ for class_, words in _OUTSIDE_WORDS.items() if words.search(error.code)), None)
    return Rejected(error.code) if outside is None else Retry(outside(error.code, error.detail))
