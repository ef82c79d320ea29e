"""The ports between the runtime and the outside world, and the obligations of each implementation.

Common to all: `open` comes first and `close` last, also after a failed `open`. An adapter makes one attempt and raises
a `RemoteError` (a store: a `StoreError`) that names what went wrong. It never sleeps, retries, or logs; only the
runtime waits. A cancelled call leaves the adapter usable. `check` makes one harmless call and returns what answered, in
a few words and without secrets; it raises what any other call would raise.

The store is four protocols for four audiences: `Shards` (ownership and writes), `Outbox` (delivery), `Queries` (reads
for commands and the API), and `Operations` (what operators request). One class implements all four, and `Copies` too, with
which the content of a store is copied into another one.

The exams in `tests/contracts/` check these obligations against every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from watcher.errors import RemoteError
from watcher.model import (
    Backlog,
    Change,
    Claim,
    DeadLetter,
    Event,
    Lease,
    Leftover,
    Message,
    Observation,
    Portion,
    Pruned,
    RefusalCause,
    Replica,
    Report,
    TaskRef,
    Watch,
)
from watcher.query import DeadLetterQuery, EventQuery, Page, Selection, TaskQuery


class Source(Protocol):
    """Where task ids come from."""

    name: str
    plain: bool
    """Whether each body that is not JSON is read as a task name such as `VoiceConnectorId/TaskId`, whatever it looks like."""
    watch_notified: bool
    """Whether a notification of AWS about a task that was not submitted starts a watch."""
    receivers: int
    """How many `receive` calls may run at once."""
    hold_s: float | None
    """Seconds for which a received message stays reserved for this process without an acknowledgement. None: until the process ends."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def receive(self) -> Sequence[Message] | None:
        """Wait a while for messages. An empty sequence: none came, call again at once. None: the source is exhausted.

        A message that is not acknowledged comes again, in this process or the next one, if the source supports that.
        A body longer than intake accepts is cut just above that limit, never read into memory whole.
        """
        ...

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Remove these messages from the source. Returns those for which that failed: they come again."""
        ...

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Keep these messages for another `hold_s`. Returns those that this process no longer holds."""
        ...


class Probe(Protocol):
    """Reads the state of remote tasks."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Make one wire request about these tasks. Returns an outcome for each, in order.

        `refs` are of one batch group: the same kind and target, at most `kind.batch_size` of them. The call ends within
        the call deadline, whatever the peer does. Raises a `RemoteError` when the call as a whole failed, and nothing
        else; a reply that makes no sense is `Unreadable`.
        """
        ...

    async def refresh(self) -> None:
        """Discard the current credentials and fetch new ones, with one attempt."""
        ...


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
        """
        ...

    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def claim(self, report: Report | None = None) -> Claim:
        """Renew the leases of this replica and take free shards, up to its fair share (`core.ownership.fair_share`).

        `report` replaces what this replica told the others before. Never waits for another replica.
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

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        """Add watches; needs no lease. Returns for each key the watch that now exists: the new one, or an earlier one."""
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

    async def task(self, key: str) -> Watch | None:
        """The watch of this task, open or ended."""
        ...

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        """Watches that match the query, the newest first unless it says otherwise."""
        ...

    async def replicas(self) -> Sequence[Replica]:
        """The replicas whose leases have not ended, in order of their names. None in a store with a single owner."""
        ...

    async def count_open(self, kinds: Collection[str] | None = None) -> int:
        """How many open watches there are of these kinds, or of all kinds."""
        ...

    async def task_events(self, key: str) -> Sequence[Event]:
        """All stored events of a task, in order."""
        ...

    async def events(self, query: EventQuery) -> Sequence[Event]:
        """Events after the given position of each shard, in order of position within each shard, at most `limit`."""
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


@dataclass(frozen=True, slots=True)
class Requests:
    """What operators requested: keys of tasks that were erased, and one page of the dead letters to retry."""

    forgotten: Sequence[str] = ()
    retries: Sequence[DeadLetter] = ()
    next: str | None = None
    """Continues after these retries; None when there are no more."""


