"""An entry of the pending set, and its packed form.

A watch that waits is packed into bytes. That takes a third of the memory of an object, and the garbage collector has
nothing to visit: with a million watches as objects, each of its full runs would stop the event loop for a second.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from struct import Struct

from watcher.model import DEFAULT_TARGET, TaskRef, Watch

PLACE = Struct("dq")
"""A `DueKey` at the start of a packed entry, so that the queue can read it without unpacking the rest."""


PLANNED = ("new", "cadence", "announcements")
"""The reasons to wait of polls that the cadence plans by the lag that it expects."""


@dataclass(slots=True)
class PendingEntry:
    """A watch and when to poll it."""

    watch: Watch
    due: float
    placed_at: float
    """When it was put here: after its last poll, or when it was added."""
    rate: float
    """The calls per second that it wants: 1 / gap. 0 for a poll that no gap planned."""
    reason: str
    """Why it waits until then: `new`, `adopted`, `cadence`, `announcements`, `poll_now`, or the reason of a poll error."""
    source: str = ""
    """The source that submitted the watch, until its task is seen for the first time; empty if it is not known."""
    backlog: bool = False
    """It waits in the backlog, or did so before its flight."""
    alone: bool = False
    """Poll it in a call of its own: it would make a call about several tasks fail as a whole."""
    turn: int = 0
    poll_now: bool = False
    """In flight: poll it again as soon as it is back."""
    dropped: bool = False
    """In flight: remove it when it is back."""
    successor: Watch | None = None
    """In flight: another watch of the same task, which takes this place when it is back."""
    shares_call: bool = False
    """In flight without a call of its own: in the same batch as another entry, or to be decided without a call."""


def pack(entry: PendingEntry) -> bytes:
    """An entry that waits, as bytes without its key."""
    target, facts = entry.watch.ref.target, entry.watch[1:]
    other_target = None if target == DEFAULT_TARGET else target
    values = (entry.placed_at, entry.rate, entry.reason, entry.source, entry.backlog, entry.alone, other_target, *facts)
    return PLACE.pack(entry.due, entry.turn) + marshal.dumps(values)


def unpack(key: str, packed: bytes) -> PendingEntry:
    """The entry from its key and the bytes that `pack` made in this process."""
    due, turn = PLACE.unpack_from(packed)
    placed_at, rate, reason, source, backlog, alone, target, *facts = marshal.loads(packed[PLACE.size :])  # noqa: S302 - never bytes from outside
    watch = Watch(TaskRef.of(key, target or DEFAULT_TARGET), *facts)
    return PendingEntry(watch, due, placed_at, rate, reason, source, backlog, alone, turn)


def age(watch: Watch) -> float:
    """The age of the status in seconds when it was last seen."""
    if watch.seen_at is None or watch.status_since is None:
        return 0.0
    return watch.seen_at - watch.status_since
