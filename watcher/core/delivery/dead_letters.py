"""Makes the dead letter of a refused event."""

from __future__ import annotations

from watcher.core.delivery.refusals import Refusal
from watcher.model import DeadLetter


def dead_letter_of(refusal: Refusal, sink: str, at: float, *, retried: DeadLetter | None = None) -> DeadLetter:
    """The dead letter of an event, added at `at` (seconds since the epoch). `retried` is the one that it was before, if any."""
    event = refusal.event
    return DeadLetter(
        id=f"{event.id[:12]}-{sink}" if retried is None else retried.id,
        what="event",
        origin=sink,
        reason=refusal.reason,
        detail=f"{event.type} {event.id}",
        body=event.body,
        at=at,
        key=event.key,
        position=event.position,
        shard=event.shard,
    )
