"""The part of the store port for delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from watcher.model import Backlog, DeadLetter, Event, Lease


class Outbox(Protocol):
    """Events on their way to the sinks. Each sink has one cursor for each shard.

    Positions grow in commit order within a shard. Positions of different shards cannot be compared: a reader that has
    seen position 3 of one shard must still read position 2 of another.
    """

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        """Events of this shard that the sink has not settled, in order of position, starting after position `after`."""
        ...

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        """Record that this sink is done with these events: delivered, or rejected and now dead letters.

        Raises Fenced as `commit` does: nothing was recorded.
        """
        ...

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        """For each sink, the events of this shard that it has not settled. Reads them all: once per adopted shard."""
        ...
