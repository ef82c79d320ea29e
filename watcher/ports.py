"""The four ports, and what whoever implements one promises.

Common to all: `open` before anything else, `close` at the end, also after a failed `open`. An adapter makes one
attempt and raises a `RemoteError` (a store: a `StoreError`) that names what went wrong; it never sleeps, repeats or
logs. Only the runtime waits. Cancelling a call leaves the adapter usable. `check` makes one harmless call and returns,
in a few words and without secrets, what answered; it raises what any other call would.

The exams in `tests/contracts/` put these sentences to every implementation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from watcher.errors import RemoteError
from watcher.model import Backlog, Change, DeadLetter, Event, Observation, TaskRef, Watch
from watcher.model import Message as Message


class Source(Protocol):
    """Where task ids come from."""

    name: str
    plain: bool
    """Whether a body may also be a bare `VoiceConnectorId/TaskId`."""
    receivers: int
    """How many `receive`s may run at once."""
    hold_s: float | None
    """For how long a received message stays ours without an ack, in seconds. None: until we end."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def receive(self) -> Sequence[Message] | None:
        """Wait a while for messages. An empty sequence: nothing came, ask again at once. None: nothing will ever come.

        A message that is not acknowledged comes again, in this process or the next, when the source can do that.
        A body longer than intake takes is cut just above its limit, never read into memory whole.
        """
        ...

    async def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Take these off the source for good. Returns those for which that failed: they are acked again when they come again."""
        ...

    async def extend(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Keep these ours for another `hold_s`. Returns those that are ours no longer."""
        ...


class Probe(Protocol):
    """Asks the remote service about one task."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def observe(self, ref: TaskRef) -> Observation:
        """One wire request, one observation. Ends within the call deadline, whatever the peer does.

        Raises a `RemoteError` and nothing else: what a reply cannot be made sense of is `Unreadable`.
        """
        ...

    async def refresh(self) -> None:
        """Forget the credentials at hand and fetch others, once."""
        ...


class Store(Protocol):
    """Holds watches, the outbox with a cursor for each sink, and dead letters. Has one owner at a time.

    When a writing call returns, a crash loses nothing of it if `durable`. Writing calls are all or nothing.
    """

    durable: bool

    async def open(self, sinks: Sequence[str]) -> None:
        """Become the owner. `sinks` are those to deliver to; one never named before begins with the next event,
        one named no longer is forgotten. Raises StoreRefused for a file that is newer, corrupt or owned."""
        ...

    async def close(self) -> None: ...
    async def check(self) -> str: ...

    def load(self) -> AsyncIterator[Sequence[Watch]]:
        """All open watches, in pieces."""
        ...

    async def admit(self, watches: Sequence[Watch]) -> Sequence[Watch]:
        """For each, the watch that stands now: the given one, or the one that was there already, open or ended."""
        ...

    async def commit(self, changes: Sequence[Change]) -> Collection[str]:
        """Watches and events together. Returns the keys that are not ours any more (forgotten): nothing was written for them."""
        ...

    async def outbox(self, sink: str, after: int, limit: int) -> Sequence[Event]:
        """Events this sink has not settled, in order of position, beginning behind `after`."""
        ...

    async def settle(self, sink: str, delivered: Sequence[Event], buried: Sequence[DeadLetter]) -> None:
        """These events are done with for this sink: taken, or now dead letters."""
        ...

    async def backlog(self) -> dict[str, Backlog]:
        """For each sink, what it has still to settle."""
        ...

    async def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep inputs from which nothing could be made. The same letter again counts one more try."""
        ...

    async def requests(self) -> tuple[Sequence[str], Sequence[DeadLetter]]:
        """What operators asked for since the last call: keys forgotten, and letters to be tried again (until purged or buried again)."""
        ...

    async def load_state(self, name: str) -> str | None:
        """A note by this name from an earlier life (the pace, the learned cadence)."""
        ...

    async def save_state(self, name: str, note: str) -> None: ...

    async def prune(self, before: float) -> int:
        """Erase watches that ended before then, with their events, where every sink has settled them; and dead letters as old.
        Returns how many watches."""
        ...


class Ledger(Protocol):
    """What operators read and ask, also while the owner runs in another process. Every store is one too."""

    async def attach(self) -> None:
        """Open without becoming the owner. Raises StoreRefused where there is nothing to attach to."""
        ...

    async def close(self) -> None: ...

    async def find(self, key: str) -> Watch | None: ...

    async def tasks(self, *, open_only: bool = False, limit: int = 1000) -> Sequence[Watch]:
        """The newest first."""
        ...

    async def history(self, key: str) -> Sequence[Event]: ...

    async def undelivered(self, key: str) -> dict[str, int]:
        """How many events of this task each sink has still to settle; only those that have any."""
        ...

    async def backlog(self) -> dict[str, Backlog]:
        """For each sink, what it has still to settle."""
        ...

    async def letters(self) -> Sequence[DeadLetter]:
        """The newest first."""
        ...

    async def retry(self, ids: Sequence[str]) -> int:
        """Ask the owner to try these again. Returns how many there were."""
        ...

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        """Erase these letters, or all. Returns how many."""
        ...

    async def forget(self, *, key: str | None = None, connector: str | None = None) -> int:
        """Erase watches with their events and dead letters: one by key, or all of a first parameter (VoiceConnectorId).

        Returns how many watches.
        """
        ...

    async def load_state(self, name: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Delivered:
    """The sink has it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Not taken this time. `error` says why, and when to come again if the sink said so."""

    error: RemoteError


@dataclass(frozen=True, slots=True)
class Rejected:
    """Never to be taken: a dead letter with this reason."""

    reason: str


Outcome = Delivered | Retry | Rejected


class OwnedStore(Store, Ledger, Protocol):
    """What the runtime holds: the engine of a watcher, which operators may ask as well."""


class Sink(Protocol):
    """Where events go."""

    name: str
    max_batch: int
    """Events in one `send`; no two of the same task."""
    concurrency: int
    """How many `send`s may run at once, never two with the same task."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """One attempt. An outcome for each event, in order. Delivered means the other side holds it durably.

        Raises a RemoteError when none of them was taken, and PeerGone when this process will never be able to tell it anything.
        """
        ...
