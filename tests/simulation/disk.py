"""A store whose content outlives the watcher that used it, with a disk's manners: it takes its time, and sometimes fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from random import Random
from typing import Any

import anyio

from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import StoreUnavailable

WRITES = ("admit", "commit", "settle", "bury", "requests", "remember", "prune", "purge", "retry", "forget")
READS = ("outbox", "backlog", "recall", "find")


class SimulatedDisk(MemoryStore):
    """A memory store that is durable, because the simulation keeps it from one life of the watcher to the next.

    Before and after the moment in which a call takes effect, time passes: that is where a kill can fall.
    """

    def __init__(self, rng: Random, slowest_s: float) -> None:
        super().__init__(MemoryStoreSettings())
        self.durable = True
        self.full = False
        """Writes fail for as long as it stands."""
        self.failures = 0
        self._rng = rng
        self._slowest = slowest_s
        for name in (*WRITES, *READS):
            setattr(self, name, self._slow(getattr(self, name), writes=name in WRITES))

    def _slow(self, call: Callable[..., Any], *, writes: bool) -> Callable[..., Any]:
        async def slowed(*args: Any, **kwargs: Any) -> Any:
            await anyio.sleep(self._rng.uniform(0, self._slowest))
            if writes and self.full:
                self.failures += 1
                raise StoreUnavailable("disk full")
            result = call(*args, **kwargs)
            result = await result if inspect.isawaitable(result) else result
            await anyio.sleep(self._rng.uniform(0, self._slowest))
            return result

        return slowed
