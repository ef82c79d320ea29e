"""The part of the store port for readers: commands and the API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from watcher.model import Backlog, DeadLetter, Event, Replica, Watch
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, TaskQuery

IDENTITY = "identity"
"""The name under which a store keeps the text of `Queries.identity`."""


class Queries(Protocol):
    """Reads for commands and the API, also while the owner runs in another process."""

    @property
    def shards(self) -> int:
        """How many shards there are. Known after `attach`, and after `open`."""
        ...

    @property
    def renew_s(self) -> float | None:
        """As in `Shards`; known before `attach`. None: this store has a single owner."""
        ...

    async def attach(self) -> None:
        """Open for `Queries` and `Operations` without becoming an owner. Raises StoreRefused where there is no store."""
        ...

    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def identity(self) -> str:
        """32 random hex digits that the store got when it was created or, by an earlier version, when it was migrated.

        All replicas on a store see the same ones. A copy has its own, because its events have other positions.
        """
        ...

    async def task(self, key: str) -> Watch | None:
        """The watch of this task, open or ended."""
        ...

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        """Watches that match the query, the newest first unless it says otherwise."""
        ...

    async def replicas(self) -> Sequence[Replica]:
        """The replicas whose leases have not ended, in order of their names. None in a store with a single owner."""
        ...

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        """How many open watches there are of these kinds and in these targets. None: of all kinds, in all targets."""
        ...

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        """Return the number of open watches by kind, status, and age class, in any order. Reads all open watches.

        The age of a watch is that of its status, or the time since its admission where that is not known. `now` is in
        seconds since the epoch.
        """
        ...

    async def task_events(self, key: str) -> Sequence[Event]:
        """All stored events of a task, in order."""
        ...

    async def events(self, query: EventQuery) -> Sequence[Event]:
        """Events after the given position of each shard, in order of position within each shard, at most `limit`."""
        ...

    async def positions(self) -> Mapping[int, int]:
        """The position of the newest event of each shard that has any. Reads no events.

        All events of a shard up to this position are visible to later reads, and those committed later have higher ones.
        No position is used twice, even after its event was erased and the store was opened again.
        """
        ...

    async def undelivered(self, key: str) -> Mapping[str, int]:
        """For each sink that has any, the number of events of this task that it has not settled."""
        ...

    async def backlog(self) -> Mapping[str, Backlog]:
        """For each sink, the events that it has not settled."""
        ...

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        """Dead letters that match the query, the newest first unless it says otherwise."""
        ...

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        """How many dead letters there are, by `what` and `origin`. Reads no bodies."""
        ...

    async def load_state(self, name: str) -> str | None:
        """The text kept under this name, None where there is none."""
        ...

    async def load_states(self, name: str) -> Sequence[str]:
        """The texts kept under this name: the common one, and those that replicas keep as their own."""
        ...
