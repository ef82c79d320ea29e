"""Records what a sink is done with: events that it accepted, and refused ones that are now dead letters.

Knows the dead letters that operators retry: one that is delivered is erased, one that is refused is added again as it was.
It sends nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from watcher.core.delivery.dead_letters import dead_letter_of
from watcher.core.delivery.refusals import Refusal
from watcher.errors import Fenced
from watcher.model import DeadLetter, Event
from watcher.ports import Store
from watcher.runtime.backlog import BacklogCounter
from watcher.runtime.instruments import Instruments
from watcher.runtime.leases import Leases


class _Retried(NamedTuple):
    """A dead letter that is being retried. `stored`: the store has it; otherwise it would be added if the event is refused."""

    letter: DeadLetter
    stored: bool


class Settlements:
    """The settlements of one sink."""

    def __init__(self, sink: str, store: Store, leases: Leases, backlog: BacklogCounter, instruments: Instruments) -> None:
        self.on_settled: Callable[[str, Sequence[Event]], None] = lambda sink, events: None
        """Called with the name of the sink and events that it has settled."""
        self.on_fenced: Callable[[Collection[int]], None] = lambda shards: None
        """Called with shards that turn out to be owned by another replica."""
        self._sink = sink
        self._store = store
        self._leases = leases
        self._backlog = backlog
        self._clock = instruments.clock
        self._retried: dict[str, _Retried] = {}
        """By event id."""

    def retry(self, event: Event, dead_letter: DeadLetter, *, stored: bool = True) -> None:
        """The event of this dead letter is sent again. `stored`: the store has it, so it is erased when the event is delivered."""
        self._retried[event.id] = _Retried(dead_letter, stored)

    def is_retried(self, event: Event) -> bool:
        """Whether this event is a dead letter that is being retried."""
        return event.id in self._retried

    def release(self, shard: int) -> None:
        """Forget the retries of a shard: its next owner makes them."""
        self._retried = {id_: retried for id_, retried in self._retried.items() if retried.letter.shard != shard}

    def forget(self, key: str, kept: Collection[str]) -> set[str]:
        """Forget the retries of an erased task, except the events `kept`, by id. Returns the ids of the others."""
        erased = {id_ for id_, retried in self._retried.items() if retried.letter.key == key and id_ not in kept}
        for id_ in erased:
            del self._retried[id_]
        return erased

    async def record(self, delivered: Sequence[Event], dead: Sequence[Refusal]) -> Sequence[Event]:
        """Record these events and count them. When it returns, a crash repeats none of them.

        Returns them without those of shards that another replica owns now, which records them.
        """
        done = [*delivered, *(refusal.event for refusal in dead)]
        retried = {event.id for event in done if self.is_retried(event)}
        lost = await self._settle(delivered, [self._dead_letter(refusal) for refusal in dead])
        revived = [self._retried.pop(event.id) for event in delivered if self.is_retried(event)]
        if stored := [each.letter.id for each in revived if each.stored]:
            await self._store.purge(stored)
        self._backlog.settled(self._sink, [event for event in done if event.id not in retried])
        self.on_settled(self._sink, done)
        return [event for event in done if event.shard not in lost]

    def _dead_letter(self, refusal: Refusal) -> DeadLetter:
        retried = self._retried.pop(refusal.event.id, None)
        return dead_letter_of(refusal, self._sink, self._clock.wall(), retried=None if retried is None else retried.letter)

    async def _settle(self, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter]) -> set[int]:
        """Settle under the current leases. Returns the shards that another replica owns now: it settles their events."""
        lost: set[int] = set()
        while delivered or dead_letters:
            leases = dict(self._leases.held)
            try:
                await self._store.settle(self._sink, delivered, dead_letters, leases)
            except Fenced as error:
                self.on_fenced([shard for shard in error.shards if shard in leases and self._leases.holds(leases[shard])])
                lost.update(error.shards)
                delivered = [event for event in delivered if event.shard not in lost]
                dead_letters = [letter for letter in dead_letters if letter.shard not in lost]
            else:
                break
        return lost
