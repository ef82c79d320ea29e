"""Decides what a refusal means: is the event at fault, or does the sink refuse every event?

One answer does not say which. So a refused event is held and sent again. It becomes a dead letter when the sink accepts
events of other tasks before and after it refuses this one. Held events are not settled, so waiting loses nothing. Times
are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from watcher.model import Event, RefusalCause

MANY = 3
"""Tasks refused in a row, with no event accepted in between, from which the sink counts as refusing everything."""
CROWD = 100
"""Held events from which only one batch is in flight, so that comparisons keep up with new refusals. Held events fill the window
of the sink, and with nothing else in it nothing could be accepted any more."""


class Ground(StrEnum):
    """Why a refused event is a dead letter."""

    UNACCEPTABLE = "unacceptable"
    """The sink checked it without sending it, or the event was a dead letter before."""
    SAME_BATCH = "same_batch"
    """Other events of the same batch were accepted."""
    OTHERS_ACCEPTED = "others_accepted"
    """It was refused again after an event of another task was accepted, and then another one was accepted."""
    NOTHING_TO_COMPARE = "nothing_to_compare"
    """It was refused for the configured time, in which nothing else was accepted, and at most one other task was refused."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that a sink refused, with the code that it gave as the reason."""

    event: Event
    reason: str
    cause: RefusalCause = "unknown"


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """A refused event that becomes a dead letter."""

    refusal: Refusal
    ground: Ground


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do after a batch."""

    dead: Sequence[DeadEvent] = ()
    """Events of this batch, and events that were held before it."""
    held: Sequence[Event] = ()
    """Events of this batch to hold: neither settled nor sent, until they are released."""
    released: Sequence[Event] = ()
    """Events that were held, to be sent again now."""


@dataclass(slots=True)
class _Held:
    refusal: Refusal
    since: float
    """When it was refused for the first time."""
    compared: bool = False
    """An event of another task was accepted between two attempts at this one."""
    in_row: bool = True
    """It was refused since the last event was accepted."""


@dataclass(slots=True)
class Refusals:
    """The refused events of one sink. `retry_for` is how long one is sent again while no event of another task is accepted."""

    retry_for: float
    _waiting: dict[str, _Held] = field(default_factory=dict)
    """Held events by id, in the order in which they are sent again."""
    _released: dict[str, _Held] = field(default_factory=dict)
    """Events that were released and are not answered yet."""
    _put_off: dict[str, _Held] = field(default_factory=dict)
    """Events that were released, and that the sink neither accepted nor refused: they are sent again as any other one."""
    _row: set[str] = field(default_factory=set)
    """Keys of tasks refused since the last event was accepted, at most `MANY`; dead letters included."""
    _accepted_at: float = 0.0
    _accepted_again: int = 0
    """How many released events in a row were accepted. As many more are released at once: slowly at first, then all of them."""

    @property
    def refuses_everything(self) -> bool:
        """Whether several tasks in a row were refused. Then nothing is a dead letter, and one batch at a time is sent as a probe."""
        return len(self._row) >= MANY

    @property
    def one_at_a_time(self) -> bool:
        """Whether only one batch may be in flight: as a probe, or because many events wait for a comparison."""
        return self.refuses_everything or len(self._waiting) >= CROWD

    @property
    def waiting(self) -> bool:
        """Whether an event is held and none is released: only `probe` sends it again."""
        return bool(self._waiting) and not self._released

    def judge(self, accepted: Sequence[Event], refused: Sequence[Refusal], now: float) -> Verdict:
        """Decide about the refused events of a batch, and about earlier ones that can now be compared.

        A sink that refused everything may begin to work in the middle of a batch. What it refused in that batch is sent once more.
        """
        compares = bool(accepted) and not self.refuses_everything
        dead = list(self._compare(now)) if accepted else []
        for event in accepted:
            self._put_off.pop(event.id, None)
            if self._released.pop(event.id, None) is not None:
                self._accepted_again += 1
        held = []
        for refusal in refused:
            ground = self._ground(refusal, now, with_others=compares)
            if ground is None:
                held.append(refusal.event)
            else:
                dead.append(DeadEvent(refusal, ground))
        return Verdict(dead, held, list(self._release()) if accepted else ())

    def probe(self) -> Event | None:
        """Release the event that was sent longest ago, to see whether the sink accepts it now. None if no event waits."""
        return self._next() if self.waiting else None

    def put_off(self, events: Sequence[Event]) -> None:
        """Note that these are sent again later because the sink did not work: no other held event waits for their answers."""
        for event in events:
            if (held := self._released.pop(event.id, None)) is not None:
                self._put_off[event.id] = held

    def discard(self, unwanted: Callable[[Event], bool]) -> None:
        """Forget events that will not be sent any more."""
        for events in (self._waiting, self._released, self._put_off):
            for id_ in [id_ for id_, held in events.items() if unwanted(held.refusal.event)]:
                del events[id_]

    def _compare(self, now: float) -> Iterator[DeadEvent]:
        """An event was accepted: yield what was refused among accepted events, and end the series of refusals."""
        few = not self.refuses_everything
        for id_, held in list(self._waiting.items()):
            if held.compared and held.in_row and few:
                del self._waiting[id_]
                yield DeadEvent(held.refusal, Ground.OTHERS_ACCEPTED)
            held.compared, held.in_row = True, False
        self._row.clear()
        self._accepted_at = now

    def _ground(self, refusal: Refusal, now: float, *, with_others: bool) -> Ground | None:
        """Why this event is a dead letter now, None where it is held."""
        event = refusal.event
        places = (self._released, self._waiting, self._put_off)
        held = next((found for each in places if (found := each.pop(event.id, None)) is not None), None) or _Held(refusal, now)
        if refusal.cause == "event":
            return Ground.UNACCEPTABLE
        if with_others:
            return Ground.SAME_BATCH
        self._accepted_again = 0
        if not self.refuses_everything:
            self._row.add(event.key)
        alone_s = now - max(held.since, self._accepted_at)
        if alone_s >= self.retry_for and refusal.cause != "sink" and not self.refuses_everything:
            return Ground.NOTHING_TO_COMPARE
        held.refusal, held.in_row = refusal, True
        self._waiting[event.id] = held
        return None

    def _release(self) -> Iterator[Event]:
        while self._waiting and len(self._released) <= self._accepted_again:
            yield self._next()

    def _next(self) -> Event:
        id_, held = next(iter(self._waiting.items()))
        self._released[id_] = self._waiting.pop(id_)
        return held.refusal.event
