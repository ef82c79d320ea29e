"""The part of the store port for delivery: events, and the task tokens that one sink answers with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from watcher.model import Backlog, DeadLetter, Event, Lease, TaskTokens
from watcher.query import Page


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

    async def task_tokens(self, keys: Sequence[str]) -> TaskTokens:
        """The tokens that wait for these tasks, open or ended, in order of arrival. A key without one is left out.

        A token is either seen by every call after the commit that ended its watch, or returned by `late_tokens`.
        """
        ...

    async def begin_answers(self, tokens: TaskTokens) -> TaskTokens:
        """Record that these tokens are about to be answered. Returns those that were recorded before, whose answer may have arrived."""
        ...

    async def drop_tokens(self, tokens: TaskTokens) -> None:
        """Erase these tokens: they are answered, or refused. Keeps their digests, to ignore a message that comes again."""
        ...

    async def late_tokens(self, shards: Collection[int], limit: int) -> Sequence[str]:
        """Keys of tasks of these shards with a token that no event answers, the longest waiting first, at most `limit`.

        They got it after they had ended; or they had ended before a sink was added, which starts at the next event.
        """
        ...

    async def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        """One page of the open tasks of these shards that have tokens: the key and one token. Each token comes once in all pages."""
        ...
