"""Where the stores of a story keep their content: nowhere, or on a disk that is slow, fails, and outlives the process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import anyio

from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import StoreUnavailable
from watcher.model import DeadLetter, Watch
from watcher.ports import Store
from watcher.query import DeadLetterQuery, Selection

WRITES = (
    "claim", "release", "admit", "commit", "settle", "add_dead_letters", "requests", "save_state", "prune", "purge", "retry", "forget",
    "cancel", "begin_answers", "drop_tokens",
)  # fmt: skip
READS = (
    *("read_outbox", "count_backlog", "backlog", "load_state", "task", "task_events"),
    *("task_tokens", "late_tokens", "open_tokens"),
)
NO_LIMIT = 10**9
"""A limit that no query reaches."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a store, read without its calls, which take time and may fail."""

    open: Sequence[str]
    """Keys of watches that have not ended."""
    backlog: dict[str, int]
    """For each sink, the events that it has not settled."""
    dead_letters: Sequence[DeadLetter]
    tokens: Sequence[tuple[str, str]] = ()
    """Keys with task tokens that are not answered."""

    @property
    def done(self) -> bool:
        """Whether no work is left."""
        return not self.open and not any(self.backlog.values()) and not self.tokens


class Disk(Protocol):
    """Where stores keep their content."""

    full: str
    """Why writes fail at the moment: no free `pages`, or the disk accepts no `bytes`. Empty: they work."""
    killed: bool
    """The current process will end without closing its store properly."""

    def store(self) -> Store:
        """The store of the next process."""
        ...

    def read_content(self) -> Content:
        """The present content, also between two processes."""
        ...

    def put(self, watches: Sequence[Watch]) -> None:
        """Add watches before the first process starts."""
        ...

    async def forget(self, selection: Selection) -> int:
        """Erase tasks, as an operator does beside the watcher."""
        ...

    async def cancel(self, keys: Sequence[str]) -> int:
        """Cancel tasks, as an operator does beside the watcher."""
        ...


class NoDisk:
    """Each process has a new memory store with this number of shards."""

    full = ""
    killed = False

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def store(self) -> MemoryStore:
        self._store = MemoryStore(MemoryStoreSettings(), self._shards)
        return self._store

    def read_content(self) -> Content:
        return _content(self._store)

    def put(self, watches: Sequence[Watch]) -> None:
        raise NotImplementedError("no store outlives its process here")

    async def forget(self, selection: Selection) -> int:
        return await self._store.forget(selection)

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._store.cancel(keys)


class SimulatedDisk(MemoryStore):
    """A memory store that is durable, because the simulation passes it from one process to the next.

    Up to `slowest_s` seconds pass before a call takes effect, and again before it returns, so that a kill can come there.
    """

    def __init__(self, rng: Random, slowest_s: float, shards: int) -> None:
        super().__init__(MemoryStoreSettings(), shards)
        self.durable = True
        self.full = ""
        self.killed = False
        self._rng = rng
        self._slowest_s = slowest_s
        for name in (*WRITES, *READS):
            setattr(self, name, self._slow(getattr(self, name), writes=name in WRITES))

    def store(self) -> SimulatedDisk:
        return self

    def read_content(self) -> Content:
        return _content(self)

    def put(self, watches: Sequence[Watch]) -> None:
        for watch in watches:
            self.content.admit(watch)

    def _slow(self, call: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        async def slowed(*args: Any, **kwargs: Any) -> Any:
            await anyio.sleep(self._rng.uniform(0, self._slowest_s))
            if writes and self.full:
                raise StoreUnavailable("disk full")
            result = call(*args, **kwargs)
            result = await result if inspect.isawaitable(result) else result
            await anyio.sleep(self._rng.uniform(0, self._slowest_s))
            return result

        return slowed


def _content(store: MemoryStore) -> Content:
    backlogs = [shard.backlog() for shard in store.content.shards]
    backlog = {sink: sum(each[sink].events for each in backlogs) for sink in backlogs[0]}
    open_ = [watch.key for watch in store.content.watches.values() if watch.open]
    tokens = [(key, token) for key, given in store.content.tokens.find(store.content.watches).items() for token in given]
    return Content(open_, backlog, store.content.dead_letters.find(DeadLetterQuery(limit=NO_LIMIT)).items, tokens)
