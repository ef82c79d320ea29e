"""What the parts of the store share: the content, and the leases of a single owner."""

from __future__ import annotations

import time

from watcher.adapters.stores.memory.content import MemoryContent
from watcher.adapters.stores.memory.lease_table import LeaseTable
from watcher.core.copying import marker
from watcher.errors import StoreRefused


class MemoryAccess:
    """The common base of the parts of `MemoryStore`, one for each protocol of `watcher/ports/`."""

    def __init__(self, content: MemoryContent) -> None:
        self.content = content
        self.shards = len(content.shards)
        self._leases = LeaseTable(content.shards, time.time)
        self._open = False

    async def attach(self) -> None:
        """As `Queries.attach`."""
        if not self._open:
            raise StoreRefused("a memory store can be read only inside its own process: set store.type to sqlite to use this command")

    def _copy_record(self) -> str | None:
        return self.content.state.get(marker.NAME, {}).get("")