RETRY_PAGE = 100
"""Dead letters in one page of `requests`: a body may have 1 MiB."""


class Operations(Protocol):
    """What operators request from any process, and how the owner reads the requests."""

    async def retry(self, ids: Sequence[str]) -> int:
        """Mark these dead letters for a retry by the owner. Returns how many exist."""
        ...

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        """Erase these dead letters, or all of them. Returns how many."""
        ...

    async def forget(self, selection: Selection) -> int:
        """Erase the selected watches with their events and dead letters. Returns the number of watches."""
        ...

    async def requests(self, after: str | None = None) -> Requests:
        """For the owner: erasures since the last call, and dead letters that are marked for a retry, in order of arrival.

        On a shared store, each replica gets those of its own shards; `shard_of` the id of the dead letter of an input is
        its shard. At most `RETRY_PAGE` of them, after the `next` of the previous page. A mark goes away when the dead
        letter is purged or added again.
        """
        ...


class Store(Shards, Outbox, Queries, Operations, Protocol):
    """A whole store."""


class Copies(Protocol):
    """Moves the whole content of one store into another one, while no watcher runs on either of them.

    The source is read by `Queries` and `states`, the target is written by `restore`.
    """

    async def attach_alone(self) -> None:
        """`attach` to a store that no watcher uses, and let none own it until `close`. Changes nothing in the store.

        Raises StoreRefused for a store in use, and for the target of an unfinished copy. In a shared store, replicas can
        still start: `replicas` shows them.
        """
        ...

    async def states(self) -> Mapping[str, str]:
        """The texts that are kept for the whole store, by name: without those that replicas keep as their own."""
        ...

    async def open_target(self) -> None:
        """Prepare to receive a copy, as the only user of the store. Creates it if there is none.

        Raises StoreRefused for a store in use, and for one that has watches, events, or dead letters, unless they are a
        copy that no watcher has opened yet.
        """
        ...

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        """Begin or continue a copy of the content that `source` identifies. Returns the `progress` of its last `restore`, empty at first.

        A new copy replaces the texts and sinks of this store. Raises StoreRefused for a copy of other content.
        From now on, `open` and `attach_alone` raise StoreRefused, until `end_copy`.
        """
        ...

    async def restore(self, portion: Portion, progress: str) -> None:
        """Add all of this portion, as it is, and record the progress, in one transaction.

        A watch keeps its id and all stored fields, an event its id and body. Events get new positions, in the order of the
        portion. Dead letters keep their tries and marks.
        """
        ...

    async def end_copy(self) -> None:
        """The copy is complete: `open` accepts the store again."""
        ...


class PortableStore(Store, Copies, Protocol):
    """A store whose content can be copied from it and into it."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The sink holds the event durably."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The sink did not accept the event this time. `error` says why, and when to retry if the sink said so."""

    error: RemoteError


@dataclass(frozen=True, slots=True)
class Rejected:
    """The sink refused the event, and sending it again unchanged would not help. `reason` is a code, such as `http_422`.

    The runtime decides whether the event becomes a dead letter with this reason, or whether the sink refuses everything
    at the moment: `core.delivery.refusals`. `cause` is what the adapter knows about that.
    """

    reason: str
    cause: RefusalCause = field(default="unknown", compare=False)


Outcome = Delivered | Retry | Rejected


class Sink(Protocol):
    """Where events go."""

    name: str
    max_batch: int
    """Most events in one `send`; no two are of the same task."""
    concurrency: int
    """How many `send` calls may run at once, never two with the same task."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Make one attempt. Returns an outcome for each event, in order.

        Raises a RemoteError when no event was accepted, and PeerGone when this process can never deliver to it again.
        """
        ...


@runtime_checkable
class LocalSink(Sink, Protocol):
    """A sink on this machine, whose `send` has no deadline of its own, because a write to a file cannot be given up."""

    writes_here: bool
    """True. A `send` that takes longer than 10 s makes the sink unhealthy."""
