"""What a story's stores stand on: nothing, or a disk, whose content outlives the watcher that used it. A disk takes its time, and fails."""

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
from watcher.ports import OwnedStore

WRITES = ("admit", "commit", "settle", "add_dead_letters", "requests", "save_state", "prune", "purge", "retry", "forget")
READS = ("outbox", "backlog", "load_state", "find")


@dataclass(frozen=True, slots=True)
class Content:
    """What a store holds, looked at behind its calls, which take time, fail, and may be fused."""

    open: Sequence[str]
    """Keys of watches that have not ended."""
    backlog: dict[str, int]
    """For each sink, the events that it has not settled."""
    letters: Sequence[DeadLetter]

    @property
    def done(self) -> bool:
        """Nothing is left to do."""
        return not self.open and not any(self.backlog.values())


class Ground(Protocol):
    """What stores stand on."""

    full: str
    """Empty, or why writes fail for as long as it stands: there are no free `pages`, or the disk takes no `bytes` at all."""
    killed: bool
    """How the life that runs will end: at once, instead of with a proper close."""

    def store(self) -> OwnedStore:
        """The store of the next life."""
        ...

    def content(self) -> Content:
        """What is there now, also between two lives."""
        ...

    def put(self, watches: Sequence[Watch]) -> None:
        """Have these from an earlier life."""
        ...

    async def forget(self, *, key: str) -> int:
        """What an operator does, beside the watcher."""
        ...


class Nothing:
    """Every life has a store of its own, in memory."""

    full = ""
    killed = False

    def store(self) -> MemoryStore:
        self._store = MemoryStore(MemoryStoreSettings())
        return self._store

    def content(self) -> Content:
        return _content(self._store)

    def put(self, watches: Sequence[Watch]) -> None:
        raise NotImplementedError("there is no earlier life")

    async def forget(self, *, key: str) -> int:
        return await self._store.forget(key=key)


class SimulatedDisk(MemoryStore):
    """A memory store that is durable, because the simulation keeps it from one life of the watcher to the next.

    Before and after the moment in which a call takes effect, time passes: that is where a kill can fall.
    """

    def __init__(self, rng: Random, slowest_s: float) -> None:
        super().__init__(MemoryStoreSettings())
        self.durable = True
        self.full = ""
        self.killed = False
        self._rng = rng
        self._slowest = slowest_s
        for name in (*WRITES, *READS):
            setattr(self, name, self._slow(getattr(self, name), writes=name in WRITES))

    def store(self) -> SimulatedDisk:
        return self

    def content(self) -> Content:
        return _content(self)

    def put(self, watches: Sequence[Watch]) -> None:
        self._watches.update({watch.key: watch for watch in watches})

    def _slow(self, call: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        async def slowed(*args: Any, **kwargs: Any) -> Any:
            await anyio.sleep(self._rng.uniform(0, self._slowest))
            if writes and self.full:
                raise StoreUnavailable("disk full")
            result = call(*args, **kwargs)
            result = await result if inspect.isawaitable(result) else result
            await anyio.sleep(self._rng.uniform(0, self._slowest))
            return result

        return slowed


def _content(store: MemoryStore) -> Content:
    backlog = {name: len(waiting) for name, waiting in store._waiting.items()}
    return Content([watch.key for watch in store._watches.values() if watch.open], backlog, list(store._letters.values()))
