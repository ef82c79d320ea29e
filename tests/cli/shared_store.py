"""The console script over a store in memory that three replicas share, in place of the store that the configuration names."""

from __future__ import annotations

import sys
import time
from typing import Any

import anyio

from watcher import registry
from watcher.adapters.stores.memory.replica import MemoryReplica, SharedMemory
from watcher.adapters.stores.sqlite import SqliteStoreSettings
from watcher.cli import main
from watcher.model import QuotaUse, Report
from watcher.registry import AdapterContext
from watcher.section import Section

NAMES = ["watcher-7d9c5b6f4-2xkqp-1f3a9c", "watcher-7d9c5b6f4-8zr4m-77b0de", "watcher-7d9c5b6f4-pw9hh-c20e15"]
"""As long as names of Kubernetes with a suffix."""
SHARDS = 64


class Shared:
    """In place of an `AdapterType`: builds another replica of one store, whatever the settings are."""

    settings = SqliteStoreSettings

    def __init__(self, store: SharedMemory) -> None:
        self.store = store

    def build(self, settings: Section, context: AdapterContext) -> MemoryReplica:
        return self.store.replica("reader")


def shared_store(*, replicas: int = 3, shards: int = SHARDS) -> Shared:
    """A store on which so many replicas have claimed their shares and reported what they do."""
    shared = SharedMemory(shards, time.time)
    use = {"speaker-search": QuotaUse(6.6666, 1234, 0.25, 3), "voice-tone": QuotaUse(2.0, 0)}

    async def claim() -> None:
        stores = [shared.replica(name) for name in NAMES[:replicas]]
        for _ in range(2):
            for store in stores:
                claim = await store.claim(Report("1.2.0", shards // replicas - 1, use))
                if claim.surplus:
                    await store.release(claim.leases[-claim.surplus :])

    anyio.run(claim)
    return Shared(shared)


def use(store: Shared) -> None:
    """Let each command of this process use the store."""
    stores: Any = registry.STORES
    stores["sqlite"] = store


if __name__ == "__main__":
    use(shared_store())
    sys.argv[0] = "watcher"
    main()
