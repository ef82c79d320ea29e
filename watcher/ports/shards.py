"""The part of the store port for the loops that own shards: leases, admission, and commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from watcher.model import NO_TOKENS, Change, Claim, DeadLetter, Lease, Leftover, Pruned, Report, TaskTokens, Watch


@dataclass(frozen=True, slots=True)
class Signals:
    """What other replicas did that concerns this one."""

    admitted: bool = False
    """They admitted watches to shards of this replica."""
    released: bool = False
    """Shards have become free."""
    notified: frozenset[str] = frozenset()
    """Keys of tasks of this replica about which they received a notification of AWS."""

    def __or__(self, other: Signals) -> Signals:
        return Signals(self.admitted or other.admitted, self.released or other.released, self.notified | other.notified)


class Shards(Protocol):
    """Ownership of the key space, and the writes that depend on it.

    The key space is divided into `shards` fixed slices (`model.shard_of`). A lease makes one replica the owner of one
    shard. A store with a single owner (memory, a file) grants all leases in the first `claim`, and they never expire.

    A shared store has several replicas at once. Their leases end when they are not renewed in time, by the clock of the
    store; then the other replicas may take over their shards.

    A writing call is all or nothing. When it returns and the store is `durable`, a crash loses nothing of it.
    """

    @property
    def durable(self) -> bool:
        """Whether the store survives the process."""
        ...

    @property
    def shards(self) -> int:
        """How many shards there are, fixed when the store is created. Known after `open`."""
        ...

    @property
    def renew_s(self) -> float | None:
        """Seconds between two `claim` calls. None: this store has a single owner, whose leases never expire, so one `claim` is enough."""
        ...

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        """Prepare to run with these sinks. A new sink starts after the newest event; a removed one without events is forgotten.

        A removed sink in `drop` is forgotten with its undelivered events and its dead letters; returns what these were.
        Raises SinksRemoved for other removed sinks that have any, and StoreRefused for a store that is newer, corrupt,
        owned by another process, or the target of an unfinished copy. On a shared store, other replicas may be at work.
        While they are, no sink is removed, whatever it has: StoreRefused, because they deliver to it.
        """
        ...

    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def claim(self, report: Report | None = None) -> Claim:
        """Renew the leases of this replica and take free shards, up to its fair share (`core.ownership.fair_share`).

        `report` replaces what this replica told the others before. Never waits for the leases of another replica.
        Raises StoreRefused if this replica is not registered, and one of its sinks was removed since it was opened.
        """
        ...

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        """Give these shards back. A lease that was lost in the meantime is ignored.

        `leaving`: this replica will claim nothing more, so the others share its part at once.
        """
        ...

    async def wait(self) -> Signals:
        """Wait until another replica has done something that concerns this one. Never returns in a store with a single owner.

        May be wrong in both directions: a signal can be lost while the connection to the store is, and it can be given
        twice. The first call, and that after a failure, returns at once, as if watches were admitted and shards released.
        """
        ...

    def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        """All open watches of the shard, in pieces. A watch that is admitted meanwhile may be missing or included."""
        ...

    def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        """Open watches of these shards that `load` may have missed, and those admitted since the previous call, in pieces.

        A watch may come again, and also one that this process admitted itself. None is left out: neither one that was
        admitted during `load`, nor one whose admission was under way during the previous call. Shards that were not
        loaded under these leases are ignored.
        """
        ...

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        """Add watches; needs no lease. Returns for each key the watch that now exists: the new one, or an earlier one.

        `task_tokens`, by the keys of some of these watches, are kept with the watches that now exist, in the same transaction.
        A token that the watch has, or had before it was answered, is ignored. They are erased with their watch.
        """
        ...

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        """Tell the owners of these tasks that AWS sent notifications about them. Returns the keys that have an open watch."""
        ...

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        """Write watches and their events in one transaction, under the leases of their shards.

        Returns the keys of tasks that were erased in the meantime: nothing was written for them. Raises Fenced with the
        shards whose lease is missing or no longer valid: nothing at all was written. An event whose id is already
        stored is not stored again.
        """
        ...

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Keep inputs that name no task. The same dead letter again counts one more try."""
        ...

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        """Erase watches that ended before then (seconds since the epoch) and whose events every sink has settled, with
        their events; dead letters of inputs from before then; and dead letters of events from before `events_before`.

        None keeps the dead letters of events: then only an operator erases an event that was not delivered.
        """
        ...

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        """Keep a text under a name, such as the learned pace. It replaces an earlier one.

        `own`: it is kept beside the texts of the other replicas, and only while this replica is alive. Only `load_states`
        returns it. In a store with a single owner, `own` has no effect.
        """
        ...

    async def load_state(self, name: str) -> str | None:
        """The text kept under this name, None where there is none."""
        ...
